//! The errors that leave the server: few, with stable codes, and nothing from inside.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::store::StoreError;

/// How long a caller waits before it tries again when no better figure is known.
const RETRY_AFTER_S: u32 = 2;

/// An answer that is an error. [`crate::ops::error_document`] writes its body, with the request's id, and logs its
/// cause once.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The status of the answer.
    pub status: StatusCode,
    /// The stable code.
    pub code: &'static str,
    /// What happened, to what, and what to do.
    pub message: Cow<'static, str>,
    /// After how many seconds the same request may succeed.
    pub retry_after_s: Option<u32>,
    /// What happened inside, for the log only.
    pub(crate) cause: Option<Arc<str>>,
}

impl ApiError {
    /// Returns an error with a code and a message for the caller.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None, cause: None }
    }

    /// Returns the error for a request that cannot be understood.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// Returns the error for bytes that the network has changed or cut: the same request may succeed when it is
    /// sent again.
    pub fn damaged(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sync_protocol::wire::DAMAGED, message)
    }

    /// Returns the error for a caller who is not logged in.
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
    }

    /// Returns the error for a caller who may not do this.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    /// Returns the error for a request that is larger than allowed.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    }

    /// Returns the error for an application that speaks a version which is no longer, or not yet, spoken here.
    pub fn upgrade_required(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UPGRADE_REQUIRED", message)
    }

    /// Returns the error for a request that came too soon after others.
    pub fn rate_limited(retry_after_s: u32) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", "Too many requests. Try again later.");
        Self { retry_after_s: Some(retry_after_s), ..error }
    }

    /// Returns the error for something that works again soon. The caller does not see the cause.
    pub fn unavailable(cause: impl Display) -> Self {
        let message = "The server is busy or cannot reach its database. Try again later.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message);
        Self { retry_after_s: Some(RETRY_AFTER_S), cause: Some(cause.to_string().into()), ..error }
    }

    /// Returns the error for a request that may come back after a time that the server has chosen for it. It is
    /// counted where it is chosen, and not logged one by one: there are thousands when they come at all.
    pub fn come_back(after_ms: u64) -> Self {
        let message = "The server is busy with other devices. Nothing is lost; come back after the time it names.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message);
        Self { retry_after_s: Some(u32::try_from(after_ms.div_ceil(1_000)).unwrap_or(u32::MAX)), ..error }
    }

    /// Returns the error for a fault of ours. The caller does not see the cause.
    pub fn internal(cause: impl Display) -> Self {
        let message = "The server failed. The fault was recorded under the request's id.";
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message);
        Self { cause: Some(cause.to_string().into()), ..error }
    }

    /// Returns the error for a status that a handler or the framework answered without a document.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::NOT_FOUND => ("NOT_FOUND", "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => ("METHOD_NOT_ALLOWED", "This address does not take this method."),
            StatusCode::PAYLOAD_TOO_LARGE => ("PAYLOAD_TOO_LARGE", "The request is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("UNSUPPORTED_MEDIA_TYPE", "This address does not take this content type.")
            }
            status if status.is_server_error() => return Self { status, ..Self::internal(status) },
            _ => ("BAD_REQUEST", "The request cannot be understood."),
        };
        Self::new(status, code, message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::unavailable(error) } else { Self::internal(error) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
