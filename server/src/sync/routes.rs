//! The HTTP side of a sync: who asks, how much may be sent, where the answer goes.

mod body;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use futures::StreamExt as _;
use sync_protocol::wire::MEDIA_TYPE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use self::body::{BodyLimits, Unread, announced_bytes};
use super::admission::{ComeBack, Door, Visit, Visitor};
use super::desk::{Caller, Desk};
use super::request::{self, FrameLimits, SyncRequest};
use super::session::{self, Session};
use super::verify::Verification;
use crate::app::App;
use crate::auth::{AuthError, Identity};
use crate::config;
use crate::credentials::{bearer, refusal};
use crate::domain::viewers::Viewers;
use crate::error::ApiError;
use crate::store::Db;

/// Frames that may wait for a slow device before the server stops preparing more.
const FRAMES_AHEAD: usize = 2;

/// What the sync door shares between requests.
#[derive(Clone)]
pub struct SyncState {
    /// The server.
    pub app: App,
    /// What sessions share.
    desk: Arc<Desk<Db>>,
    /// The bytes of bodies that may be in memory, all requests together.
    memory: Arc<Semaphore>,
}

impl SyncState {
    /// Returns the state of a server.
    pub fn new(app: App) -> Self {
        let (sync, connections) = (&app.config.sync, app.config.database.sync_connections);
        let signals = Arc::new(app.metrics.sync.clone());
        let patience = Duration::from_millis(sync.queue_timeout_ms);
        let at_once = sync.concurrent_requests.min(connections);
        let desk = Desk {
            store: app.sync.clone(),
            world: app.world.clone(),
            viewers: Viewers::default(),
            feed: app.feed.clone(),
            verification: Verification::default(),
            page_rows: sync.page_rows,
            door: Door::new(at_once, sync.queued_requests, patience, app.world.clone(), signals.clone()),
            fleet: app.fleet.clone(),
            signals,
            stopping: app.stopping.clone(),
        };
        desk.verification.register(app.metrics.registry());
        let memory = Arc::new(Semaphore::new(sync.max_bodies_bytes.min(Semaphore::MAX_PERMITS)));
        Self { desk: Arc::new(desk), app, memory }
    }
}

/// Returns the route of the sync door.
pub fn routes(state: SyncState) -> Router<App> {
    Router::new().route("/sync/v1", post(sync)).with_state(state)
}

async fn sync(State(state): State<SyncState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match admit(&state, &parts.headers, body).await {
        Ok(admitted) => answer(state, admitted),
        Err(response) => *response,
    }
}

/// A request whose turn has come.
struct Admitted {
    visit: Visit,
    identity: Identity,
    asked: SyncRequest,
    /// What was set aside for the body, given back when the session has ended.
    memory: OwnedSemaphorePermit,
}

type Refused = Box<Response>;

/// Checks a request in the order in which it costs: nothing is read before it is known who sends it, that there is
/// room for it, and that its memory is there.
async fn admit(state: &SyncState, headers: &HeaderMap, body: Body) -> Result<Admitted, Refused> {
    check_media_type(headers)?;
    let limits = &state.app.config.sync;
    let announced = announced_bytes(headers);
    if announced.is_some_and(|bytes| bytes > limits.max_request_bytes) {
        return Err(too_large(limits));
    }
    let identity = authenticate(state, headers).await?;
    let device = identity.device_id.ok_or_else(other_device)?;
    let visitor = Visitor { programme: identity.programme_id, device };
    let mut visit = state.desk.door.enter(visitor).map_err(come_back)?;
    let received = body::read(body, announced, &body_limits(limits), &state.memory).await;
    let received = received.map_err(|unread| not_read(unread, state, visitor))?;
    let asked = request::parse(&received.bytes, &frame_limits(limits)).map_err(refused)?;
    if asked.hello.device.0 != device {
        return Err(other_device());
    }
    visit.begin().await.map_err(come_back)?;
    Ok(Admitted { visit, identity, asked, memory: received.memory })
}

fn body_limits(limits: &config::Sync) -> BodyLimits {
    let ms = Duration::from_millis;
    BodyLimits {
        max_bytes: limits.max_request_bytes,
        idle: ms(limits.body_idle_timeout_ms),
        whole: ms(limits.body_timeout_ms),
    }
}

fn frame_limits(limits: &config::Sync) -> FrameLimits {
    FrameLimits {
        max_frame_bytes: limits.max_frame_bytes,
        max_mutations: limits.max_batch_mutations,
        max_bytes: limits.max_request_bytes,
    }
}

fn not_read(unread: Unread, state: &SyncState, visitor: Visitor) -> Refused {
    match unread {
        Unread::TooLarge => too_large(&state.app.config.sync),
        Unread::NoMemory => come_back(state.desk.door.send_away(visitor, "memory")),
        Unread::TooSlow => {
            state.desk.signals.refusals.with_label_values(&["slow_body"]).inc();
            let text = "The body of the request came too slowly. Nothing is lost; send less at once.";
            refused(ApiError::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", text))
        }
        Unread::Broken => refused(ApiError::bad_request("The body of the request broke off.")),
    }
}

fn too_large(limits: &config::Sync) -> Refused {
    refused(ApiError::too_large(format!("A sync request holds at most {} bytes.", limits.max_request_bytes)))
}

fn other_device() -> Refused {
    refused(ApiError::forbidden("The session belongs to another device. Enrol this one."))
}

fn come_back(told: ComeBack) -> Refused {
    refused(ApiError::come_back(told.after_ms))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Refused> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(MEDIA_TYPE)) {
        return Ok(());
    }
    let message = format!("Send the body as {MEDIA_TYPE}.");
    Err(refused(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)))
}

async fn authenticate(state: &SyncState, headers: &HeaderMap) -> Result<Identity, Refused> {
    let token = bearer(headers).ok_or_else(|| Box::new(refusal(&AuthError::Unauthenticated, headers)))?;
    state.app.auth.authenticate_phone(token).await.map_err(|error| match error {
        AuthError::Store(error) if error.is_transient() => come_back(state.desk.door.spread("sign_in")),
        error => Box::new(refusal(&error, headers)),
    })
}

fn refused(error: ApiError) -> Refused {
    Box::new(error.into_response())
}

/// Starts the session and returns the response that it fills.
fn answer(state: SyncState, admitted: Admitted) -> Response {
    let Admitted { visit, identity, asked, memory } = admitted;
    let SyncRequest { hello, pushes, checks } = asked;
    let (sender, receiver) = mpsc::channel::<Bytes>(FRAMES_AHEAD);
    let caller = Caller { programme: identity.programme_id, user: identity.user_id, session: identity.session_id };
    let session = Session::new(state.desk, caller, hello, checks, sender, visit);
    tokio::spawn(async move {
        session::run(session, pushes).await;
        drop(memory);
    });
    let frames = futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), receiver))
    });
    let mut response = Response::new(Body::from_stream(frames.fuse()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(MEDIA_TYPE));
    response
}
