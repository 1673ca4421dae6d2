//! Filters as clients write them, turned into conditions of the store.

use async_graphql::Value as Given;
use sync_protocol::value::{FieldType, Value};

use super::arguments::{Named, items, text};
use super::catalog::column_name;
use super::error::Fault;
use super::paging::{Listed, bad_input};
use crate::store::query::{Column, Filter, Test};

/// How deep `and`, `or` and `not` may be nested.
const MAX_DEPTH: usize = 3;
/// The most values of one `in`, and the most filters of one `and` or `or`.
const MAX_VALUES: usize = 100;

/// Reads a filter.
pub(super) fn filter(listed: &Listed, value: &Given) -> Result<Filter, Fault> {
    nested(listed, value, 0)
}

fn nested(listed: &Listed, value: &Given, depth: usize) -> Result<Filter, Fault> {
    if depth > MAX_DEPTH {
        return Err(bad_input(format!("A filter is nested at most {MAX_DEPTH} levels deep.")));
    }
    let Given::Object(fields) = value else { return Err(bad_input("A filter is not an object.")) };
    let mut parts = Vec::new();
    for (name, value) in fields.iter().filter(|(_, value)| !matches!(value, Given::Null)) {
        parts.push(match name.as_str() {
            "and" => Filter::All(list(listed, value, depth)?),
            "or" => Filter::Any(list(listed, value, depth)?),
            "not" => Filter::Not(Box::new(nested(listed, value, depth + 1)?)),
            name => Filter::All(tests(column(listed, name)?, value)?),
        });
    }
    Ok(Filter::All(parts))
}

fn list(listed: &Listed, value: &Given, depth: usize) -> Result<Vec<Filter>, Fault> {
    let filters = bounded(items(value))?;
    filters.iter().map(|filter| nested(listed, filter, depth + 1)).collect()
}

fn column(listed: &Listed, name: &str) -> Result<Column, Fault> {
    if name == "id" {
        return Ok(Column::Id);
    }
    let column = listed.column(name, column_name)?;
    column.ok_or_else(|| bad_input(format!("There is no filter by `{name}`.")))
}

fn tests(column: Column, operators: &Given) -> Result<Vec<Filter>, Fault> {
    let Given::Object(operators) = operators else { return Err(bad_input("The operators are not an object.")) };
    operators_of(operators).map(|(name, value)| Ok(Filter::Test(column, test(column, name, value)?))).collect()
}

/// An operator that is null is one that was not given.
fn operators_of(operators: &Named) -> impl Iterator<Item = (&str, &Given)> {
    operators.iter().filter(|(_, value)| !matches!(value, Given::Null)).map(|(name, value)| (name.as_str(), value))
}

fn test(column: Column, operator: &str, value: &Given) -> Result<Test, Fault> {
    let one = || field_value(column.field_type(), value);
    Ok(match (operator, value) {
        ("eq", _) => Test::Eq(one()?),
        ("gte", _) => Test::AtLeast(one()?),
        ("lt", _) => Test::Below(one()?),
        ("in", _) => {
            let values = bounded(items(value))?.iter().map(|value| field_value(column.field_type(), value));
            Test::In(values.collect::<Result<_, _>>()?)
        }
        ("isNull", Given::Boolean(is_null)) => Test::IsNull(*is_null),
        ("contains", Given::String(text)) => Test::Contains(text.clone()),
        _ => return Err(bad_input(format!("The operator `{operator}` is not known."))),
    })
}

fn bounded(values: &[Given]) -> Result<&[Given], Fault> {
    if values.len() > MAX_VALUES {
        return Err(bad_input(format!("A list in a filter has at most {MAX_VALUES} values.")));
    }
    Ok(values)
}

/// Turns a value of the client into one of a field.
fn field_value(field_type: FieldType, value: &Given) -> Result<Value, Fault> {
    let parsed = match (field_type, value) {
        (FieldType::Bool, Given::Boolean(flag)) => Some(Value::Bool(*flag)),
        (FieldType::Int, Given::Number(number)) => {
            number.as_i64().filter(|number| i32::try_from(*number).is_ok()).map(Value::Int)
        }
        (_, value) => text(value).and_then(|text| parse(field_type, text)),
    };
    parsed.ok_or_else(|| bad_input("A value of the filter has the wrong type."))
}

fn parse(field_type: FieldType, text: &str) -> Option<Value> {
    match field_type {
        FieldType::Text => Some(Value::Text(text.to_owned())),
        // The underscore before a digit belongs to GraphQL, not to the code.
        FieldType::Code => Some(Value::Text(text.strip_prefix('_').unwrap_or(text).to_owned())),
        FieldType::Uuid => text.parse().ok().map(Value::Uuid),
        FieldType::Date => text.parse().ok().map(Value::Date),
        FieldType::Timestamp => text.parse().ok().map(Value::Timestamp),
        FieldType::Bool | FieldType::Int | FieldType::Decimal | FieldType::Json => None,
    }
}
