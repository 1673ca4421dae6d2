//! Object types: one for each entity, with its connection, and the few that stand beside them.

use async_graphql::indexmap::IndexSet;
use async_graphql::parser::types::Field as Selected;
use async_graphql::registry::{MetaField, MetaInputValue, MetaType, Registry};
use async_graphql::{Positioned, ServerResult, VisitorContext};
use sync_protocol::entity::EntityKind;
use sync_protocol::field::Field;

use super::inputs::{filter_name, order_type_name};
use super::{add, argument, arguments, field, object};
use crate::domain::policy::is_protected;
use crate::graphql::catalog::{Catalog, Member, Shape, Source, scalar_name};
use crate::graphql::fleet;
use crate::graphql::paging::DEFAULT_PAGE;

/// Adds the object types.
pub(super) fn register(registry: &mut Registry) {
    for shape in Catalog::get().shapes() {
        let def = shape.kind.def();
        let fields = shape.members.iter().map(|member| member_field(def.kind, member));
        add(registry, def.type_name, object(def.type_name, def.doc, fields));
        registry.add_implements(def.type_name, "Node");
        add_connection(registry, shape.type_name());
    }
    add(registry, "Node", node_interface());
    for definition in [page_info(), i18n_text(), place(), viewer(), permission()] {
        let name = definition.name().to_owned();
        add(registry, &name, definition);
    }
}

/// Returns the fields of the query root.
pub(in crate::graphql) fn root_fields() -> Vec<MetaField> {
    let id = || arguments([argument("id", "ID!", "The identifier.")]);
    let node = MetaField { args: id(), ..field("node", "Node", "Any row by its identifier.") };
    let mut fields = vec![field("viewer", "Viewer", "Who asks."), node];
    for shape in Catalog::get().shapes() {
        let doc = format!("One row: {}", shape.kind.def().doc.trim());
        fields.push(MetaField { args: id(), ..field(&shape.singular, shape.type_name(), &doc) });
        let doc = format!("A list: {}", shape.kind.def().doc.trim());
        fields.push(list_field(shape.plural, shape, true, &doc));
    }
    fields.extend(fleet::root_fields());
    fields
}

fn member_field(kind: EntityKind, member: &Member) -> MetaField {
    match member.source {
        Source::Id => field(&member.name, "ID!", &member.doc),
        Source::Version => field(&member.name, "BigInt!", &member.doc),
        Source::Column(column) => column_field(kind, member, &kind.def().fields[column]),
        Source::One { kind: target, .. } => field(&member.name, target.def().type_name, &member.doc),
        Source::Many { kind: child, .. } => list_field(&member.name, Catalog::get().shape(child), false, &member.doc),
    }
}

/// A field that some roles may not read is nullable, whatever the database says.
fn column_field(kind: EntityKind, member: &Member, column: &Field) -> MetaField {
    let protected = is_protected(kind, column);
    let mark = if column.nullable || protected { "" } else { "!" };
    let doc = format!("{}{}", member.doc, if protected { " Null for roles that may not read it." } else { "" });
    field(&member.name, format!("{}{mark}", scalar_name(column)), &doc)
}

fn list_field(name: &str, shape: &Shape, at_root: bool, doc: &str) -> MetaField {
    let mark = if at_root { "" } else { "!" };
    MetaField {
        args: arguments(list_arguments(shape)),
        compute_complexity: Some(list_cost),
        ..field(name, format!("{}Connection{mark}", shape.type_name()), doc)
    }
}

fn list_arguments(shape: &Shape) -> Vec<MetaInputValue> {
    let mut list = page_arguments(shape.type_name());
    if shape.kind.def().fields.iter().any(|field| field.searched) {
        list.push(argument("search", "String", "Text that the row contains; case and diacritics do not count."));
    }
    list
}

/// Returns the arguments that every list of rows has.
pub(in crate::graphql) fn page_arguments(type_name: &str) -> Vec<MetaInputValue> {
    vec![
        argument("first", "Int", "How many rows from the start; 25 unless told, at most 200."),
        argument("after", "String", "Start after the row with this cursor."),
        argument("last", "Int", "How many rows from the end."),
        argument("before", "String", "End before the row with this cursor."),
        argument("filter", filter_name(type_name), "What the rows must fulfil."),
        argument("orderBy", format!("[{}!]", order_type_name(type_name)), "The order; by identifier unless told."),
    ]
}

/// Returns what a list costs: its own read, and the selection for every row of the page.
pub(in crate::graphql) fn list_cost(
    ctx: &VisitorContext<'_>,
    variables: &[Positioned<async_graphql::parser::types::VariableDefinition>],
    selected: &Selected,
    child: usize,
) -> ServerResult<usize> {
    // A variable that was left out is an error here and simply not given to us; a wrong type is refused elsewhere.
    let size = |name| ctx.param_value::<Option<i32>>(variables, selected, name, Some(|| None)).ok().flatten();
    let rows = size("first").or_else(|| size("last")).map_or(DEFAULT_PAGE, |rows| usize::try_from(rows).unwrap_or(0));
    Ok(rows.saturating_mul(child).saturating_add(1))
}

/// Adds the connection and the edge of a type.
pub(in crate::graphql) fn add_connection(registry: &mut Registry, name: &str) {
    let (connection, edge) = (format!("{name}Connection"), format!("{name}Edge"));
    let edge_fields = [
        field("cursor", "String!", "Where the row stands in the list."),
        field("node", format!("{name}!"), "The row."),
    ];
    let fields = [
        field("edges", format!("[{edge}!]!"), "The rows of the page with their cursors."),
        field("nodes", format!("[{name}!]!"), "The rows of the page."),
        field("pageInfo", "PageInfo!", "Where the page stands in the list."),
        field("totalCount", "Int!", "How many rows there are on all pages; counted only when selected."),
    ];
    add(registry, &edge, object(&edge, "A row of a list.", edge_fields));
    add(registry, &connection, object(&connection, "One page of a list.", fields));
}

fn node_interface() -> MetaType {
    let fields = [
        field("id", "ID!", "The identifier."),
        field("version", "BigInt!", "The number of the last change; name it when you change the row."),
    ];
    let possible: IndexSet<String> = Catalog::get().shapes().iter().map(|shape| shape.type_name().to_owned()).collect();
    MetaType::Interface {
        name: "Node".to_owned(),
        description: Some("Any row.".to_owned()),
        fields: fields.into_iter().map(|field| (field.name.clone(), field)).collect(),
        possible_types: possible,
        extends: false,
        keys: None,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        rust_typename: None,
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}

fn page_info() -> MetaType {
    let fields = [
        field("hasNextPage", "Boolean!", "Whether rows follow."),
        field("hasPreviousPage", "Boolean!", "Whether rows come before."),
        field("startCursor", "String", "The cursor of the first row."),
        field("endCursor", "String", "The cursor of the last row."),
    ];
    object("PageInfo", "Where a page stands in its list.", fields)
}

fn i18n_text() -> MetaType {
    let locale = argument("locale", "Locale", "The language; that of the viewer unless told.");
    let text = field("text", "String!", "The text in a language, in Romanian where it was not translated.");
    let fields = [
        field("ro", "String!", "Romanian."),
        field("en", "String", "English."),
        field("it", "String", "Italian."),
        MetaField { args: arguments([locale]), ..text },
    ];
    object("I18nText", "A text in the languages of the programme.", fields)
}

fn place() -> MetaType {
    let fields = [
        field("latitude", "Float!", "Degrees north, WGS 84."),
        field("longitude", "Float!", "Degrees east, WGS 84."),
        field("accuracyM", "Float", "The radius in metres within which the phone believed to be."),
        field("fixedAt", "DateTime", "When the position was measured."),
        field("isMock", "Boolean!", "Whether the position came from a mock provider."),
    ];
    object("Place", "A place as a phone measured it.", fields)
}

fn viewer() -> MetaType {
    let fields = [
        field("user", "User", "The user."),
        field("role", "Role!", "The role in the programme."),
        field("programme", "Programme", "The programme."),
        field("permissions", "[Permission!]!", "What the viewer may do now, for each kind of row."),
    ];
    object("Viewer", "Who asks.", fields)
}

fn permission() -> MetaType {
    let fields = [
        field("type", "String!", "The object type, such as `Visit`."),
        field("action", "String!", "What may be done, such as `READ`."),
        field("everywhere", "Boolean!", "Whether in the whole programme; otherwise only in `scopeIds`."),
        field("scopeIds", "[ID!]!", "The scopes, when not everywhere."),
    ];
    object("Permission", "Something that the viewer may do.", fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_field() -> impl Iterator<Item = MetaField> {
        let members = Catalog::get()
            .shapes()
            .iter()
            .flat_map(|shape| shape.members.iter().map(move |member| member_field(shape.kind, member)));
        members.chain(root_fields())
    }

    #[test]
    fn every_list_field_has_a_price() {
        let lists: Vec<_> = every_field().filter(|field| field.ty.contains("Connection")).collect();
        assert!(lists.len() > 40, "{}", lists.len());
        assert!(lists.iter().all(|list| list.compute_complexity.is_some()));
    }

    #[test]
    fn every_field_and_argument_is_described() {
        let is_told = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        for field in every_field() {
            assert!(is_told(&field.description), "{}", field.name);
            assert!(field.args.values().all(|argument| is_told(&argument.description)), "{}", field.name);
        }
    }
}
