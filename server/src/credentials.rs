//! What an HTTP request says of its sender, and the answer to a sender who is not let in. For every edge.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::auth::AuthError;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusalBody<'r> {
    code: &'r str,
    message: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'r str>,
    hint: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_status: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'r str>,
}

/// Returns the token of an `Authorization: Bearer …` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the response to a request that is refused. `headers` are the request's: its `x-request-id` is repeated.
pub fn refusal(error: &AuthError, headers: &HeaderMap) -> Response {
    if let AuthError::Store(_) | AuthError::Internal(_) = error {
        tracing::error!(?error, "sign-in failed");
    }
    let body = RefusalBody {
        code: error.code(),
        message: &error.to_string(),
        field: error.field(),
        hint: error.hint(),
        retry_after_s: error.retry_after_s(),
        device_status: match error {
            AuthError::DeviceRevoked { status } => Some(status.code()),
            _ => None,
        },
        request_id: request_id(headers),
    };
    let status = status_of(error);
    let mut response = (status, Json(body)).into_response();
    if let Some(seconds) = error.retry_after_s() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Returns the response to a body that could not be read. What was sent is not repeated: it may be a password.
pub(crate) fn of_body(rejection: &JsonRejection, shape: &str, headers: &HeaderMap) -> Response {
    let (status, message) = match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The request needs the content type application/json.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => (StatusCode::PAYLOAD_TOO_LARGE, "The request is larger than 16 KiB."),
        _ => (StatusCode::BAD_REQUEST, "The request is not the JSON object that this address expects."),
    };
    let body = RefusalBody {
        code: "BAD_REQUEST",
        message,
        field: None,
        hint: &format!("Send {shape}."),
        retry_after_s: None,
        device_status: None,
        request_id: request_id(headers),
    };
    (status, Json(body)).into_response()
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-request-id")?.to_str().ok()
}

fn status_of(error: &AuthError) -> StatusCode {
    match error {
        AuthError::WrongCredentials
        | AuthError::Unauthenticated
        | AuthError::SessionRevoked
        | AuthError::DeviceRevoked { .. } => StatusCode::UNAUTHORIZED,
        AuthError::AccountLocked { .. } | AuthError::TooBusy => StatusCode::TOO_MANY_REQUESTS,
        AuthError::BadRequest { .. } => StatusCode::BAD_REQUEST,
        AuthError::Store(_) | AuthError::Internal(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_reads_the_scheme_in_any_case_and_no_other_scheme() {
        let token = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("abc"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
