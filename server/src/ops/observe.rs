//! One span, one log line and one measurement for each request.

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::metrics::Stopwatch;
use super::request_id::RequestId;
use crate::app::App;

/// Runs a request in its span, then counts and logs it.
pub(crate) async fn request(State(app): State<App>, request: Request, next: Next) -> Response {
    let stopwatch = Stopwatch::start();
    let method = request.method().clone();
    // The pattern of the route, never the path: a path may hold an id, and every new one would be a new series.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched".into(), |path| path.as_str().to_owned());
    let id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
    let span = tracing::info_span!("request", id, %method, route);
    let response = next.run(request).instrument(span.clone()).await;
    let elapsed = stopwatch.elapsed();
    app.metrics.observe_request(method.as_str(), &route, response.status().as_u16(), elapsed);
    span.in_scope(|| log(response.status(), &route, elapsed.as_millis()));
    response
}

/// Probes come every few seconds and say nothing when they succeed.
fn log(status: StatusCode, route: &str, elapsed_ms: u128) {
    let probe = route.starts_with("/health") || route == "/metrics";
    if probe && status.is_success() {
        tracing::debug!(status = status.as_u16(), elapsed_ms, "answered");
    } else {
        tracing::info!(status = status.as_u16(), elapsed_ms, "answered");
    }
}
