//! Every route, and what each request passes on its way.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::FutureExt as _;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::auth::{self, AuthError, AuthService, DeviceStatus, StatusChange};
use crate::config::Environment;
use crate::error::ApiError;
use crate::graphql::{self, AuthFailure, Authenticate, BlockDevice, Caller, GraphqlState};
use crate::ops::{error_document, health, metrics, observe, request_id, security_headers};
use crate::sync::{self, SyncState};

/// Returns the whole server.
pub fn router(app: App) -> Router {
    let routes = doors(&app)
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::scrape));
    layered(routes, app)
}

/// Puts what every request passes around the routes. A request meets the layers from the last to the first:
///
/// 1. it gets its id, which everything after names;
/// 2. its answer gets the security headers, whoever writes it;
/// 3. it is timed and logged, with the status that the caller sees;
/// 4. an error gets its document;
/// 5. a panic becomes an error;
/// 6. its body is limited.
fn layered(routes: Router<App>, app: App) -> Router {
    routes
        .layer(DefaultBodyLimit::max(app.config.http.max_body_bytes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(error_document::write))
        .layer(from_fn_with_state(app.clone(), observe::request))
        .layer(from_fn(security_headers::add))
        .layer(from_fn_with_state(app.clone(), request_id::assign))
        .with_state(app)
}

/// Returns the doors: signing in, the office, the field.
fn doors(app: &App) -> Router<App> {
    let graphql = GraphqlState {
        office: app.office.clone(),
        world: app.world.clone(),
        authenticate: authenticate(&app.auth),
        feed: app.feed.clone(),
        fleet: app.fleet.clone(),
        device_expiry_days: app.config.sync.device_expiry_days,
        signals: app.metrics.sync.clone(),
        block_device: block_device(&app.auth),
        development: app.config.environment == Environment::Development,
    };
    Router::new()
        .merge(auth::routes::routes(app.auth.clone()))
        .merge(graphql::routes(graphql).with_state(()))
        .merge(sync::routes(SyncState::new(app.clone())))
}

/// Lets the GraphQL door ask who is behind a token.
fn authenticate(auth: &AuthService) -> Authenticate {
    let auth = auth.clone();
    Arc::new(move |token| {
        let auth = auth.clone();
        async move {
            let identity = auth.authenticate(token.as_deref().unwrap_or_default()).await.map_err(auth_failure)?;
            Ok(Caller { user_id: identity.user_id, programme_id: identity.programme_id })
        }
        .boxed()
    })
}

/// Lets the GraphQL door block a device.
fn block_device(auth: &AuthService) -> BlockDevice {
    let auth = auth.clone();
    Arc::new(move |block| {
        let auth = auth.clone();
        let status = if block.wipes { DeviceStatus::WipeRequested } else { DeviceStatus::Revoked };
        async move {
            let setting = StatusChange { status, by: block.by, reason: block.reason };
            auth.set_device_status(block.programme_id, block.device_id, setting).await.map_err(auth_failure)
        }
        .boxed()
    })
}

fn auth_failure(error: AuthError) -> AuthFailure {
    match error {
        AuthError::Store(_) | AuthError::TooBusy | AuthError::Internal(_) => AuthFailure::Unavailable,
        _ => AuthFailure::Unauthenticated,
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    ApiError::internal(format!("panic: {text}")).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::routing::post;
    use sync_protocol::time::Timestamp;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::Config;
    use crate::world::FixedWorld;

    /// Serves routes that misbehave, and returns the answer to one request.
    async fn answer(request: &str) -> String {
        let mut config = Config::default();
        config.http.max_body_bytes = 8;
        let app = App::new(config, Arc::new(FixedWorld::at(Timestamp(0))), "postgres:///none").unwrap();
        let routes = Router::new()
            .route("/panic", get(async || -> () { panic!("the password is hunter2") }))
            .route("/busy", get(async || ApiError::unavailable("db7.internal is down")))
            .route("/read", post(async |body: String| body));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(axum::serve(listener, layered(routes, app)).into_future());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn request(line: &str, body: &str) -> String {
        format!("{line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn assert_contains(answer: &str, parts: &[&str]) {
        for part in parts {
            assert!(answer.contains(part), "`{part}` in {answer}");
        }
    }

    #[tokio::test]
    async fn a_panic_becomes_an_error_that_tells_nothing() {
        let answer = answer(&request("GET /panic", "")).await;
        assert_contains(&answer, &["HTTP/1.1 500 ", r#""code":"INTERNAL""#, "x-request-id: ", "nosniff"]);
        assert!(!answer.contains("hunter2"), "{answer}");
    }

    #[tokio::test]
    async fn a_busy_server_says_when_to_come_back_and_not_why() {
        let answer = answer(&request("GET /busy", "")).await;
        assert_contains(&answer, &["HTTP/1.1 503 ", "retry-after: 2", r#""code":"UNAVAILABLE""#]);
        assert!(!answer.contains("db7"), "{answer}");
    }

    #[tokio::test]
    async fn a_body_above_the_limit_is_refused() {
        assert_contains(&answer(&request("POST /read", "12345678")).await, &["HTTP/1.1 200 ", "12345678"]);
        let refused = answer(&request("POST /read", "123456789")).await;
        assert_contains(&refused, &["HTTP/1.1 413 ", r#""code":"PAYLOAD_TOO_LARGE""#]);
    }

    #[tokio::test]
    async fn the_wrong_method_is_told_the_right_one() {
        let answer = answer(&request("GET /read", "")).await;
        assert_contains(&answer, &["HTTP/1.1 405 ", "allow: POST", r#""code":"METHOD_NOT_ALLOWED""#]);
    }

    #[tokio::test]
    async fn a_request_keeps_the_id_that_it_came_with() {
        let request = "GET /nowhere HTTP/1.1\r\nhost: test\r\nconnection: close\r\nx-request-id: phone-7\r\n\r\n";
        assert_contains(&answer(request).await, &["x-request-id: phone-7", r#""requestId":"phone-7""#]);
    }
}
