//! The types of the verbs: an input, a success and a result for each, and the expected errors of all.

use async_graphql::registry::{InputObjectBuilder, MetaField, MetaType, Registry};

use super::verb::{VERBS, Verb};
use crate::graphql::catalog::Catalog;
use crate::graphql::fleet;
use crate::graphql::types::{argument, arguments, field, object};

/// The expected errors, with what each means.
pub(super) const ERRORS: &[(&str, &str)] = &[
    ("ValidationFailed", "A rule refused the change, or an argument makes no sense."),
    ("VersionConflict", "Someone else changed the row first. Read it again and decide anew."),
    ("NotPermitted", "Your role may see the row but not do this."),
    ("NotFound", "There is no such row, or you may not see it."),
];

/// The interface of the expected errors.
pub(super) const USER_ERROR: &str = "UserError";

/// Adds the root and everything below it.
pub(super) fn register(registry: &mut Registry) {
    let verbs = VERBS.iter().map(root_field).chain([fleet::block_root_field()]);
    let root = object("Mutation", "What can be done. Rows are recorded on phones; the office decides.", verbs);
    registry.types.insert("Mutation".to_owned(), root);
    for verb in VERBS {
        for definition in [input(verb), success(verb), result(verb)] {
            registry.types.insert(definition.name().to_owned(), definition);
        }
    }
    fleet::register_block(registry);
    for (name, doc) in ERRORS {
        registry.types.insert((*name).to_owned(), object(name, doc, error_fields(name)));
        registry.add_implements(name, USER_ERROR);
    }
    registry.types.insert(USER_ERROR.to_owned(), user_error());
}

fn root_field(verb: &Verb) -> MetaField {
    let input = argument("input", format!("{}Input!", verb.type_name()), "What to do.");
    MetaField { args: arguments([input]), ..field(verb.name, format!("{}Result", verb.type_name()), verb.doc) }
}

fn input(verb: &Verb) -> MetaType {
    let mut fields = vec![
        argument("clientMutationId", "UUID!", "Made by the client; the same id takes effect once."),
        argument("expectedVersion", "BigInt", "The version that the person saw; another one refuses the change."),
    ];
    fields.extend(verb.input.iter().map(|(name, ty, doc)| argument(name, *ty, doc)));
    let name = format!("{}Input", verb.type_name());
    InputObjectBuilder::new(name, arguments(fields)).description(Some(verb.doc.to_owned())).build()
}

fn success(verb: &Verb) -> MetaType {
    let shape = Catalog::get().shape(verb.returns);
    let fields = [
        field("clientMutationId", "UUID!", "The id of the request."),
        field(&shape.singular, shape.type_name(), "The row as it is now."),
    ];
    object(&format!("{}Success", verb.type_name()), "It took effect.", fields)
}

fn result(verb: &Verb) -> MetaType {
    let success = format!("{}Success", verb.type_name());
    MetaType::Union {
        name: format!("{}Result", verb.type_name()),
        description: Some("What became of the request.".to_owned()),
        possible_types: std::iter::once(success).chain(error_types()).collect(),
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        rust_typename: None,
        directive_invocations: Vec::new(),
    }
}

/// Returns the types of the expected errors.
pub(in crate::graphql) fn error_types() -> impl Iterator<Item = String> {
    ERRORS.iter().map(|(name, _)| (*name).to_owned())
}

fn common_fields() -> Vec<MetaField> {
    vec![
        field("code", "String!", "A stable code, such as `RETURN_REASON_MISSING`."),
        field("message", "String!", "What happened and what to do, in the language of the viewer."),
        field("path", "[String!]!", "Which part of the input it is about."),
    ]
}

fn error_fields(name: &str) -> Vec<MetaField> {
    let mut fields = common_fields();
    match name {
        "VersionConflict" => fields.push(field("currentVersion", "BigInt!", "The version of the row now.")),
        "ValidationFailed" => fields.push(field("rule", "String", "The rule that refused, such as `I19`.")),
        _ => {}
    }
    fields
}

fn user_error() -> MetaType {
    MetaType::Interface {
        name: USER_ERROR.to_owned(),
        description: Some("Something that people can expect to happen.".to_owned()),
        fields: common_fields().into_iter().map(|field| (field.name.clone(), field)).collect(),
        possible_types: ERRORS.iter().map(|(name, _)| (*name).to_owned()).collect(),
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
