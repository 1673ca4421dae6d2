//! Finds concurrent edits by version, never by clock, and settles them by the policy of the field.
//!
//! An edit is concurrent when someone else changed the same field (or a field of its merge group) after the
//! version that the sender had seen, and to another value. The sender's own earlier changes do not count.

use sync_protocol::cursor::{self, Fork};
use sync_protocol::entity::Row;
use sync_protocol::field::{Field, MergePolicy};
use sync_protocol::mutation::Mutation;
use sync_protocol::value::Value;
use uuid::Uuid;

use crate::store::mutations::FieldChange;

/// Two edits of one field that did not know of each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Concurrent {
    /// The position of the field.
    pub position: usize,
    /// The value on the server.
    pub current: Value,
    /// The value that came in.
    pub incoming: Value,
    /// Whether the value that came in is shown.
    pub incoming_wins: bool,
    /// Whether the policy settles the case without a person.
    pub is_settled: bool,
    /// Who wrote the value on the server, if known.
    pub current_by: Option<Uuid>,
}

impl Concurrent {
    /// Keeps the server's value and leaves the case to a person.
    pub(super) fn let_server_win(&mut self) {
        (self.incoming_wins, self.is_settled) = (false, false);
    }
}

/// Where histories were left, for what a sender had seen in one of them.
#[derive(Clone, Copy)]
pub(super) struct Forks<'f> {
    /// Every one of the programme.
    pub all: &'f [Fork],
    /// Whether the value at a position is the stored one, which no mutation of this batch has changed.
    pub is_stored: &'f dyn Fn(usize) -> bool,
}

/// Returns the fields of a mutation that meet a concurrent edit.
pub(super) fn concurrent_edits(
    mutation: &Mutation,
    current: &Row,
    changes: &[FieldChange],
    device: Uuid,
    forks: &Forks<'_>,
) -> Vec<Concurrent> {
    let fields = mutation.kind.def().fields;
    let others: Vec<&FieldChange> = changes.iter().filter(|change| !is_own(change, mutation, device)).collect();
    let mut found: Vec<Concurrent> = Vec::new();
    for (position, incoming) in &mutation.patch {
        let Some(field) = fields.get(*position) else { continue };
        let seen = mutation.base_of(*position);
        let base = cursor::known_base(forks.all, seen);
        let is_lost = cursor::is_lost(forks.all, seen);
        let is_met = |change: &FieldChange| change.seq > base && touches(change, field, fields);
        // A row that was brought back is the one that was seen: its creation is nothing new.
        let is_new = |change: &&&FieldChange| is_met(change) && !(is_lost && change.fields.is_empty());
        let met = others.iter().rev().find(is_new).map(|change| change.actor);
        // What was seen in a history that was left is not here. Only the creation of the row or a change of the
        // sender's own, brought back before, tells that nobody else's value stands in its place.
        let is_unknown = is_lost && (forks.is_stored)(*position) && !changes.iter().any(is_met);
        let value = &current.values[*position];
        if let Some(by) = met.or(is_unknown.then_some(None))
            && value != incoming
        {
            found.push(settle(*position, field, value, incoming, by));
        }
    }
    unite_groups(&mut found, fields);
    found
}

/// Whether a change was made where the mutation comes from.
pub(super) fn is_own(change: &FieldChange, mutation: &Mutation, device: Uuid) -> bool {
    match change.device {
        Some(changed_on) => changed_on == device,
        // The office has no outbox: there, one person's changes follow each other.
        None => device.is_nil() && change.actor == Some(mutation.author.0),
    }
}

/// Whether a change touched the field or its group. A creation, which names no field, touched all.
fn touches(change: &FieldChange, field: &Field, fields: &[Field]) -> bool {
    let same_group = |name: &String| {
        !field.merge_group.is_empty()
            && fields.iter().any(|other| other.name == name && other.merge_group == field.merge_group)
    };
    change.fields.is_empty() || change.fields.iter().any(|name| name == field.name || same_group(name))
}

fn settle(position: usize, field: &Field, current: &Value, incoming: &Value, by: Option<Uuid>) -> Concurrent {
    let (incoming_wins, is_settled) = match field.policy {
        MergePolicy::LastArrival => (true, false),
        MergePolicy::ServerWins => (false, false),
        MergePolicy::Max => (is_larger(incoming, current), true),
    };
    Concurrent {
        position,
        current: current.clone(),
        incoming: incoming.clone(),
        incoming_wins,
        is_settled,
        current_by: by,
    }
}

fn is_larger(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a > b,
        (Value::Decimal(a), Value::Decimal(b)) => a > b,
        (Value::Date(a), Value::Date(b)) => a > b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a > b,
        (_, Value::Null) => true,
        _ => false,
    }
}

/// Fields of one group have one winner: the server, when it wins any of them.
fn unite_groups(found: &mut [Concurrent], fields: &[Field]) {
    let group_of = |edit: &Concurrent| fields.get(edit.position).map_or("", |field| field.merge_group);
    let lost: Vec<&str> = found.iter().filter(|edit| !edit.incoming_wins).map(group_of).collect();
    for edit in found.iter_mut() {
        let group = group_of(edit);
        edit.incoming_wins &= group.is_empty() || !lost.contains(&group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::entity::EntityKind;
    use sync_protocol::id::UserId;
    use sync_protocol::mutation::Op;
    use sync_protocol::patch::empty_row;
    use sync_protocol::time::Timestamp;

    const NO_FORKS: Forks<'static> = Forks { all: &[], is_stored: &|_| true };
    const MINE: Uuid = Uuid::from_u128(1);
    const THEIRS: Uuid = Uuid::from_u128(2);

    fn at(name: &str) -> usize {
        EntityKind::FollowUpAction.def().position(name).unwrap()
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    fn mutation(patch: &[(&str, Value)], base_seq: u64) -> Mutation {
        Mutation {
            no: 1,
            op: Op::Patch,
            kind: EntityKind::FollowUpAction,
            row_id: Uuid::from_u128(9),
            author: UserId(Uuid::from_u128(8)),
            captured_at: Timestamp(0),
            uptime_ms: 0,
            base_seq,
            field_bases: Vec::new(),
            patch: patch.iter().map(|(name, value)| (at(name), value.clone())).collect(),
            group: None,
            reason: None,
            unknown: Vec::new(),
        }
    }

    fn change(seq: u64, fields: &[&str], device: Uuid) -> FieldChange {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        FieldChange { row_id: Uuid::from_u128(9), seq, fields, device: Some(device), actor: None, is_verbatim: true }
    }

    fn current(values: &[(&str, Value)]) -> Row {
        let mut row = empty_row(EntityKind::FollowUpAction.def(), Uuid::from_u128(9));
        for (name, value) in values {
            row.values[at(name)] = value.clone();
        }
        row
    }

    #[test]
    fn concurrency_is_a_matter_of_versions_and_values() {
        let server = current(&[("text", text("theirs"))]);
        let cases = [
            ("changed after I looked", 10, change(11, &["text"], THEIRS), text("mine"), 1),
            ("I had seen the change", 11, change(11, &["text"], THEIRS), text("mine"), 0),
            ("my own earlier change", 10, change(11, &["text"], MINE), text("mine"), 0),
            ("another field", 10, change(11, &["due_on"], THEIRS), text("mine"), 0),
            ("the same value", 10, change(11, &["text"], THEIRS), text("theirs"), 0),
            ("the row was created by another", 0, change(11, &[], THEIRS), text("mine"), 1),
        ];
        for (name, base, change, value, expected) in cases {
            let found = concurrent_edits(&mutation(&[("text", value)], base), &server, &[change], MINE, &NO_FORKS);
            assert_eq!(found.len(), expected, "{name}");
        }
    }

    #[test]
    fn what_was_seen_in_a_history_that_was_left_is_unknown() {
        let server = current(&[("text", text("theirs"))]);
        let forks = [Fork { parent: MINE, epoch: THEIRS, common_seq: 100, resumed_seq: 5_000 }];
        let found = |base, changes: &[FieldChange]| {
            concurrent_edits(
                &mutation(&[("text", text("mine"))], base),
                &server,
                changes,
                MINE,
                &Forks { all: &forks, is_stored: &|_| true },
            )
            .len()
        };
        assert_eq!([100, 101, 4_999, 5_000].map(|base| found(base, &[])), [0, 1, 1, 0]);
        assert_eq!(found(101, &[change(5_001, &["text"], MINE)]), 0, "my own lost change was brought back before");
        assert_eq!(found(101, &[change(5_001, &[], THEIRS)]), 0, "the row itself was brought back");
        assert_eq!(found(101, &[change(5_001, &[], THEIRS), change(5_002, &["text"], THEIRS)]), 1);
        assert_eq!(found(101, &[change(5_001, &["due_on"], MINE)]), 1, "that says nothing of this field");
        assert_eq!(found(200, &[change(150, &["text"], THEIRS)]), 1, "the same number in another history");
    }

    #[test]
    fn a_field_moves_with_its_group() {
        let server = current(&[("status", text("DONE")), ("status_note", text("văzut"))]);
        let mine = mutation(&[("status_note", text("amânat"))], 10);
        let found = concurrent_edits(&mine, &server, &[change(11, &["status"], THEIRS)], MINE, &NO_FORKS);
        assert_eq!(found.len(), 1, "the note belongs to the status that someone else changed");
    }

    #[test]
    fn the_last_arrival_is_shown_and_the_other_value_is_kept() {
        let server = current(&[("text", text("theirs"))]);
        let found = concurrent_edits(
            &mutation(&[("text", text("mine"))], 1),
            &server,
            &[change(2, &["text"], THEIRS)],
            MINE,
            &NO_FORKS,
        );
        assert!(found[0].incoming_wins && !found[0].is_settled);
        assert_eq!((&found[0].current, &found[0].incoming), (&text("theirs"), &text("mine")));
    }
}
