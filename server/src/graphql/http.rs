//! GraphQL over HTTP: what is accepted, and what an answer looks like.

mod answer;
mod body;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::any;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::context::{RequestContext, Shared};
use super::error::ErrorCode;
use super::schema::{Schema, cost_budget, run, schema};
use crate::credentials::bearer;
use crate::domain::feed::Feed;
use crate::domain::fleet::Fleet;
use crate::ops::metrics::SyncSignals;
use crate::store::query::load_viewer;
use crate::store::{Db, StoreError};
use crate::world::SharedWorld;
use answer::{Answer, Format};

/// Who sent a request, as the authentication knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user_id: Uuid,
    /// The programme that the user signed in to.
    pub programme_id: Uuid,
}

/// Why nobody is behind a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// There is no token, or it is not valid any more.
    Unauthenticated,
    /// The token could not be checked; try again.
    Unavailable,
}

/// Finds the caller behind a bearer token.
pub type Authenticate = Arc<dyn Fn(Option<String>) -> BoxFuture<'static, Result<Caller, AuthFailure>> + Send + Sync>;

/// A device to be blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The programme.
    pub programme_id: Uuid,
    /// The device.
    pub device_id: Uuid,
    /// Who blocks it.
    pub by: Uuid,
    /// Why.
    pub reason: String,
    /// Whether it is to destroy its data, too.
    pub wipes: bool,
}

/// Blocks a device and ends its sessions. Returns whether there is such a device.
pub type BlockDevice = Arc<dyn Fn(Block) -> BoxFuture<'static, Result<bool, AuthFailure>> + Send + Sync>;

/// What the edge needs.
#[derive(Clone)]
pub struct GraphqlState {
    /// The connections for people in the office.
    pub office: Db,
    /// The clock and randomness.
    pub world: SharedWorld,
    /// The authentication.
    pub authenticate: Authenticate,
    /// Tells the phones what was committed.
    pub feed: Arc<Feed>,
    /// What devices said of themselves.
    pub fleet: Arc<Fleet>,
    /// After how many days of silence nothing is kept for a device.
    pub device_expiry_days: u16,
    /// What is measured of sync.
    pub signals: SyncSignals,
    /// Blocks devices.
    pub block_device: BlockDevice,
    /// Whether the page for trying queries and introspection are offered. Never in production.
    pub development: bool,
}

struct Edge {
    state: GraphqlState,
    schema: Schema,
}

/// Returns the routes of the edge.
pub fn routes(state: GraphqlState) -> Router {
    let edge = Edge { state, schema: schema() };
    Router::new().route("/graphql", any(handle)).with_state(Arc::new(edge))
}

async fn handle(State(edge): State<Arc<Edge>>, request: Request<Body>) -> Response {
    if request.method() == Method::GET && edge.state.development && accepts_html(request.headers()) {
        return Html(async_graphql::http::GraphiQLSource::build().endpoint("/graphql").finish()).into_response();
    }
    let request_id = request_id(request.headers(), &edge.state.world);
    let format = Format::of(request.headers());
    let answer = match edge.answer(request).await {
        Ok(answer) | Err(answer) => answer,
    };
    answer.into_response(format.unwrap_or_default(), &request_id)
}

impl Edge {
    async fn answer(&self, request: Request<Body>) -> Result<Answer, Answer> {
        self.check_head(&request)?;
        let (parts, body) = request.into_parts();
        let caller = self.authenticate(&parts.headers).await?;
        let asked = body::read(body).await?;
        let context = self.context(caller).await?;
        let executed = run(&self.schema, asked, context, self.state.development).await;
        Ok(Answer::Executed(Box::new(executed)))
    }

    fn check_head(&self, request: &Request<Body>) -> Result<(), Answer> {
        if request.method() != Method::POST {
            let message = "GraphQL is asked by POST only.";
            return Err(Answer::refused(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadRequest, message));
        }
        if Format::of(request.headers()).is_none() {
            let message = "Answers are `application/graphql-response+json` or `application/json`.";
            return Err(Answer::refused(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadRequest, message));
        }
        // A browser sends other types across sites without asking first.
        if !is_json(request.headers()) {
            let message = "The content type must be `application/json`.";
            return Err(Answer::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::BadRequest, message));
        }
        Ok(())
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Answer> {
        let token = bearer(headers).map(str::to_owned);
        (self.state.authenticate)(token).await.map_err(|failure| match failure {
            AuthFailure::Unauthenticated => unauthenticated(),
            AuthFailure::Unavailable => unavailable(),
        })
    }

    /// Reads who asks. The connection goes on to serve the request.
    async fn context(&self, caller: Caller) -> Result<RequestContext, Answer> {
        let state = &self.state;
        let mut conn = state.office.conn().await.map_err(store_failure)?;
        let viewer = load_viewer(&mut conn, caller.programme_id, caller.user_id).await.map_err(store_failure)?;
        let viewer = viewer.ok_or_else(unauthenticated)?;
        let budget = cost_budget(viewer.role);
        let shared = Shared {
            now: state.world.now(),
            feed: state.feed.clone(),
            office: state.office.clone(),
            fleet: state.fleet.clone(),
            device_expiry_days: state.device_expiry_days,
            signals: state.signals.clone(),
            block_device: state.block_device.clone(),
        };
        Ok(RequestContext::new(viewer, budget, shared, conn))
    }
}

fn unauthenticated() -> Answer {
    Answer::refused(StatusCode::UNAUTHORIZED, ErrorCode::Unauthenticated, "Sign in first.")
}

fn unavailable() -> Answer {
    let message = "The server is busy. Try again in a moment.";
    Answer::refused(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message)
}

fn store_failure(error: StoreError) -> Answer {
    match error.is_transient() {
        true => unavailable(),
        false => Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, error.to_string()),
    }
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Returns the identifier that an outer layer gave the request, or a new one.
fn request_id(headers: &HeaderMap, world: &SharedWorld) -> String {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| id.len() <= 64);
    given.map_or_else(|| world.new_id().to_string(), str::to_owned)
}
