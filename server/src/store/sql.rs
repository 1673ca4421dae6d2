//! A statement with its binds. The text is always our own; values travel as binds only.
//!
//! diesel caches a prepared statement by its text, which `sql_query` does not; this wrapper is cached.

use diesel::pg::Pg;
use diesel::pg::data_types::{PgDate, PgTimestamp};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{self, Array, Nullable, Untyped};
use rust_decimal::Decimal;
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

/// Microseconds between 1970-01-01 and 2000-01-01, where Postgres starts to count.
pub(super) const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// Days between the same dates.
pub(super) const POSTGRES_EPOCH_DAYS: i32 = 10_957;

/// One value bound to a placeholder.
#[derive(Clone, Debug)]
pub enum Bind {
    Bool(bool),
    Int(i32),
    BigInt(i64),
    OptBigInt(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Date(Option<Day>),
    Timestamp(Option<Instant>),
    Bools(Vec<Option<bool>>),
    Ints(Vec<Option<i32>>),
    BigInts(Vec<Option<i64>>),
    Decimals(Vec<Option<Decimal>>),
    Texts(Vec<Option<String>>),
    ByteArrays(Vec<Option<Vec<u8>>>),
    Uuids(Vec<Option<Uuid>>),
    Dates(Vec<Option<Day>>),
    Timestamps(Vec<Option<Instant>>),
}

macro_rules! bind_from {
    ($($from:ty => |$value:ident| $bind:expr;)*) => {$(
        impl From<$from> for Bind {
            fn from($value: $from) -> Self {
                $bind
            }
        }
    )*};
}

bind_from! {
    bool => |v| Self::Bool(v);
    i32 => |v| Self::Int(v);
    i64 => |v| Self::BigInt(v);
    &str => |v| Self::Text(Some(v.to_owned()));
    String => |v| Self::Text(Some(v));
    Option<String> => |v| Self::Text(v);
    Vec<u8> => |v| Self::Bytes(Some(v));
    Option<Vec<u8>> => |v| Self::Bytes(v);
    &[u8] => |v| Self::Bytes(Some(v.to_vec()));
    Uuid => |v| Self::Uuid(Some(v));
    Option<Uuid> => |v| Self::Uuid(v);
    Date => |v| Self::Date(Some(Day(v)));
    Option<Date> => |v| Self::Date(v.map(Day));
    Timestamp => |v| Self::Timestamp(Some(Instant(v)));
    Option<Timestamp> => |v| Self::Timestamp(v.map(Instant));
    Vec<Uuid> => |v| Self::Uuids(v.into_iter().map(Some).collect());
    &[Uuid] => |v| Self::Uuids(v.iter().copied().map(Some).collect());
    Vec<Option<Uuid>> => |v| Self::Uuids(v);
    Vec<String> => |v| Self::Texts(v.into_iter().map(Some).collect());
    Vec<Option<String>> => |v| Self::Texts(v);
    Vec<i32> => |v| Self::Ints(v.into_iter().map(Some).collect());
    Vec<i64> => |v| Self::BigInts(v.into_iter().map(Some).collect());
    Vec<Vec<u8>> => |v| Self::ByteArrays(v.into_iter().map(Some).collect());
    Vec<Timestamp> => |v| Self::Timestamps(v.into_iter().map(|at| Some(Instant(at))).collect());
    Vec<Option<Timestamp>> => |v| Self::Timestamps(v.into_iter().map(|at| at.map(Instant)).collect());
}

impl Bind {
    /// Returns the column of one field as an array, for `unnest`. JSON travels as text and is cast in the SELECT.
    pub fn column<'v>(field_type: FieldType, values: impl Iterator<Item = &'v Value>) -> Self {
        macro_rules! array {
            ($bind:ident, $pattern:pat => $out:expr) => {
                Self::$bind(values.map(|value| if let $pattern = value { Some($out) } else { None }).collect())
            };
        }
        match field_type {
            FieldType::Bool => array!(Bools, Value::Bool(v) => *v),
            FieldType::Int => array!(Ints, Value::Int(v) => *v as i32),
            FieldType::Decimal => array!(Decimals, Value::Decimal(v) => *v),
            FieldType::Text | FieldType::Code => array!(Texts, Value::Text(v) => v.clone()),
            FieldType::Uuid => array!(Uuids, Value::Uuid(v) => *v),
            FieldType::Date => array!(Dates, Value::Date(v) => Day(*v)),
            FieldType::Timestamp => array!(Timestamps, Value::Timestamp(v) => Instant(*v)),
            FieldType::Json => array!(Texts, Value::Json(v) => v.clone()),
        }
    }

    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        match self {
            Self::Bool(v) => out.push_bind_param::<sql_types::Bool, _>(v),
            Self::Int(v) => out.push_bind_param::<sql_types::Integer, _>(v),
            Self::BigInt(v) => out.push_bind_param::<sql_types::BigInt, _>(v),
            Self::OptBigInt(v) => out.push_bind_param::<Nullable<sql_types::BigInt>, _>(v),
            Self::Text(v) => out.push_bind_param::<Nullable<sql_types::Text>, _>(v),
            Self::Bytes(v) => out.push_bind_param::<Nullable<sql_types::Binary>, _>(v),
            Self::Uuid(v) => out.push_bind_param::<Nullable<sql_types::Uuid>, _>(v),
            Self::Date(v) => out.push_bind_param::<Nullable<sql_types::Date>, _>(v),
            Self::Timestamp(v) => out.push_bind_param::<Nullable<sql_types::Timestamptz>, _>(v),
            Self::Bools(v) => out.push_bind_param::<Array<Nullable<sql_types::Bool>>, _>(v),
            Self::Ints(v) => out.push_bind_param::<Array<Nullable<sql_types::Integer>>, _>(v),
            Self::BigInts(v) => out.push_bind_param::<Array<Nullable<sql_types::BigInt>>, _>(v),
            Self::Decimals(v) => out.push_bind_param::<Array<Nullable<sql_types::Numeric>>, _>(v),
            Self::Texts(v) => out.push_bind_param::<Array<Nullable<sql_types::Text>>, _>(v),
            Self::ByteArrays(v) => out.push_bind_param::<Array<Nullable<sql_types::Binary>>, _>(v),
            Self::Uuids(v) => out.push_bind_param::<Array<Nullable<sql_types::Uuid>>, _>(v),
            Self::Dates(v) => out.push_bind_param::<Array<Nullable<sql_types::Date>>, _>(v),
            Self::Timestamps(v) => out.push_bind_param::<Array<Nullable<sql_types::Timestamptz>>, _>(v),
        }
    }
}

/// A date as diesel sends it.
#[derive(Clone, Copy, Debug)]
pub struct Day(Date);

/// An instant as diesel sends it.
#[derive(Clone, Copy, Debug)]
pub struct Instant(Timestamp);

impl ToSql<sql_types::Date, Pg> for Day {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let days = PgDate(self.0.0.saturating_sub(POSTGRES_EPOCH_DAYS));
        ToSql::<sql_types::Date, Pg>::to_sql(&days, &mut out.reborrow())?;
        Ok(IsNull::No)
    }
}

impl ToSql<sql_types::Timestamptz, Pg> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let us = PgTimestamp(self.0.0.saturating_mul(1_000).saturating_sub(POSTGRES_EPOCH_US));
        ToSql::<sql_types::Timestamptz, Pg>::to_sql(&us, &mut out.reborrow())?;
        Ok(IsNull::No)
    }
}

/// A statement and its binds.
#[derive(Clone, Debug)]
pub struct Sql {
    text: String,
    binds: Vec<Bind>,
}

impl Sql {
    /// Returns a statement. `$1` to `$n` stand for the binds in the order in which they are added.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), binds: Vec::new() }
    }

    /// Adds the value of the next placeholder.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Bind>) -> Self {
        self.binds.push(value.into());
        self
    }

    /// Appends text whose placeholders go on counting.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends a placeholder for `value`.
    pub fn push_bind(&mut self, value: impl Into<Bind>) {
        self.binds.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.binds.len().to_string());
    }

    /// Returns the text, for logs and plans.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Query for Sql {
    type SqlType = Untyped;
}

impl QueryId for Sql {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C> diesel::RunQueryDsl<C> for Sql {}

impl QueryFragment<Pg> for Sql {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find('$') {
            let (before, after) = rest.split_at(at);
            let digits = after[1..].bytes().take_while(u8::is_ascii_digit).count();
            let bind = after[1..=digits].parse::<usize>().ok().and_then(|n| self.binds.get(n.wrapping_sub(1)));
            let Some(bind) = bind else {
                return Err(diesel::result::Error::QueryBuilderError(format!("no bind for {after:.4}").into()));
            };
            out.push_sql(before);
            bind.push(&mut out)?;
            rest = &after[1 + digits..];
        }
        out.push_sql(rest);
        Ok(())
    }
}
