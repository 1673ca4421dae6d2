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
use sync_protocol::frame::Reader;
use sync_protocol::wire::{Hello, MEDIA_TYPE, Message, PROTOCOL, Push};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::session::{self, Session};
use crate::app::App;
use crate::auth::routes::{bearer, refusal};
use crate::auth::{AuthError, Identity};
use crate::domain::viewers::Viewers;
use crate::error::ApiError;

/// Frames that may wait for a slow device before the server stops preparing more.
const FRAMES_AHEAD: usize = 2;

/// What the sync door shares between requests.
#[derive(Clone)]
pub struct SyncState {
    /// The server.
    pub app: App,
    /// Permissions.
    pub viewers: Arc<Viewers>,
    /// Places among the requests that are worked on, one for each connection to the database.
    pub admission: Arc<Semaphore>,
    /// Places among the requests that are read or wait for their turn.
    queue: Arc<Semaphore>,
}

impl SyncState {
    /// Returns the state of a server.
    pub fn new(app: App) -> Self {
        let (sync, connections) = (&app.config.sync, app.config.database.sync_connections);
        let admission = Arc::new(Semaphore::new(sync.concurrent_requests.min(connections)));
        let queue = Arc::new(Semaphore::new(sync.queued_requests));
        Self { app, viewers: Arc::default(), admission, queue }
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
    match tokio::time::timeout(patience, state.admission.clone().acquire_owned()).await {
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
    let bytes = to_bytes(body, limits.max_request_bytes)
        .await
        .map_err(|_| too_large(format!("A sync request holds at most {} bytes.", limits.max_request_bytes)))?;
    let (hello, pushes) = parse(&bytes, limits.max_frame_bytes, limits.max_batch_mutations)?;
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

fn parse(bytes: &[u8], max_frame_bytes: usize, max_batch: usize) -> Result<(Hello, Vec<Push>), Box<Response>> {
    let bad = |message: String| refused(ApiError::bad_request(message));
    let mut reader = Reader::new(max_frame_bytes);
    reader.push(bytes);
    let mut hello = None;
    let mut pushes = Vec::new();
    while let Some(frame) = reader.next_frame().map_err(|error| bad(error.to_string()))? {
        match Message::read(&frame).map_err(|error| bad(error.to_string()))? {
            Message::Hello(message) if hello.is_none() && message.protocol == PROTOCOL => hello = Some(message),
            Message::Hello(message) if message.protocol != PROTOCOL => {
                let text = format!("Protocol {} is not spoken here; update the application.", message.protocol);
                return Err(refused(ApiError::new(StatusCode::BAD_REQUEST, "UPGRADE_REQUIRED", text)));
            }
            Message::Push(push) if push.mutations.len() > max_batch => {
                return Err(too_large(format!("A push holds at most {max_batch} mutations.")));
            }
            Message::Push(push) if hello.is_some() => pushes.push(push),
            Message::Skipped(_) => {}
            _ => return Err(bad("A request is a hello and then pushes.".to_owned())),
        }
    }
    match hello {
        Some(hello) if reader.is_empty() => Ok((hello, pushes)),
        _ => Err(bad("The request is not complete.".to_owned())),
    }
}

fn too_large(message: String) -> Box<Response> {
    refused(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message))
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
    tokio::spawn(session::run(Session::new(state, identity, hello, sender, permit), pushes));
    let frames = futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), receiver))
    });
    let mut response = Response::new(Body::from_stream(frames.fuse()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(MEDIA_TYPE));
    response
}
