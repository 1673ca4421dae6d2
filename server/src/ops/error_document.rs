//! Gives every error one shape: GraphQL's on the GraphQL path, a flat one elsewhere.

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::request_id::RequestId;
use crate::error::ApiError;

/// Writes the document of an error, and logs its cause where it has one.
pub(crate) async fn write(request: Request, next: Next) -> Response {
    let graphql = request.uri().path().starts_with("/graphql");
    let id = request.extensions().get::<RequestId>().cloned();
    let response = next.run(request).await;
    let Some(error) = error_of(&response) else { return response };
    let id = id.as_ref().map_or("", RequestId::as_str);
    log(&error, id);
    let document = if graphql { graphql_document(&error, id) } else { flat_document(&error, id) };
    render(response, &error, &document)
}

/// The framework answers its own errors as plain text; those get a document too.
fn error_of(response: &Response) -> Option<ApiError> {
    if let Some(error) = response.extensions().get::<ApiError>() {
        return Some(error.clone());
    }
    let content_type = response.headers().get(CONTENT_TYPE);
    let plain = content_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    let failed = response.status().is_client_error() || response.status().is_server_error();
    (failed && plain).then(|| ApiError::of_status(response.status()))
}

fn log(error: &ApiError, id: &str) {
    let Some(cause) = &error.cause else { return };
    if error.status == StatusCode::SERVICE_UNAVAILABLE {
        tracing::warn!(request_id = id, code = error.code, cause = &**cause, "a request was turned away");
    } else {
        tracing::error!(request_id = id, code = error.code, cause = &**cause, "a request failed");
    }
}

fn graphql_document(error: &ApiError, id: &str) -> Value {
    let mut extensions = json!({ "code": error.code, "requestId": id });
    if let Some(seconds) = error.retry_after_s {
        extensions["retryAfter"] = seconds.into();
    }
    json!({ "errors": [{ "message": error.message, "extensions": extensions }] })
}

fn flat_document(error: &ApiError, id: &str) -> Value {
    json!({ "code": error.code, "message": error.message, "requestId": id })
}

fn render(answered: Response, error: &ApiError, document: &Value) -> Response {
    let mut response = (error.status, axum::Json(document)).into_response();
    // A 405 names the methods that are taken, a 401 the scheme; the old body's headers do not fit the new body.
    for (name, value) in answered.headers() {
        if !name.as_str().starts_with("content-") {
            response.headers_mut().append(name, value.clone());
        }
    }
    if let Some(seconds) = error.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
