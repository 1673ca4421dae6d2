//! Finds concurrent edits by version, never by clock, and settles them by the policy of the field.
//!
//! An edit is concurrent when someone else changed the same field (or a field of its merge group) after the
//! version that the sender had seen, and to another value. The sender's own earlier changes do not count.

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

/// Returns the fields of a mutation that meet a concurrent edit.
pub(super) fn concurrent_edits(
    mutation: &Mutation,
    current: &Row,
    changes: &[FieldChange],
    device: Uuid,
) -> Vec<Concurrent> {
    let fields = mutation.kind.def().fields;
    let others: Vec<&FieldChange> = changes.iter().filter(|change| !is_own(change, mutation, device)).collect();
    let mut found: Vec<Concurrent> = Vec::new();
    for (position, incoming) in &mutation.patch {
        let Some(field) = fields.get(*position) else { continue };
        let base = mutation.base_of(*position);
        let met = others.iter().rev().find(|change| change.seq > base && touches(change, field, fields));
        let value = &current.values[*position];
        if let Some(change) = met
            && value != incoming
        {
            found.push(settle(*position, field, value, incoming, change.actor));
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
            let found = concurrent_edits(&mutation(&[("text", value)], base), &server, &[change], MINE);
            assert_eq!(found.len(), expected, "{name}");
        }
    }

    #[test]
    fn a_field_moves_with_its_group() {
        let server = current(&[("status", text("DONE")), ("status_note", text("văzut"))]);
        let mine = mutation(&[("status_note", text("amânat"))], 10);
        let found = concurrent_edits(&mine, &server, &[change(11, &["status"], THEIRS)], MINE);
        assert_eq!(found.len(), 1, "the note belongs to the status that someone else changed");
    }

    #[test]
    fn the_last_arrival_is_shown_and_the_other_value_is_kept() {
        let server = current(&[("text", text("theirs"))]);
        let found =
            concurrent_edits(&mutation(&[("text", text("mine"))], 1), &server, &[change(2, &["text"], THEIRS)], MINE);
        assert!(found[0].incoming_wins && !found[0].is_settled);
        assert_eq!((&found[0].current, &found[0].incoming), (&text("theirs"), &text("mine")));
    }
}
