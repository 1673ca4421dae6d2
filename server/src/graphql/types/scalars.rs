//! Scalars, and one enum for each code list.

use std::sync::Arc;

use async_graphql::Value;
use async_graphql::registry::{EnumBuilder, MetaEnumValue, MetaType, Registry};
use sync_protocol::code::Locale;
use sync_protocol::entity::EntityKind;
use sync_protocol::field::Field;
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::{FieldType, FieldValue as _};
use uuid::Uuid;

use super::add;
use crate::graphql::catalog::enum_value;

/// Adds the scalars and the enums.
pub(super) fn register(registry: &mut Registry) {
    for (name, doc, is_valid) in SCALARS {
        add(registry, name, scalar(name, doc, *is_valid));
    }
    let codes = EntityKind::ALL.iter().flat_map(|kind| kind.def().fields).filter(|f| f.field_type == FieldType::Code);
    for field in codes {
        add(registry, field.type_name, code_list(field));
    }
    add(registry, Locale::NAME, enumeration(Locale::NAME, "A language.", Locale::CODES));
    add(registry, "OrderDirection", enumeration("OrderDirection", "Up or down.", &["ASC", "DESC"]));
}

/// A scalar: its name, its description, and which texts are values of it.
type Scalar = (&'static str, &'static str, fn(&str) -> bool);

const SCALARS: &[Scalar] = &[
    ("ID", "A UUID in its canonical form.", |text| Uuid::parse_str(text).is_ok()),
    ("Date", "A calendar date: `2024-04-01`.", |text| text.parse::<Date>().is_ok()),
    ("DateTime", "An instant, RFC 3339 in UTC with milliseconds: `2024-04-01T10:10:05.120Z`.", |text| {
        text.parse::<Timestamp>().is_ok()
    }),
    ("Decimal", "An exact decimal number, as a string: `0.75`.", |text| text.parse::<rust_decimal::Decimal>().is_ok()),
    ("BigInt", "A whole number of up to 64 bits, as a string.", |text| text.parse::<i64>().is_ok()),
    ("UUID", "A UUID that the client makes.", |text| Uuid::parse_str(text).is_ok()),
    ("JSON", "A JSON document whose shape depends on the row.", |_| false),
];

fn scalar(name: &str, doc: &str, is_valid: fn(&str) -> bool) -> MetaType {
    let is_document = name == "JSON";
    MetaType::Scalar {
        name: name.to_owned(),
        description: Some(doc.to_owned()),
        is_valid: Some(Arc::new(move |value: &Value| match value {
            Value::String(text) => is_valid(text),
            Value::Object(_) => is_document,
            _ => false,
        })),
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        specified_by_url: None,
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}

fn code_list(field: &Field) -> MetaType {
    enumeration(field.type_name, "A closed list of codes; it may grow.", field.codes)
}

fn enumeration(name: &str, doc: &str, codes: &[&str]) -> MetaType {
    let values = codes.iter().map(|code| {
        let name = enum_value(code);
        (name.clone(), MetaEnumValue::new(name))
    });
    EnumBuilder::new(name, values.collect()).description(Some(doc.to_owned())).build()
}
