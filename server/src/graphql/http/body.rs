//! The body of a request.

use async_graphql::Variables;
use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::answer::Answer;
use crate::graphql::error::ErrorCode;
use crate::graphql::schema::Asked;

/// The largest body, in bytes.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// Reads a request. Batches are not offered: each request is limited and logged by itself.
pub(super) async fn read(body: Body) -> Result<Asked, Answer> {
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| {
        let message = format!("A request has at most {MAX_BODY_BYTES} bytes.");
        Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BadRequest, message)
    })?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => asked(fields),
        Ok(Value::Array(_)) => Err(bad_request("Batches are not offered. Send one request at a time.")),
        Ok(_) => Err(bad_request("The body is not a JSON object.")),
        Err(_) => Err(bad_request("The body is not JSON.")),
    }
}

fn asked(mut fields: Map<String, Value>) -> Result<Asked, Answer> {
    let Some(Value::String(query)) = fields.remove("query") else {
        return Err(bad_request("`query` must be a string."));
    };
    let operation_name = match fields.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(bad_request("`operationName` must be a string.")),
    };
    let variables = match fields.remove("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(bad_request("`variables` must be an object.")),
    };
    if !matches!(fields.get("extensions"), None | Some(Value::Null | Value::Object(_))) {
        return Err(bad_request("`extensions` must be an object."));
    }
    Ok(Asked { query, operation_name, variables: Variables::from_json(Value::Object(variables)) })
}

fn bad_request(message: &str) -> Answer {
    Answer::refused(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, message)
}
