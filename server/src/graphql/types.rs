//! The schema as the library knows it, for validation, introspection and the exported SDL.

mod inputs;
mod objects;
mod scalars;

use async_graphql::indexmap::IndexMap;
use async_graphql::registry::{MetaField, MetaInputValue, MetaType, ObjectBuilder, Registry};

/// Adds every type of the schema below the roots.
pub(super) fn register(registry: &mut Registry) {
    scalars::register(registry);
    inputs::register(registry);
    objects::register(registry);
    super::fleet::register(registry);
}

pub(super) use inputs::add_lists;
pub(super) use objects::{add_connection, list_cost, page_arguments, root_fields};

pub(super) fn add(registry: &mut Registry, name: &str, definition: MetaType) {
    registry.types.insert(name.to_owned(), definition);
}

pub(super) fn field(name: &str, ty: impl Into<String>, doc: &str) -> MetaField {
    MetaField { description: Some(doc.trim().to_owned()), ..MetaField::new(name, ty) }
}

pub(super) fn argument(name: &str, ty: impl Into<String>, doc: &str) -> MetaInputValue {
    MetaInputValue { description: Some(doc.to_owned()), ..MetaInputValue::new(name, ty) }
}

pub(super) fn arguments(arguments: impl IntoIterator<Item = MetaInputValue>) -> IndexMap<String, MetaInputValue> {
    arguments.into_iter().map(|argument| (argument.name.clone(), argument)).collect()
}

pub(super) fn object(name: &str, doc: &str, fields: impl IntoIterator<Item = MetaField>) -> MetaType {
    let fields = fields.into_iter().map(|field| (field.name.clone(), field)).collect();
    ObjectBuilder::new(name, fields).description(Some(doc.trim().to_owned())).build()
}
