//! The values that fields hold, in every layer between the typed ends.

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::time::{Date, Timestamp};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// True or false.
    Bool,
    /// A whole number that fits in 32 bits.
    Int,
    /// An exact decimal number, such as an amount of money.
    Decimal,
    /// Text; the field gives the maximum length in characters.
    Text,
    /// A code out of a closed list, written in `SCREAMING_SNAKE_CASE`.
    Code,
    /// An identifier.
    Uuid,
    /// A calendar date.
    Date,
    /// An instant, UTC, in milliseconds.
    Timestamp,
    /// A JSON document, for values with a shape of their own (a place, labels in several languages).
    Json,
}

/// The value of one field of one row.
#[derive(Clone, Debug)]
pub enum Value {
    /// No value.
    Null,
    /// See [`FieldType::Bool`].
    Bool(bool),
    /// See [`FieldType::Int`].
    Int(i64),
    /// See [`FieldType::Decimal`].
    Decimal(Decimal),
    /// See [`FieldType::Text`] and [`FieldType::Code`].
    Text(String),
    /// See [`FieldType::Uuid`].
    Uuid(Uuid),
    /// See [`FieldType::Date`].
    Date(Date),
    /// See [`FieldType::Timestamp`].
    Timestamp(Timestamp),
    /// See [`FieldType::Json`]; the text is valid JSON.
    Json(String),
}

impl PartialEq for Value {
    /// JSON documents are compared by what they say: a database writes them with other spaces and another order of
    /// keys than a phone does.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => a == b || is_same_document(a, b),
            _ => false,
        }
    }
}

fn is_same_document(a: &str, b: &str) -> bool {
    let read = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    read(a).is_some_and(|a| read(b) == Some(a))
}

impl Value {
    /// Returns whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns whether this value may stand in a field of type `field_type`; null always may.
    pub fn fits(&self, field_type: FieldType) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(_) => field_type == FieldType::Bool,
            Self::Int(number) => field_type == FieldType::Int && i32::try_from(*number).is_ok(),
            Self::Decimal(_) => field_type == FieldType::Decimal,
            Self::Text(_) => matches!(field_type, FieldType::Text | FieldType::Code),
            Self::Uuid(_) => field_type == FieldType::Uuid,
            Self::Date(_) => field_type == FieldType::Date,
            Self::Timestamp(_) => field_type == FieldType::Timestamp,
            Self::Json(_) => field_type == FieldType::Json,
        }
    }

    /// Returns the identifier, if this is one.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Self::Uuid(id) => Some(*id),
            _ => None,
        }
    }

    /// Returns the value as JSON, for people and for tools: identifiers, dates and exact numbers as text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Decimal(value) => Json::String(value.to_string()),
            Self::Text(value) => Json::String(value.clone()),
            Self::Uuid(value) => Json::String(value.to_string()),
            Self::Date(value) => Json::String(value.to_string()),
            Self::Timestamp(value) => Json::String(value.to_string()),
            Self::Json(value) => serde_json::from_str(value).unwrap_or(Json::Null),
        }
    }

    /// Reads the form of [`Value::to_json`]; `None` when it does not fit the type.
    pub fn from_json(field_type: FieldType, json: &serde_json::Value) -> Option<Self> {
        if json.is_null() {
            return Some(Self::Null);
        }
        match field_type {
            FieldType::Bool => json.as_bool().map(Self::Bool),
            FieldType::Int => json.as_i64().map(Self::Int),
            FieldType::Decimal => json.as_str()?.parse().ok().map(Self::Decimal),
            FieldType::Text | FieldType::Code => json.as_str().map(|text| Self::Text(text.to_owned())),
            FieldType::Uuid => json.as_str()?.parse().ok().map(Self::Uuid),
            FieldType::Date => json.as_str()?.parse().ok().map(Self::Date),
            FieldType::Timestamp => json.as_str()?.parse().ok().map(Self::Timestamp),
            FieldType::Json => Some(Self::Json(json.to_string())),
        }
    }

    /// Returns the text, if this is text or a code.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A Rust type that a field of an entity may have.
pub trait FieldValue: Sized {
    /// The field type that it is stored as.
    const TYPE: FieldType;
    /// Whether null is a value of it.
    const NULLABLE: bool;
    /// The name of the type for code lists and documents; otherwise empty.
    const NAME: &'static str = "";
    /// For codes, every value of the closed list; otherwise empty.
    const CODES: &'static [&'static str] = &[];
    /// Returns the stored form.
    fn to_value(&self) -> Value;
    /// Returns the typed form, or `None` when `value` has another type.
    fn from_value(value: &Value) -> Option<Self>;
}

impl<T: FieldValue> FieldValue for Option<T> {
    const TYPE: FieldType = T::TYPE;
    const NULLABLE: bool = true;
    const NAME: &'static str = T::NAME;
    const CODES: &'static [&'static str] = T::CODES;
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
    fn from_value(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::from_value(value).map(Some) }
    }
}

macro_rules! plain_field_value {
    ($($rust:ty => $variant:ident, |$out:ident| $to:expr, |$in:ident| $from:expr;)*) => {$(
        impl FieldValue for $rust {
            const TYPE: FieldType = FieldType::$variant;
            const NULLABLE: bool = false;
            fn to_value(&self) -> Value {
                let $out = self;
                Value::$variant($to)
            }
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant($in) => $from,
                    _ => None,
                }
            }
        }
    )*};
}

plain_field_value! {
    bool => Bool, |v| *v, |v| Some(*v);
    i32 => Int, |v| i64::from(*v), |v| i32::try_from(*v).ok();
    Decimal => Decimal, |v| *v, |v| Some(*v);
    String => Text, |v| v.clone(), |v| Some(v.clone());
    Uuid => Uuid, |v| *v, |v| Some(*v);
    Date => Date, |v| *v, |v| Some(*v);
    Timestamp => Timestamp, |v| *v, |v| Some(*v);
}

/// Implements [`FieldValue`] for types with serde that are stored as JSON.
macro_rules! json_field_value {
    ($($rust:ty),* $(,)?) => {$(
        impl $crate::value::FieldValue for $rust {
            const TYPE: $crate::value::FieldType = $crate::value::FieldType::Json;
            const NULLABLE: bool = false;
            const NAME: &'static str = stringify!($rust);
            fn to_value(&self) -> $crate::value::Value {
                // These types hold only strings, numbers and lists, which always have a JSON form.
                $crate::value::Value::Json(serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned()))
            }
            fn from_value(value: &$crate::value::Value) -> Option<Self> {
                match value {
                    $crate::value::Value::Json(text) => serde_json::from_str(text).ok(),
                    _ => None,
                }
            }
        }
    )*};
}
pub(crate) use json_field_value;

json_field_value!(Vec<String>, Vec<Uuid>);
