//! The HTTP side of a sync: who asks, how much may be sent, where the answer goes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use futures::StreamExt as _;
use sync_protocol::wire::{Hello, MEDIA_TYPE, Push};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::desk::{Caller, Desk};
use super::request::{self, FrameLimits};
use super::session::{self, Session};
use crate::app::App;
use crate::auth::routes::{bearer, refusal};
use crate::auth::{AuthError, Identity};
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
    /// Places among the requests that are read or wait for their turn.
    queue: Arc<Semaphore>,
}

impl SyncState {
    /// Returns the state of a server.
    pub fn new(app: App) -> Self {
        let (sync, connections) = (&app.config.sync, app.config.database.sync_connections);
        let places = sync.concurrent_requests.min(connections);
        let queue = Arc::new(Semaphore::new(sync.queued_requests));
        let desk = Desk {
            store: app.sync.clone(),
            world: app.world.clone(),
            viewers: Viewers::default(),
            feed: app.feed.clone(),
            page_rows: sync.page_rows,
            admission: Arc::new(Semaphore::new(places)),
            stopping: app.stopping.clone(),
        };
        Self { desk: Arc::new(desk), app, queue }
    }
}

/// Returns the route of the sync door.
pub fn routes(state: SyncState) -> Router<App> {
    Router::new().route("/sync/v1", post(sync)).with_state(state)
}

async fn sync(State(state): State<SyncState>, request: Request) -> Response {
    // Before the body is read: what waits in memory is bounded.
    let Ok(place) = state.queue.clone().try_acquire_owned() else {
        return ApiError::unavailable("the queue of the sync door is full").into_response();
    };
    let (parts, body) = request.into_parts();
    let (identity, hello, pushes) = match receive(&state, &parts.headers, body).await {
        Ok(received) => received,
        Err(response) => return *response,
    };
    let patience = Duration::from_millis(state.app.config.sync.queue_timeout_ms);
    match tokio::time::timeout(patience, state.desk.admission.clone().acquire_owned()).await {
        Ok(Ok(permit)) => {
            drop(place);
            answer(state, permit, identity, hello, pushes)
        }
        _ => ApiError::unavailable("no place at the sync door came free in time").into_response(),
    }
}

type Received = (Identity, Hello, Vec<Push>);

async fn receive(state: &SyncState, headers: &HeaderMap, body: Body) -> Result<Received, Box<Response>> {
    check_media_type(headers)?;
    let identity = authenticate(state, headers).await?;
    let limits = &state.app.config.sync;
    let bytes = to_bytes(body, limits.max_request_bytes).await.map_err(|_| {
        refused(request::too_large(format!("A sync request holds at most {} bytes.", limits.max_request_bytes)))
    })?;
    let frames = FrameLimits { max_frame_bytes: limits.max_frame_bytes, max_mutations: limits.max_batch_mutations };
    let (hello, pushes) = request::parse(&bytes, &frames).map_err(refused)?;
    if Some(hello.device.0) != identity.device_id {
        return Err(refused(ApiError::forbidden("The session belongs to another device. Enrol this one.")));
    }
    Ok((identity, hello, pushes))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(MEDIA_TYPE)) {
        return Ok(());
    }
    let message = format!("Send the body as {MEDIA_TYPE}.");
    Err(refused(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)))
}

async fn authenticate(state: &SyncState, headers: &HeaderMap) -> Result<Identity, Box<Response>> {
    let token = bearer(headers).ok_or_else(|| Box::new(refusal(&AuthError::Unauthenticated, headers)))?;
    state.app.auth.authenticate(token).await.map_err(|error| Box::new(refusal(&error, headers)))
}

fn refused(error: ApiError) -> Box<Response> {
    Box::new(error.into_response())
}

/// Starts the session and returns the response that it fills.
fn answer(
    state: SyncState,
    permit: OwnedSemaphorePermit,
    identity: Identity,
    hello: Hello,
    pushes: Vec<Push>,
) -> Response {
    let (sender, receiver) = mpsc::channel::<Bytes>(FRAMES_AHEAD);
    let caller = Caller { programme: identity.programme_id, user: identity.user_id };
    tokio::spawn(session::run(Session::new(state.desk, caller, hello, sender, permit), pushes));
    let frames = futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), receiver))
    });
    let mut response = Response::new(Body::from_stream(frames.fuse()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(MEDIA_TYPE));
    response
}
