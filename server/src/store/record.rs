//! One row of a result, decoded by the types that Postgres names.

use diesel::deserialize::{self, FromSql, QueryableByName};
use diesel::pg::{Pg, PgValue};
use diesel::row::{Field as _, NamedRow};
use diesel::sql_types::Numeric;
use rust_decimal::Decimal;
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::Value;
use uuid::Uuid;

use super::StoreError;
use super::sql::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_US};

/// A row of a result.
#[derive(Clone, Debug)]
pub struct Record(Vec<Cell>);

/// One column of a row: a value of ours, or bytes, which no field holds.
#[derive(Clone, Debug)]
enum Cell {
    Value(Value),
    Bytes(Vec<u8>),
}

impl QueryableByName<Pg> for Record {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        let cells = (0..row.field_count()).map(|at| {
            let field = diesel::row::Row::get(row, at).ok_or("a column is missing")?;
            field.value().map_or(Ok(Cell::Value(Value::Null)), decode)
        });
        cells.collect::<deserialize::Result<_>>().map(Self)
    }
}

/// Decodes one value in Postgres' binary format.
fn decode(value: PgValue<'_>) -> deserialize::Result<Cell> {
    let bytes = value.as_bytes();
    let decoded = match value.get_oid().get() {
        16 => Value::Bool(bytes.first() == Some(&1)),
        17 => return Ok(Cell::Bytes(bytes.to_vec())),
        20 => Value::Int(i64::from_be_bytes(bytes.try_into()?)),
        21 => Value::Int(i64::from(i16::from_be_bytes(bytes.try_into()?))),
        23 => Value::Int(i64::from(i32::from_be_bytes(bytes.try_into()?))),
        25 | 1043 | 19 => Value::Text(std::str::from_utf8(bytes)?.to_owned()),
        // A binary jsonb starts with its format version.
        3802 => Value::Json(std::str::from_utf8(bytes.get(1..).unwrap_or_default())?.to_owned()),
        114 => Value::Json(std::str::from_utf8(bytes)?.to_owned()),
        1082 => Value::Date(Date(i32::from_be_bytes(bytes.try_into()?).saturating_add(POSTGRES_EPOCH_DAYS))),
        1184 => {
            let us = i64::from_be_bytes(bytes.try_into()?).saturating_add(POSTGRES_EPOCH_US);
            Value::Timestamp(Timestamp(us.div_euclid(1_000)))
        }
        1700 => Value::Decimal(<Decimal as FromSql<Numeric, Pg>>::from_sql(value)?),
        2950 => Value::Uuid(Uuid::from_slice(bytes)?),
        oid => return Err(format!("no decoder for the Postgres type {oid}").into()),
    };
    Ok(Cell::Value(decoded))
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident, $optional:ident -> $type:ty: $pattern:pat => $out:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self, column: usize) -> Result<$type, StoreError> {
            self.$optional(column)?.ok_or(StoreError::Shape { column, expected: stringify!($name) })
        }

        /// The same, `None` for null.
        pub fn $optional(&self, column: usize) -> Result<Option<$type>, StoreError> {
            match self.0.get(column) {
                Some(Cell::Value(Value::Null)) => Ok(None),
                Some($pattern) => Ok(Some($out)),
                _ => Err(StoreError::Shape { column, expected: stringify!($name) }),
            }
        }
    )*};
}

impl Record {
    accessors! {
        /// Returns a truth value.
        bool, opt_bool -> bool: Cell::Value(Value::Bool(v)) => *v;
        /// Returns a whole number.
        int, opt_int -> i64: Cell::Value(Value::Int(v)) => *v;
        /// Returns text.
        text, opt_text -> String: Cell::Value(Value::Text(v)) => v.clone();
        /// Returns JSON as text.
        json, opt_json -> String: Cell::Value(Value::Json(v)) => v.clone();
        /// Returns an identifier.
        uuid, opt_uuid -> Uuid: Cell::Value(Value::Uuid(v)) => *v;
        /// Returns a date.
        date, opt_date -> Date: Cell::Value(Value::Date(v)) => *v;
        /// Returns an instant.
        timestamp, opt_timestamp -> Timestamp: Cell::Value(Value::Timestamp(v)) => *v;
        /// Returns bytes.
        bytes, opt_bytes -> Vec<u8>: Cell::Bytes(v) => v.clone();
    }

    /// Takes the values of the columns `from..`, for a row that is read by its field table.
    pub fn into_values(self, from: usize) -> Result<Vec<Value>, StoreError> {
        let cells = self.0.into_iter().enumerate().skip(from);
        cells
            .map(|(column, cell)| match cell {
                Cell::Value(value) => Ok(value),
                Cell::Bytes(_) => Err(StoreError::Shape { column, expected: "a value of a field" }),
            })
            .collect()
    }
}
