//! Every route, and what each request passes on its way.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::error::ApiError;
use crate::ops::{error_document, health, metrics, observe, request_id, security_headers};

/// Returns the whole server. A request meets the layers from the last to the first:
///
/// 1. it gets its id, which everything after names;
/// 2. its answer gets the security headers, whoever writes it;
/// 3. it is timed and logged, with the status that the caller sees;
/// 4. an error gets its document;
/// 5. a panic becomes an error;
/// 6. its body is limited.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(features())
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::scrape))
        .layer(DefaultBodyLimit::max(app.config.http.max_body_bytes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(error_document::write))
        .layer(from_fn_with_state(app.clone(), observe::request))
        .layer(from_fn(security_headers::add))
        .layer(from_fn_with_state(app.clone(), request_id::assign))
        .with_state(app)
}

/// Returns the routes of the doors.
fn features() -> Router<App> {
    Router::new()
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    ApiError::internal(format!("panic: {text}")).into_response()
}
