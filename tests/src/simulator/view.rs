//! Who may see what, said a second time: from the decisions of the office alone, without the policy of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::value::Value;
use uuid::Uuid;

use super::backend::Backend;

/// Rows with their versions, by kind and identifier.
pub type Rows = BTreeMap<(EntityKind, Uuid), (Row, u64)>;

/// Returns where a kind of row belongs: to everyone in the programme, to one person, to who works for an
/// enterprise, or to no phone of a mentor at all.
pub fn belongs_to(kind: EntityKind, row: &Row) -> Belongs {
    let id = |field| row.get(kind.def(), field).as_uuid().unwrap_or_default();
    match kind {
        EntityKind::Programme
        | EntityKind::ActionLine
        | EntityKind::Target
        | EntityKind::Code
        | EntityKind::Form
        | EntityKind::Question
        | EntityKind::User
        | EntityKind::Erasure => Belongs::Everyone,
        EntityKind::ScopeGrant => Belongs::Person(id("user_id")),
        EntityKind::HeldItem => Belongs::Person(id("author_id")),
        EntityKind::Enterprise => Belongs::Enterprise(row.id),
        EntityKind::Conflict | EntityKind::MergeProposal => Belongs::Enterprise(id("subject_scope_id")),
        EntityKind::Participation => Belongs::Nobody,
        _ => Belongs::Enterprise(id("enterprise_id")),
    }
}

/// Where a row belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// To everyone in the programme.
    Everyone,
    /// To one person.
    Person(Uuid),
    /// To who works for an enterprise.
    Enterprise(Uuid),
    /// To no mentor.
    Nobody,
}

/// Returns the row as a mentor may see it: what the law protects is written on a phone, never read there.
pub fn as_shown(kind: EntityKind, mut row: Row) -> Row {
    let def = kind.def();
    let blank: &[&str] = match kind {
        EntityKind::Employment => &["vulnerability_codes"],
        EntityKind::Conflict if row.get(def, "field").as_text() == Some("vulnerability_codes") => {
            &["kept_value", "other_value"]
        }
        _ => &[],
    };
    for at in blank.iter().filter_map(|field| def.position(field)) {
        row.values[at] = Value::Null;
    }
    row
}

/// Returns whether a mentor with these enterprises may see a row.
pub fn may_see(user: Uuid, enterprises: &BTreeSet<Uuid>, kind: EntityKind, row: &Row) -> bool {
    match belongs_to(kind, row) {
        Belongs::Everyone => true,
        Belongs::Person(person) => person == user,
        Belongs::Enterprise(enterprise) => enterprises.contains(&enterprise),
        Belongs::Nobody => false,
    }
}

/// Returns everything that a mentor's phone shows when it has everything.
pub fn of_phone(server: &Backend, programme: usize, user: Uuid) -> Rows {
    let enterprises = server.granted(programme, user);
    let rows = server.all_rows(programme).into_iter();
    let seen = rows.filter(|((kind, _), (row, _))| may_see(user, &enterprises, *kind, row));
    seen.map(|((kind, id), (row, seq))| ((kind, id), (as_shown(kind, row), seq))).collect()
}

/// Returns the rows of a range of versions that a mentor's phone has when it has everything.
pub fn versions_of_phone(
    server: &Backend,
    programme: usize,
    user: Uuid,
    range: RangeInclusive<u64>,
) -> Vec<(EntityKind, Uuid, u64)> {
    let enterprises = server.granted(programme, user);
    let mut found = Vec::new();
    server.each_row(programme, |kind, row, seq| {
        if range.contains(&seq) && may_see(user, &enterprises, kind, row) {
            found.push((kind, row.id, seq));
        }
    });
    found
}
