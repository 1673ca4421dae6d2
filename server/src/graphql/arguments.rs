//! The arguments of a field with their variables filled in.

use async_graphql::context::QueryEnvInner;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::Field;
use async_graphql::{Name, Value};

use super::error::{ErrorCode, Fault};

/// Named values: the arguments of a field, or the fields of an input object.
pub(super) type Named = IndexMap<Name, Value>;

/// Returns the arguments that were given. A variable that was left out counts as null, and null as not given:
/// no argument of this schema tells them apart.
pub(super) fn arguments(env: &QueryEnvInner, field: &Field) -> Result<Named, Fault> {
    let mut given = Named::new();
    for (name, value) in &field.arguments {
        let filled = value.node.clone().into_const_with(|name| Ok::<_, Fault>(variable(env, &name)))?;
        refuse_nul(&filled).map_err(|fault| fault.at(name.pos))?;
        given.insert(name.node.clone(), filled);
    }
    Ok(given)
}

fn variable(env: &QueryEnvInner, name: &Name) -> Value {
    if let Some(value) = env.variables.get(name) {
        return value.clone();
    }
    let definition = env.operation.node.variable_definitions.iter().find(|def| def.node.name.node == *name);
    definition.and_then(|def| def.node.default_value.as_ref()).map_or(Value::Null, |value| value.node.clone())
}

/// Postgres cannot store the character NUL in text.
fn refuse_nul(value: &Value) -> Result<(), Fault> {
    let bad = match value {
        Value::String(text) => text.contains('\0'),
        Value::List(items) => return items.iter().try_for_each(refuse_nul),
        Value::Object(fields) => return fields.values().try_for_each(refuse_nul),
        _ => false,
    };
    if bad { Err(Fault::new(ErrorCode::BadUserInput, "The character NUL is not allowed in text.")) } else { Ok(()) }
}

/// Returns the text of a string or an enum value.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Enum(name) => Some(name),
        _ => None,
    }
}

/// Returns a value unless it is absent or null.
pub(super) fn given<'v>(named: &'v Named, name: &str) -> Option<&'v Value> {
    named.get(name).filter(|value| !matches!(value, Value::Null))
}

/// Returns the items of a list; a single value stands for a list of one.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::List(items) => items,
        single => std::slice::from_ref(single),
    }
}
