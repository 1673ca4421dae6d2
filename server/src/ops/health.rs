//! Whether the server lives, and whether it can serve.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use crate::app::App;
use crate::store::{StoreError, migrate};

/// A load balancer gives up soon after this.
const BUDGET: Duration = Duration::from_secs(1);

/// Answers `GET /health/live`: the process runs and answers.
pub(crate) async fn live() -> impl IntoResponse {
    Json(json!({ "status": "live" }))
}

/// Answers `GET /health/ready`: the database answers in time and has every migration.
pub(crate) async fn ready(State(app): State<App>) -> impl IntoResponse {
    let problem = match tokio::time::timeout(BUDGET, is_current(&app)).await {
        _ if app.stopping.is_cancelled() => Some("stopping"),
        Ok(Ok(true)) => None,
        Ok(Ok(false)) => Some("a migration is missing"),
        Ok(Err(_)) | Err(_) => Some("the database does not answer"),
    };
    match problem {
        None => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable", "reason": reason }))),
    }
}

async fn is_current(app: &App) -> Result<bool, StoreError> {
    migrate::is_current(&mut app.office.conn().await?).await
}
