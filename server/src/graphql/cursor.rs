//! Cursors: the position of a row, opaque to clients and bound to the list that it came from.

use async_graphql::Value as Given;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

use super::arguments::{Named, given};
use super::error::{ErrorCode, Fault};
use crate::store::query::{Order, Position};

/// The format of cursors; another one is refused.
const VERSION: u8 = 1;

/// What a cursor is bound to: the kind of list, the filter, the search and the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding([u8; 8]);

impl Binding {
    /// Returns the binding of a list; `tag` tells the kinds apart.
    pub(super) fn of(tag: u16, arguments: &Named) -> Self {
        let parts = ["filter", "orderBy", "search"].map(|name| given(arguments, name).unwrap_or(&Given::Null));
        // Values of a document always have a JSON form; without one every cursor would be refused.
        let parts = serde_json::to_vec(&parts).unwrap_or_default();
        let digest = Sha256::new().chain_update(tag.to_be_bytes()).chain_update(parts).finalize();
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        Self(short)
    }
}

/// Returns the cursor of a position.
pub(super) fn encode(binding: &Binding, position: &Position) -> String {
    let values: Vec<Option<String>> = position.values.iter().map(to_text).collect();
    let mut bytes = vec![VERSION];
    bytes.extend(binding.0);
    bytes.extend(position.id.as_bytes());
    if !values.is_empty() {
        bytes.extend(serde_json::to_vec(&values).unwrap_or_default());
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the position of a cursor. Anything that was not made for this list is refused.
pub(super) fn decode(cursor: &str, binding: &Binding, order: &[Order]) -> Result<Position, Fault> {
    let bad = || Fault::new(ErrorCode::BadCursor, "The cursor does not belong to this list, filter and order.");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let (head, values) = bytes.split_at_checked(25).ok_or_else(bad)?;
    if head[0] != VERSION || head[1..9] != binding.0 {
        return Err(bad());
    }
    let id = Uuid::from_slice(&head[9..]).map_err(|_| bad())?;
    let values: Vec<Option<String>> = match values {
        [] => Vec::new(),
        text => serde_json::from_slice(text).map_err(|_| bad())?,
    };
    if values.len() != order.len() {
        return Err(bad());
    }
    let values = order.iter().zip(values).map(|(term, text)| from_text(term.column.field_type(), text));
    Ok(Position { values: values.collect::<Option<_>>().ok_or_else(bad)?, id })
}

fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(v) => Some(v.to_string()),
        Value::Int(v) => Some(v.to_string()),
        Value::Decimal(v) => Some(v.to_string()),
        Value::Text(v) | Value::Json(v) => Some(v.clone()),
        Value::Uuid(v) => Some(v.to_string()),
        Value::Date(v) => Some(v.0.to_string()),
        Value::Timestamp(v) => Some(v.0.to_string()),
    }
}

fn from_text(field_type: FieldType, text: Option<String>) -> Option<Value> {
    let Some(text) = text else { return Some(Value::Null) };
    match field_type {
        FieldType::Bool => text.parse().ok().map(Value::Bool),
        FieldType::Int => text.parse().ok().map(Value::Int),
        FieldType::Decimal => text.parse().ok().map(Value::Decimal),
        // Postgres refuses NUL; no cursor of ours has one.
        FieldType::Text | FieldType::Code => (!text.contains('\0')).then_some(Value::Text(text)),
        FieldType::Uuid => text.parse().ok().map(Value::Uuid),
        FieldType::Date => text.parse().ok().map(|days| Value::Date(Date(days))),
        FieldType::Timestamp => text.parse().ok().map(|ms| Value::Timestamp(Timestamp(ms))),
        FieldType::Json => None,
    }
}
