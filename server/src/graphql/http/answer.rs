//! Answers: status, media type, and errors without anything that belongs in the log.

use async_graphql::{Response as Executed, ServerError, Value};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, json};

use crate::graphql::error::{ErrorCode, Fault, code_of, coded};

/// The most errors of one answer.
const MAX_ERRORS: usize = 10;
/// The longest message, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// The media type of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/graphql-response+json`: the status tells whether the request was understood.
    GraphqlResponse,
    /// `application/json`: a request that is JSON gets status 200.
    #[default]
    Json,
}

impl Format {
    /// Returns the format that the client accepts, `None` when it accepts none of ours.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if ranges.peek().is_none() {
            return Some(Self::Json);
        }
        let accepted: Vec<&str> = ranges
            .flat_map(|value| value.split(','))
            .filter_map(|range| range.split(';').next())
            .map(str::trim)
            .collect();
        let accepts = |name: &str| accepted.iter().any(|range| range.eq_ignore_ascii_case(name));
        if accepts("application/graphql-response+json") {
            return Some(Self::GraphqlResponse);
        }
        (accepts("application/json") || accepts("application/*") || accepts("*/*")).then_some(Self::Json)
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

/// The outcome of a request.
pub(super) enum Answer {
    /// It never came to GraphQL.
    Refused(StatusCode, Box<ServerError>),
    /// It was parsed and, if it was valid, executed.
    Executed(Executed),
}

impl Answer {
    /// Returns a refusal with one error.
    pub(super) fn refused(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(status, Box::new(Fault::new(code, message).into_error(Vec::new())))
    }

    /// Returns the response of HTTP.
    pub(super) fn into_response(self, format: Format, request_id: &str) -> Response {
        let (status, body) = match self {
            Self::Refused(status, error) => (status, document(None, vec![*error], request_id)),
            Self::Executed(executed) => from_executed(executed, format, request_id),
        };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, format.content_type());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match status {
            StatusCode::METHOD_NOT_ALLOWED => headers.insert(header::ALLOW, HeaderValue::from_static("POST")),
            StatusCode::UNAUTHORIZED => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2")),
            _ => None,
        };
        response
    }
}

/// Every field of the roots is nullable, so that `data` is null only when nothing was executed.
fn from_executed(executed: Executed, format: Format, request_id: &str) -> (StatusCode, Vec<u8>) {
    let was_executed = executed.data != Value::Null;
    let status = match (was_executed, format) {
        (true, _) | (_, Format::Json) => StatusCode::OK,
        (false, Format::GraphqlResponse) => StatusCode::BAD_REQUEST,
    };
    let status = match executed.errors.first().and_then(code_of) {
        Some("TIMEOUT") => StatusCode::GATEWAY_TIMEOUT,
        _ => status,
    };
    (status, document(was_executed.then_some(executed.data), executed.errors, request_id))
}

/// Errors come first, so that a reader sees them before it works on the data.
fn document(data: Option<Value>, errors: Vec<ServerError>, request_id: &str) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Document {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        errors: Vec<Map<String, serde_json::Value>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Value>,
    }
    let errors = errors.into_iter().take(MAX_ERRORS).map(|error| show(error, request_id)).collect();
    // Values of the schema always have a JSON form.
    serde_json::to_vec(&Document { errors, data }).unwrap_or_default()
}

fn show(error: ServerError, request_id: &str) -> Map<String, serde_json::Value> {
    let error = mask(error, request_id);
    let mut shown = Map::new();
    shown.insert("message".to_owned(), error.message.chars().take(MAX_MESSAGE_CHARS).collect::<String>().into());
    if !error.locations.is_empty() {
        let places = error.locations.iter().map(|pos| json!({ "line": pos.line, "column": pos.column }));
        shown.insert("locations".to_owned(), places.collect());
    }
    if !error.path.is_empty() {
        shown.insert("path".to_owned(), json!(error.path));
    }
    shown.insert("extensions".to_owned(), json!({ "code": code_of(&error), "requestId": request_id }));
    shown
}

/// Gives every error a code, and keeps what went wrong inside for the log.
fn mask(error: ServerError, request_id: &str) -> ServerError {
    match code_of(&error) {
        Some("INTERNAL") => {}
        Some(_) => return error,
        // Without a path it is about the request, such as an unknown operation name.
        None if error.path.is_empty() => return coded(error, ErrorCode::BadRequest),
        None => {}
    }
    tracing::error!(request_id, error = %error.message, path = ?error.path, "a GraphQL field failed");
    let message = format!("Something went wrong on our side. Tell us the request id {request_id}.");
    coded(ServerError { message, ..error }, ErrorCode::Internal)
}
