//! Values in SQLite: identifiers are 16 bytes, times are integers, decimal numbers and codes are text.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

/// A value to bind, without copying texts.
pub(super) struct Bound<'v>(pub(super) &'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(bound(self.0))
    }
}

/// Returns a value as SQLite takes it.
pub(super) fn bound(value: &Value) -> ToSqlOutput<'_> {
    match value {
        Value::Null => ToSqlOutput::Owned(Owned::Null),
        Value::Bool(v) => ToSqlOutput::Owned(Owned::Integer(i64::from(*v))),
        Value::Int(v) => ToSqlOutput::Owned(Owned::Integer(*v)),
        Value::Decimal(v) => ToSqlOutput::Owned(Owned::Text(v.to_string())),
        Value::Text(v) | Value::Json(v) => ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes())),
        Value::Uuid(v) => ToSqlOutput::Borrowed(ValueRef::Blob(v.as_bytes())),
        Value::Date(v) => ToSqlOutput::Owned(Owned::Integer(i64::from(v.0))),
        Value::Timestamp(v) => ToSqlOutput::Owned(Owned::Integer(v.0)),
    }
}

/// Reads a value of a known type.
pub(super) fn read(value: ValueRef<'_>, field_type: FieldType) -> rusqlite::Result<Value> {
    let text = || value.as_str().map(str::to_owned);
    Ok(match (field_type, value) {
        (_, ValueRef::Null) => Value::Null,
        (FieldType::Bool, _) => Value::Bool(value.as_i64()? != 0),
        (FieldType::Int, _) => Value::Int(value.as_i64()?),
        (FieldType::Decimal, _) => match text()?.parse() {
            Ok(number) => Value::Decimal(number),
            Err(_) => return Err(rusqlite::types::FromSqlError::InvalidType.into()),
        },
        (FieldType::Text | FieldType::Code, _) => Value::Text(text()?),
        (FieldType::Json, _) => Value::Json(text()?),
        (FieldType::Uuid, _) => Value::Uuid(uuid_of(value)?),
        (FieldType::Date, _) => Value::Date(Date(value.as_i64()? as i32)),
        (FieldType::Timestamp, _) => Value::Timestamp(Timestamp(value.as_i64()?)),
    })
}

/// Reads an identifier.
pub(super) fn uuid_of(value: ValueRef<'_>) -> rusqlite::Result<Uuid> {
    let bytes = value.as_blob()?;
    Uuid::from_slice(bytes).map_err(|_| rusqlite::types::FromSqlError::InvalidType.into())
}
