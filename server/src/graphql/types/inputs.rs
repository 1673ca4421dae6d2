//! What clients may ask lists for: filters and orders, over indexed fields only.

use async_graphql::registry::{EnumBuilder, InputObjectBuilder, MetaEnumValue, MetaInputValue, MetaType, Registry};
use sync_protocol::field::Field;
use sync_protocol::value::FieldType;

use super::{add, argument, arguments};
use crate::graphql::catalog::{Catalog, column_name, indexed_fields, order_name, scalar_name};

/// Adds the inputs of every list.
pub(super) fn register(registry: &mut Registry) {
    add_operators(registry, "ID", FieldType::Uuid);
    for shape in Catalog::get().shapes() {
        add_lists(registry, shape.type_name(), &indexed_fields(shape.kind.def()).collect::<Vec<_>>());
    }
}

/// Adds the filter and the order of one type of rows.
pub(in crate::graphql) fn add_lists(registry: &mut Registry, type_name: &str, fields: &[&'static Field]) {
    fields.iter().for_each(|field| add_operators(registry, &scalar_name(field), field.field_type));
    add_filter(registry, type_name, fields);
    add_order(registry, type_name, fields);
}

/// Adds the operators of one scalar or enum: `DateFilter`.
fn add_operators(registry: &mut Registry, scalar: &str, field_type: FieldType) {
    let list = format!("[{scalar}!]");
    let mut operators = vec![argument("eq", scalar, "Equal."), argument("in", list, "One of these, at most 100.")];
    if is_ordered(field_type) {
        operators.push(argument("gte", scalar, "This or more."));
        operators.push(argument("lt", scalar, "Less than this."));
    }
    operators.push(argument("isNull", "Boolean", "Whether there is no value."));
    if field_type == FieldType::Text {
        operators.push(argument("contains", scalar, "Contains this; case and diacritics do not count."));
    }
    let name = operators_name(scalar);
    add(registry, &name, input(&name, "Every operator given must hold.", operators));
}

fn add_filter(registry: &mut Registry, type_name: &str, tests: &[&'static Field]) {
    let name = filter_name(type_name);
    let mut fields = vec![argument("id", operators_name("ID"), "The identifier.")];
    fields.extend(tests.iter().map(|field| argument(&column_name(field), operators_for(field), field.doc.trim())));
    fields.push(argument("and", format!("[{name}!]"), "All of these."));
    fields.push(argument("or", format!("[{name}!]"), "At least one of these."));
    fields.push(argument("not", name.clone(), "Not this."));
    add(registry, &name, input(&name, "Every condition given must hold; `{}` lets every row pass.", fields));
}

fn add_order(registry: &mut Registry, type_name: &str, by: &[&'static Field]) {
    let (name, fields) = (order_type_name(type_name), format!("{type_name}OrderField"));
    let values = std::iter::once("ID".to_owned()).chain(by.iter().map(|field| order_name(field)));
    let values = values.map(|value| (value.clone(), MetaEnumValue::new(value))).collect();
    let doc = "A field by which lists are ordered.".to_owned();
    add(registry, &fields, EnumBuilder::new(fields.clone(), values).description(Some(doc)).build());
    let terms = [
        argument("field", format!("{fields}!"), "The field."),
        MetaInputValue {
            default_value: Some("ASC".to_owned()),
            ..argument("direction", "OrderDirection!", "Up or down; nulls count as the largest.")
        },
    ];
    add(registry, &name, input(&name, "One term of an order; the identifier decides among equals.", terms));
}

fn input(name: &str, doc: &str, fields: impl IntoIterator<Item = MetaInputValue>) -> MetaType {
    InputObjectBuilder::new(name, arguments(fields)).description(Some(doc.to_owned())).build()
}

fn is_ordered(field_type: FieldType) -> bool {
    matches!(field_type, FieldType::Int | FieldType::Date | FieldType::Timestamp | FieldType::Text)
}

fn operators_for(field: &Field) -> String {
    operators_name(&scalar_name(field))
}

fn operators_name(scalar: &str) -> String {
    format!("{scalar}Filter")
}

/// Returns the name of the filter of a type: `VisitFilter`.
pub(super) fn filter_name(type_name: &str) -> String {
    operators_name(type_name)
}

/// Returns the name of the order of a type: `VisitOrder`.
pub(super) fn order_type_name(type_name: &str) -> String {
    format!("{type_name}Order")
}
