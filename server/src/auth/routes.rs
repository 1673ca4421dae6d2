//! Sign-in over HTTP.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::{AuthError, AuthService, NewDevice, Secret, SignedIn};
use crate::credentials::{of_body, refusal};
use crate::world::SharedWorld;

/// No sign-in needs more, and an unknown sender gets no more.
const BODY_LIMIT_BYTES: usize = 16 * 1_024;

/// Returns the routes below `/auth`.
pub fn routes<S: Clone + Send + Sync + 'static>(service: AuthService) -> Router<S> {
    Router::new()
        .route("/auth/login", post(login))
        .route("/auth/enrol", post(enrol))
        .route("/auth/refresh", post(refresh))
        .route("/auth/logout", post(logout))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(service)
}

#[derive(Deserialize)]
struct Login {
    email: String,
    password: Secret,
}

#[derive(Deserialize)]
struct Enrol {
    email: String,
    password: Secret,
    device: Device,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    id: Uuid,
    name: String,
    model: String,
    app_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refresh {
    refresh_token: Secret,
    device_id: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Logout {
    refresh_token: Secret,
}

/// Both forms of an expiry are given: a phone whose clock is wrong counts seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedInBody<'s> {
    access_token: &'s str,
    access_expires_at: Timestamp,
    access_expires_in_s: i64,
    refresh_token: &'s str,
    refresh_expires_at: Timestamp,
    refresh_expires_in_s: i64,
    session_id: Uuid,
    user_id: Uuid,
    programme_id: Uuid,
    device_id: Option<Uuid>,
}

type Body<T> = Result<Json<T>, JsonRejection>;

async fn login(State(service): State<AuthService>, headers: HeaderMap, body: Body<Login>) -> Response {
    let Json(login) = match body {
        Ok(body) => body,
        Err(rejection) => return of_body(&rejection, "{email, password}", &headers),
    };
    answer(service.login(&login.email, &login.password).await, &service.world, &headers)
}

async fn enrol(State(service): State<AuthService>, headers: HeaderMap, body: Body<Enrol>) -> Response {
    const SHAPE: &str = "{email, password, device: {id, name, model, appVersion}}";
    let Json(Enrol { email, password, device }) = match body {
        Ok(body) => body,
        Err(rejection) => return of_body(&rejection, SHAPE, &headers),
    };
    let phone = NewDevice { id: device.id, name: device.name, model: device.model, app_version: device.app_version };
    answer(service.enrol(&email, &password, &phone).await, &service.world, &headers)
}

async fn refresh(State(service): State<AuthService>, headers: HeaderMap, body: Body<Refresh>) -> Response {
    let Json(refresh) = match body {
        Ok(body) => body,
        Err(rejection) => return of_body(&rejection, "{refreshToken, deviceId?}", &headers),
    };
    answer(service.refresh(refresh.refresh_token.expose(), refresh.device_id).await, &service.world, &headers)
}

async fn logout(State(service): State<AuthService>, headers: HeaderMap, body: Body<Logout>) -> Response {
    let Json(logout) = match body {
        Ok(body) => body,
        Err(rejection) => return of_body(&rejection, "{refreshToken}", &headers),
    };
    match service.logout(logout.refresh_token.expose()).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refusal(&error, &headers),
    }
}

fn answer(outcome: Result<SignedIn, AuthError>, world: &SharedWorld, headers: &HeaderMap) -> Response {
    let signed_in = match outcome {
        Ok(signed_in) => signed_in,
        Err(error) => return refusal(&error, headers),
    };
    let now = world.now();
    let body = SignedInBody {
        access_token: signed_in.access_token.expose(),
        access_expires_at: signed_in.access_expires_at,
        access_expires_in_s: (signed_in.access_expires_at.0 - now.0) / 1_000,
        refresh_token: signed_in.refresh_token.expose(),
        refresh_expires_at: signed_in.refresh_expires_at,
        refresh_expires_in_s: (signed_in.refresh_expires_at.0 - now.0) / 1_000,
        session_id: signed_in.identity.session_id,
        user_id: signed_in.identity.user_id,
        programme_id: signed_in.identity.programme_id,
        device_id: signed_in.identity.device_id,
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
