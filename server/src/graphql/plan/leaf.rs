//! Values of fields as clients see them.

use async_graphql::{Name, Value as Out};
use serde::Serialize;
use sync_protocol::code::Locale;
use sync_protocol::entity::{I18n, Place};
use sync_protocol::field::Field;
use sync_protocol::value::Value;

use super::fields::{Planner, Selected};
use crate::graphql::arguments::{arguments, given, text};
use crate::graphql::catalog::{Document, enum_value};
use crate::graphql::error::{ErrorCode, Fault};

/// How the value of a field is shown.
pub(in crate::graphql) enum Leaf {
    /// As a scalar.
    Plain,
    /// As a value of an enum.
    Code,
    /// As the JSON document that it is.
    Document,
    /// As an object `I18nText`.
    I18n(Vec<(Name, I18nPart)>),
    /// As an object `Place`.
    Place(Vec<(Name, PlacePart)>),
}

/// One selected field of `I18nText`.
pub(in crate::graphql) enum I18nPart {
    TypeName,
    Ro,
    En,
    It,
    Text(Locale),
}

/// One selected field of `Place`.
pub(in crate::graphql) enum PlacePart {
    TypeName,
    Latitude,
    Longitude,
    AccuracyM,
    FixedAt,
    IsMock,
}

impl Leaf {
    /// Plans a field that holds a JSON document.
    pub(super) fn document<'a>(planner: &Planner<'a>, field: &Field, selected: &Selected<'a>) -> Result<Self, Fault> {
        Ok(match Document::of(field) {
            Document::I18n => Self::I18n(i18n_parts(planner, selected)?),
            Document::Place => Self::Place(place_parts(planner, selected)),
            Document::Strings | Document::Ids | Document::Other => Self::Document,
        })
    }

    /// Returns the value as clients see it.
    pub(in crate::graphql) fn show(&self, value: &Value) -> Result<Out, Fault> {
        Ok(match (value, self) {
            (Value::Null, _) => Out::Null,
            (Value::Json(json), Self::Document) => parse(json)?,
            (Value::Json(json), Self::I18n(parts)) => i18n(&parse(json)?, parts),
            (Value::Json(json), Self::Place(parts)) => place(&parse(json)?, parts),
            (Value::Text(code), Self::Code) => Out::String(enum_value(code)),
            (value, _) => plain(value),
        })
    }
}

fn plain(value: &Value) -> Out {
    match value {
        Value::Null => Out::Null,
        Value::Bool(v) => Out::Boolean(*v),
        Value::Int(v) => Out::from(*v),
        Value::Text(v) | Value::Json(v) => Out::String(v.clone()),
        Value::Decimal(v) => Out::String(v.to_string()),
        Value::Uuid(v) => Out::String(v.to_string()),
        Value::Date(v) => Out::String(v.to_string()),
        Value::Timestamp(v) => Out::String(v.to_string()),
    }
}

/// Reads a document of the database.
fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Fault> {
    serde_json::from_str(json).map_err(|error| {
        Fault::new(ErrorCode::Internal, format!("a document of the database is not readable: {error}"))
    })
}

fn i18n_parts<'a>(planner: &Planner<'a>, selected: &Selected<'a>) -> Result<Vec<(Name, I18nPart)>, Fault> {
    let parts = planner.collect(&selected.below(), "I18nText").into_iter().map(|part| {
        let planned = match part.name() {
            "ro" => I18nPart::Ro,
            "en" => I18nPart::En,
            "it" => I18nPart::It,
            "text" => {
                let arguments = arguments(planner.env, &part.first().node)?;
                let locale = given(&arguments, "locale").and_then(text).map(Locale::parse);
                I18nPart::Text(locale.unwrap_or(planner.viewer.locale))
            }
            _ => I18nPart::TypeName,
        };
        Ok((part.key.clone(), planned))
    });
    parts.collect()
}

fn i18n(text: &I18n, parts: &[(Name, I18nPart)]) -> Out {
    let optional = |text: &Option<String>| text.clone().map_or(Out::Null, Out::String);
    let fields = parts.iter().map(|(key, part)| {
        let value = match part {
            I18nPart::TypeName => Out::from("I18nText"),
            I18nPart::Ro => Out::from(text.ro.as_str()),
            I18nPart::En => optional(&text.en),
            I18nPart::It => optional(&text.it),
            I18nPart::Text(locale) => Out::from(text.text(*locale)),
        };
        (key.clone(), value)
    });
    Out::Object(fields.collect())
}

fn place_parts<'a>(planner: &Planner<'a>, selected: &Selected<'a>) -> Vec<(Name, PlacePart)> {
    let parts = planner.collect(&selected.below(), "Place").into_iter().map(|part| {
        let planned = match part.name() {
            "latitude" => PlacePart::Latitude,
            "longitude" => PlacePart::Longitude,
            "accuracyM" => PlacePart::AccuracyM,
            "fixedAt" => PlacePart::FixedAt,
            "isMock" => PlacePart::IsMock,
            _ => PlacePart::TypeName,
        };
        (part.key.clone(), planned)
    });
    parts.collect()
}

fn place(place: &Place, parts: &[(Name, PlacePart)]) -> Out {
    let fields = parts.iter().map(|(key, part)| {
        let value = match part {
            PlacePart::TypeName => Out::from("Place"),
            PlacePart::Latitude => json(place.latitude),
            PlacePart::Longitude => json(place.longitude),
            PlacePart::AccuracyM => json(place.accuracy_m),
            PlacePart::FixedAt => json(place.fixed_at),
            PlacePart::IsMock => json(place.is_mock),
        };
        (key.clone(), value)
    });
    Out::Object(fields.collect())
}

fn json(value: impl Serialize) -> Out {
    async_graphql::to_value(value).unwrap_or_default()
}
