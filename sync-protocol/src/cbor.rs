//! Values as CBOR, read by the type that the field table gives.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::time::{Date, Timestamp};
use crate::value::{FieldType, Value};

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed data: {0}")]
pub struct Malformed(pub String);

impl From<minicbor::decode::Error> for Malformed {
    fn from(error: minicbor::decode::Error) -> Self {
        Self(error.to_string())
    }
}

/// An encoder into memory, which cannot fail.
pub(crate) type Writer<'b> = Encoder<&'b mut Vec<u8>>;

/// Unwraps the result of writing into memory.
pub(crate) fn written<T>(result: Result<T, minicbor::encode::Error<std::convert::Infallible>>) {
    // Writing into a vector has no error of its own.
    debug_assert!(result.is_ok());
}

/// Writes a value. Text-like values are text, times are integers, identifiers are 16 bytes.
pub(crate) fn write_value(out: &mut Writer<'_>, value: &Value) {
    match value {
        Value::Null => written(out.null()),
        Value::Bool(v) => written(out.bool(*v)),
        Value::Int(v) => written(out.i64(*v)),
        Value::Decimal(v) => written(out.str(&v.to_string())),
        Value::Text(v) | Value::Json(v) => written(out.str(v)),
        Value::Uuid(v) => written(out.bytes(v.as_bytes())),
        Value::Date(v) => written(out.i32(v.0)),
        Value::Timestamp(v) => written(out.i64(v.0)),
    }
}

/// Reads a value of a known type.
pub(crate) fn read_value(input: &mut Decoder<'_>, field_type: FieldType) -> Result<Value, Malformed> {
    if input.datatype()? == Type::Null {
        input.null()?;
        return Ok(Value::Null);
    }
    Ok(match field_type {
        FieldType::Bool => Value::Bool(input.bool()?),
        FieldType::Int => Value::Int(input.i64()?),
        FieldType::Decimal => {
            let text = input.str()?;
            Value::Decimal(text.parse::<Decimal>().map_err(|_| Malformed(format!("`{text}` is no number")))?)
        }
        FieldType::Text | FieldType::Code => Value::Text(input.str()?.to_owned()),
        FieldType::Json => Value::Json(input.str()?.to_owned()),
        FieldType::Uuid => Value::Uuid(read_uuid(input)?),
        FieldType::Date => Value::Date(Date(input.i32()?)),
        FieldType::Timestamp => Value::Timestamp(Timestamp(input.i64()?)),
    })
}

/// Reads an identifier.
pub(crate) fn read_uuid(input: &mut Decoder<'_>) -> Result<Uuid, Malformed> {
    Uuid::from_slice(input.bytes()?).map_err(|_| Malformed("an identifier has 16 bytes".to_owned()))
}

/// Reads the length of an array or map that must be of definite length and no longer than the bytes left.
pub(crate) fn bounded(length: Option<u64>, input: &Decoder<'_>) -> Result<usize, Malformed> {
    let left = input.input().len().saturating_sub(input.position());
    match length.and_then(|length| usize::try_from(length).ok()) {
        Some(length) if length <= left => Ok(length),
        _ => Err(Malformed("a list is longer than its bytes".to_owned())),
    }
}

/// Writes a message as a self-describing map.
pub(crate) fn to_vec<T: serde::Serialize>(message: &T) -> Vec<u8> {
    // Messages hold numbers, texts, bytes, lists and maps, all of which CBOR has.
    minicbor_serde::to_vec(message).unwrap_or_default()
}

/// Reads a message. Unknown fields are ignored, missing ones take their default.
pub(crate) fn from_slice<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    minicbor_serde::from_slice(bytes).map_err(|error| Malformed(error.to_string()))
}
