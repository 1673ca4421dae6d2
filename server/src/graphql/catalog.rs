//! The names of the GraphQL schema, derived from the field tables once.

use std::collections::HashMap;
use std::sync::OnceLock;

use sync_protocol::entity::EntityKind;
use sync_protocol::field::{EntityDef, Field};
use sync_protocol::value::FieldType;

/// What a list of each kind is called: at the root, and as the default name on a parent.
const PLURALS: &[(EntityKind, &str)] = &[
    (EntityKind::Programme, "programmes"),
    (EntityKind::ActionLine, "actionLines"),
    (EntityKind::Target, "targets"),
    (EntityKind::User, "users"),
    (EntityKind::ScopeGrant, "scopeGrants"),
    (EntityKind::Code, "codes"),
    (EntityKind::Form, "forms"),
    (EntityKind::Question, "questions"),
    (EntityKind::Enterprise, "enterprises"),
    (EntityKind::Site, "sites"),
    (EntityKind::Position, "positions"),
    (EntityKind::Employment, "employments"),
    (EntityKind::Visit, "visits"),
    (EntityKind::MonthlyJobStatus, "monthlyJobStatuses"),
    (EntityKind::ChecklistAnswer, "checklistAnswers"),
    (EntityKind::Finding, "findings"),
    (EntityKind::FollowUpAction, "followUpActions"),
    (EntityKind::Attendee, "attendees"),
    (EntityKind::Participation, "participations"),
    (EntityKind::Conflict, "conflicts"),
    (EntityKind::HeldItem, "heldItems"),
    (EntityKind::ReportingPeriod, "reportingPeriods"),
    (EntityKind::LateAdjustment, "lateAdjustments"),
    (EntityKind::MergeProposal, "mergeProposals"),
    (EntityKind::Erasure, "erasures"),
];

/// Lists that have a better name on their parent than their kind.
const LISTS: &[(EntityKind, EntityKind, &str)] = &[(EntityKind::Visit, EntityKind::ChecklistAnswer, "answers")];

/// One object type with the members that clients may select.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) kind: EntityKind,
    /// The name of the field at the root that returns one row: `followUpAction`.
    pub(super) singular: String,
    /// The name of the field at the root that returns a list: `followUpActions`.
    pub(super) plural: &'static str,
    pub(super) members: Vec<Member>,
    by_name: HashMap<String, usize>,
}

/// One field of an object type.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) source: Source,
}

/// Where the value of a member comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Id,
    Version,
    /// The field at this position.
    Column(usize),
    /// The row that the field at this position names.
    One {
        column: usize,
        kind: EntityKind,
    },
    /// The rows of `kind` whose field `of` names this row.
    Many {
        kind: EntityKind,
        of: &'static Field,
    },
}

impl Shape {
    /// Returns a member by its name.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.by_name.get(name).map(|at| &self.members[*at])
    }

    /// Returns the name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        self.kind.def().type_name
    }
}

/// Every object type that stands for an entity.
#[derive(Debug)]
pub(super) struct Catalog {
    shapes: Vec<Shape>,
}

impl Catalog {
    /// Returns the one catalog.
    pub(super) fn get() -> &'static Self {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| Self { shapes: EntityKind::ALL.iter().map(|kind| shape(*kind)).collect() })
    }

    /// Returns every shape, in the order of the kinds.
    pub(super) fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Returns the shape of a kind.
    pub(super) fn shape(&self, kind: EntityKind) -> &Shape {
        let found = self.shapes.iter().find(|shape| shape.kind == kind);
        found.expect("the catalog is built from all kinds")
    }
}

fn shape(kind: EntityKind) -> Shape {
    let def = kind.def();
    let mut members = vec![
        member("id", "The identifier.", Source::Id),
        member("version", "The number of the last change; name it when you change the row.", Source::Version),
    ];
    for (column, field) in def.fields.iter().enumerate() {
        members.push(member(column_name(field), field.doc, Source::Column(column)));
        if let Some(target) = field.reference {
            members.push(member(relation_name(field), field.doc, Source::One { column, kind: target }));
        }
    }
    members.extend(lists_of(kind));
    let by_name = members.iter().enumerate().map(|(at, member)| (member.name.clone(), at)).collect();
    Shape { kind, singular: camel(def.name), plural: plural(kind), members, by_name }
}

/// Returns the lists of rows that name a row of `parent` in an indexed field. Without an index the database
/// would read the whole table for every page.
fn lists_of(parent: EntityKind) -> impl Iterator<Item = Member> {
    EntityKind::ALL.iter().flat_map(move |child| {
        let fields = child.def().fields.iter().filter(move |field| field.reference == Some(parent) && field.indexed);
        fields.map(move |of| {
            let doc = format!("{} by {}.", sentence(child.def()), of.name.trim_end_matches("_id").replace('_', " "));
            member(list_name(parent, *child), &doc, Source::Many { kind: *child, of })
        })
    })
}

fn list_name(parent: EntityKind, child: EntityKind) -> String {
    let special = LISTS.iter().find(|(of, kind, _)| *of == parent && *kind == child);
    special.map_or_else(|| plural(child), |(_, _, name)| name).to_owned()
}

fn sentence(def: &EntityDef) -> String {
    let mut words = def.name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{words} rows")
}

fn member(name: impl Into<String>, doc: &str, source: Source) -> Member {
    Member { name: name.into(), doc: doc.trim().to_owned(), source }
}

fn plural(kind: EntityKind) -> &'static str {
    let known = PLURALS.iter().find(|(known, _)| *known == kind);
    known.map(|(_, name)| *name).expect("every kind has a plural, which a test proves")
}

/// Returns the name under which the plain value of a field is selected; identifiers of other rows end in `Id`.
pub(super) fn column_name(field: &Field) -> String {
    match field.reference {
        Some(_) => camel(&format!("{}_id", base(field))),
        None => camel(field.name),
    }
}

/// Returns the name under which the row is selected that a field names.
pub(super) fn relation_name(field: &Field) -> String {
    camel(base(field))
}

fn base(field: &Field) -> &'static str {
    field.name.strip_suffix("_id").unwrap_or(field.name)
}

/// Returns the type of a field's value, without the mark for "never null".
pub(super) fn scalar_name(field: &Field) -> String {
    match field.field_type {
        FieldType::Bool => "Boolean".to_owned(),
        FieldType::Int => "Int".to_owned(),
        FieldType::Decimal => "Decimal".to_owned(),
        FieldType::Text => "String".to_owned(),
        FieldType::Code => field.type_name.to_owned(),
        FieldType::Uuid => "ID".to_owned(),
        FieldType::Date => "Date".to_owned(),
        FieldType::Timestamp => "DateTime".to_owned(),
        FieldType::Json => match Document::of(field) {
            Document::I18n => "I18nText".to_owned(),
            Document::Place => "Place".to_owned(),
            Document::Strings => "[String!]".to_owned(),
            Document::Ids => "[ID!]".to_owned(),
            Document::Other => "JSON".to_owned(),
        },
    }
}

/// The shapes of documents that have a type of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Document {
    I18n,
    Place,
    Strings,
    Ids,
    Other,
}

impl Document {
    /// Returns the shape of a field of type [`FieldType::Json`].
    pub(super) fn of(field: &Field) -> Self {
        match field.type_name {
            "I18n" => Self::I18n,
            "Place" => Self::Place,
            "Vec<String>" => Self::Strings,
            "Vec<Uuid>" => Self::Ids,
            _ => Self::Other,
        }
    }
}

/// Returns the fields by which lists are filtered and ordered.
pub(super) fn indexed_fields(def: &'static EntityDef) -> impl Iterator<Item = &'static Field> {
    let usable = |field: &&Field| field.indexed && !matches!(field.field_type, FieldType::Json | FieldType::Decimal);
    def.fields.iter().filter(usable)
}

/// Returns the value of the enum by which lists are ordered by a field: `PLANNED_START_AT`.
pub(super) fn order_name(field: &Field) -> String {
    field.name.to_ascii_uppercase()
}

/// Returns a code as an enum value; names may not start with a digit.
pub(super) fn enum_value(code: &str) -> String {
    if code.starts_with(|first: char| first.is_ascii_digit()) { format!("_{code}") } else { code.to_owned() }
}

/// Turns `planned_start_at` into `plannedStartAt`.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, word) in name.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if at > 0 => out.push(first.to_ascii_uppercase()),
            Some(first) => out.push(first),
            None => {}
        }
        out.push_str(letters.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_plural_and_no_two_members_share_a_name() {
        for shape in Catalog::get().shapes() {
            let names: BTreeSet<_> = shape.members.iter().map(|member| &member.name).collect();
            assert_eq!(names.len(), shape.members.len(), "{}", shape.type_name());
        }
    }

    #[test]
    fn a_reference_gives_both_the_identifier_and_the_row() {
        let employment = Catalog::get().shape(EntityKind::Employment);
        for name in ["enterpriseId", "enterprise", "verifiedById", "verifiedBy"] {
            assert!(employment.member(name).is_some(), "{name}");
        }
        let enterprise = Catalog::get().shape(EntityKind::Enterprise);
        for name in ["visits", "positions", "employments", "sites", "findings"] {
            assert!(enterprise.member(name).is_some(), "{name}");
        }
        assert!(Catalog::get().shape(EntityKind::Visit).member("answers").is_some());
    }
}
