//! The rows by which people see that a change met another one or is waiting.
//!
//! Their identifiers follow from the mutation, so that deciding it again gives the same rows.

use sync_protocol::code::{ConflictState, HeldState};
use sync_protocol::entity::{Conflict, Entity as _, HeldItem, Row};
use sync_protocol::id::{ConflictId, DeviceId, HeldItemId, UserId};
use sync_protocol::mutation::Mutation;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::merge::Concurrent;
use super::operation;
use super::write::Batch;
use crate::store::mutations::{HeldMutation, Outbox};

/// A row of the server's own.
#[derive(Debug)]
pub(super) struct Trace {
    /// The row.
    pub row: Row,
    /// Whether it exists already.
    pub is_update: bool,
}

/// Returns the conflict row of a concurrent edit.
pub(super) fn conflict(mutation: &Mutation, edit: &Concurrent, scope: Uuid, outbox: &Outbox, now: Timestamp) -> Trace {
    let field = mutation.kind.def().fields.get(edit.position);
    let name = field.map_or("", |field| field.name);
    let (kept, other) =
        if edit.incoming_wins { (&edit.incoming, &edit.current) } else { (&edit.current, &edit.incoming) };
    let incoming_by = Some(mutation.author);
    let current_by = edit.current_by.map(UserId);
    let (kept_by, other_by) = if edit.incoming_wins { (incoming_by, current_by) } else { (current_by, incoming_by) };
    let row = Conflict {
        id: ConflictId(derived_id(outbox, mutation.no, name)),
        subject_scope_id: scope,
        subject_kind: mutation.kind.def().name.to_owned(),
        subject_id: mutation.row_id,
        field: name.to_owned(),
        kept_value: Some(kept.to_json().to_string()),
        other_value: Some(other.to_json().to_string()),
        kept_by,
        other_by,
        detected_at: now,
        policy: field.map_or_else(String::new, |field| format!("{:?}", field.policy)),
        state: if edit.is_settled { ConflictState::AutoResolved } else { ConflictState::Open },
        resolved_by: None,
        resolved_at: None,
    };
    Trace { row: row.to_row(), is_update: false }
}

/// Returns whether nobody has settled a conflict.
pub(super) fn is_open(conflict: &Row) -> bool {
    conflict.get(Conflict::DEF, "state").as_text() == Some(ConflictState::Open.code())
}

/// Returns the conflict as settled by a mutation, `None` when the mutation does not settle it: it sets another
/// field, or its author had not seen the version `seq` of the conflict.
pub(super) fn settled_conflict(conflict: &Row, seq: u64, mutation: &Mutation, now: Timestamp) -> Option<Trace> {
    let (kind, id, field) = operation::contested(conflict)?;
    let position = kind.def().position(field.name)?;
    let sets_field =
        (mutation.kind, mutation.row_id) == (kind, id) && mutation.patch.iter().any(|(at, _)| *at == position);
    if !is_open(conflict) || !sets_field || mutation.base_of(position) < seq {
        return None;
    }
    let settled = Conflict {
        state: ConflictState::Resolved,
        resolved_by: Some(mutation.author),
        resolved_at: Some(now),
        ..Conflict::from_row(conflict).ok()?
    };
    Some(Trace { row: settled.to_row(), is_update: true })
}

/// Returns the held item of a mutation that waits.
pub(super) fn held_item(
    no: u64,
    mutation: Option<&Mutation>,
    author: UserId,
    code: &str,
    waits_for: Option<Uuid>,
    outbox: &Outbox,
    batch: &Batch<'_>,
) -> Trace {
    let row = HeldItem {
        id: HeldItemId(derived_id(outbox, no, "held")),
        author_id: mutation.map_or(author, |mutation| mutation.author),
        device_id: DeviceId(outbox.device),
        incarnation: outbox.incarnation,
        mutation_no: i32::try_from(no).unwrap_or(i32::MAX),
        subject_kind: mutation.map_or("unknown", |mutation| mutation.kind.def().name).to_owned(),
        subject_id: mutation.map_or(Uuid::nil(), |mutation| mutation.row_id),
        reason_code: code.to_owned(),
        waits_for_id: waits_for,
        held_at: batch.received_at,
        state: HeldState::Held,
        resolved_at: None,
    };
    Trace { row: row.to_row(), is_update: false }
}

/// Returns the held item of a mutation that waited for its row and waits no longer.
pub(super) fn settled_item(held: &HeldMutation, mutation: &Mutation, is_applied: bool, now: Timestamp) -> Trace {
    let state = if is_applied { HeldState::Applied } else { HeldState::Returned };
    Trace { row: HeldItem { state, resolved_at: Some(now), ..known_item(held, mutation) }.to_row(), is_update: true }
}

/// Returns the held item of a mutation that waits for another row than before.
pub(super) fn waiting_item(held: &HeldMutation, mutation: &Mutation, waits_for: Option<Uuid>) -> Trace {
    Trace { row: HeldItem { waits_for_id: waits_for, ..known_item(held, mutation) }.to_row(), is_update: true }
}

/// Returns the held item as it was written.
fn known_item(held: &HeldMutation, mutation: &Mutation) -> HeldItem {
    HeldItem {
        id: HeldItemId(held.held_item_id),
        author_id: mutation.author,
        device_id: DeviceId(held.outbox.device),
        incarnation: held.outbox.incarnation,
        mutation_no: i32::try_from(held.no).unwrap_or(i32::MAX),
        subject_kind: mutation.kind.def().name.to_owned(),
        subject_id: mutation.row_id,
        reason_code: "HELD_PARENT_MISSING".to_owned(),
        waits_for_id: held.waits_for_id,
        held_at: held.held_at,
        state: HeldState::Held,
        resolved_at: None,
    }
}

fn derived_id(outbox: &Outbox, no: u64, about: &str) -> Uuid {
    let name = format!("{}/{no}/{about}", outbox.incarnation);
    Uuid::new_v5(&outbox.device, name.as_bytes())
}
