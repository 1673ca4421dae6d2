//! The rows by which people see that a change met another one or is waiting.
//!
//! Their identifiers follow from the mutation, so that deciding it again gives the same rows.

use sync_protocol::code::{ChangeOperation, ConflictState, HeldState, MergeState};
use sync_protocol::entity::{Conflict, Entity, EntityKind, HeldAnswer, HeldContent, HeldItem, MergeProposal, Row};
use sync_protocol::field::Field;
use sync_protocol::id::{ConflictId, DeviceId, EnterpriseId, HeldItemId, LateAdjustmentId, MergeProposalId, UserId};
use sync_protocol::message::MessageKey;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::rule::Violation;
use sync_protocol::time::Timestamp;
use sync_protocol::validate::FIELD;
use sync_protocol::value::Value;
use sync_protocol::wire::{MutationResult, Outcome};
use uuid::Uuid;

use super::merge::{Clash, Contested};
use super::operation;
use super::write::Batch;
use crate::store::mutations::Outbox;

/// A row of the server's own.
#[derive(Debug)]
pub(super) struct Trace {
    /// The row.
    pub row: Row,
    /// Whether it exists already.
    pub is_update: bool,
}

impl Trace {
    /// Returns a row that does not exist yet.
    pub(super) fn new(entity: &impl Entity) -> Self {
        Self { row: entity.to_row(), is_update: false }
    }
}

/// Returns the conflict row of a field in which two edits met.
pub(super) fn conflict(
    mutation: &Mutation,
    clash: &Clash,
    contested: &Contested,
    scope: Uuid,
    outbox: &Outbox,
    now: Timestamp,
) -> Trace {
    let field = mutation.kind.def().fields.get(contested.position);
    let (kept, other) = contested.kept_and_other(clash.incoming_wins);
    let (incoming_by, current_by) = (Some(mutation.author), clash.current_by.map(UserId));
    let (kept_by, other_by) = if clash.incoming_wins { (incoming_by, current_by) } else { (current_by, incoming_by) };
    let row = Conflict {
        kept_value: Some(kept.to_json().to_string()),
        other_value: Some(other.to_json().to_string()),
        kept_by,
        other_by,
        policy: field.map_or_else(String::new, |field| format!("{:?}", field.policy)),
        state: if clash.is_settled { ConflictState::AutoResolved } else { ConflictState::Open },
        ..new_conflict(mutation, field.map_or("", |field| field.name), scope, outbox, now)
    };
    Trace::new(&row)
}

/// The field of a conflict about whether the row is there at all.
pub(super) const VOIDED: &str = "voided";

/// Who wanted a row to stay and who voided it.
pub(super) struct Voided {
    /// Who changed it.
    pub kept_by: Option<UserId>,
    /// Who voided it.
    pub voided_by: Option<UserId>,
}

/// Returns the conflict row of an edit that met a deletion: the row stays until a person decides.
pub(super) fn voided_conflict(
    mutation: &Mutation,
    voided: &Voided,
    scope: Uuid,
    outbox: &Outbox,
    now: Timestamp,
) -> Trace {
    let row = Conflict {
        kept_value: Some("false".to_owned()),
        other_value: Some("true".to_owned()),
        kept_by: voided.kept_by,
        other_by: voided.voided_by,
        policy: "Stays".to_owned(),
        ..new_conflict(mutation, VOIDED, scope, outbox, now)
    };
    Trace::new(&row)
}

fn new_conflict(mutation: &Mutation, field: &str, scope: Uuid, outbox: &Outbox, now: Timestamp) -> Conflict {
    Conflict {
        id: ConflictId(derived_id(outbox, mutation.no, field)),
        subject_scope_id: scope,
        subject_kind: mutation.kind.def().name.to_owned(),
        subject_id: mutation.row_id,
        field: field.to_owned(),
        kept_value: None,
        other_value: None,
        kept_by: None,
        other_by: None,
        detected_at: now,
        policy: String::new(),
        state: ConflictState::Open,
        resolved_by: None,
        resolved_at: None,
    }
}

/// Returns whether nobody has settled a conflict.
pub(super) fn is_open(conflict: &Row) -> bool {
    conflict.get(Conflict::DEF, "state").as_text() == Some(ConflictState::Open.code())
}

/// Returns whether nobody has settled a conflict about the value of a field.
pub(super) fn is_about_value(conflict: &Row) -> bool {
    is_open(conflict) && conflict.get(Conflict::DEF, "field").as_text() != Some(VOIDED)
}

/// Returns the conflict as settled by a mutation, `None` when the mutation does not settle it: it sets another
/// field, or its author had not seen the version `seq` of the conflict. Who voids the row settles all: a conflict that
/// the author had not seen would have kept it.
pub(super) fn settled_conflict(conflict: &Row, seq: u64, mutation: &Mutation, now: Timestamp) -> Option<Trace> {
    if !is_open(conflict) || operation::subject_of(conflict)? != (mutation.kind, mutation.row_id) {
        return None;
    }
    let is_answered = match operation::contested(conflict) {
        // Without the row there is nothing to choose, and who voids it agrees with whoever wanted that.
        _ if mutation.op == Op::Delete => true,
        Some((kind, _, field)) => {
            let position = kind.def().position(field.name)?;
            mutation.sets(position) && mutation.base_of(position) >= seq
        }
        // About the whole row: who goes on with it has to know.
        None => mutation.base_seq >= seq,
    };
    if !is_answered {
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
    code: &str,
    waits_for: Option<Uuid>,
    corrected_at: Option<Timestamp>,
    batch: &Batch<'_>,
) -> Trace {
    let outbox = &batch.outbox;
    let offset_s = i32::try_from(batch.clock_offset_ms / 1_000).unwrap_or(i32::MAX);
    let row = HeldItem {
        id: HeldItemId(derived_id(outbox, no, "held")),
        author_id: mutation.map_or(UserId(batch.viewer.user_id), |mutation| mutation.author),
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
        enterprise_id: mutation.and_then(enterprise_of),
        operation: mutation.map(|mutation| match mutation.op {
            Op::Put => ChangeOperation::Create,
            Op::Patch => ChangeOperation::Change,
            Op::Delete => ChangeOperation::Void,
        }),
        content: mutation.map(content),
        captured_at: mutation.map(|mutation| mutation.captured_at),
        corrected_at,
        clock_offset_s: Some(offset_s),
        decided_by: None,
        decision_note: None,
        correction: None,
        answer: None,
    };
    Trace::new(&row)
}

/// The enterprise that a change names; one that changes a row does not repeat it.
fn enterprise_of(mutation: &Mutation) -> Option<EnterpriseId> {
    patched(mutation, "enterprise_id")?.as_uuid().map(EnterpriseId)
}

/// Returns the value that a mutation gives to a field; `None` when it does not name it.
pub(super) fn patched<'m>(mutation: &'m Mutation, field: &str) -> Option<&'m Value> {
    let at = mutation.kind.def().position(field)?;
    mutation.patch.iter().find(|(position, _)| *position == at).map(|(_, value)| value)
}

/// Returns the proposal to merge two rows.
pub(super) fn proposal(
    id: MergeProposalId,
    (kind, first_id, second_id): (EntityKind, Uuid, Uuid),
    matched: &[&str],
    scope: Uuid,
    now: Timestamp,
) -> MergeProposal {
    MergeProposal {
        id,
        subject_scope_id: scope,
        subject_kind: kind.def().name.to_owned(),
        first_id,
        second_id,
        matched_fields: matched.iter().map(|name| (*name).to_owned()).collect(),
        detected_at: now,
        state: MergeState::Open,
        alias_id: None,
        survivor_id: None,
        merged_content: None,
        decided_by: None,
        decided_at: None,
        decision_note: None,
    }
}

/// Returns the identifier of the proposal to merge two rows, the one with the smaller identifier first: whoever finds
/// them alike gives it the same.
pub(super) fn proposal_id(first: Uuid, second: Uuid) -> MergeProposalId {
    MergeProposalId(Uuid::new_v5(&first, second.as_bytes()))
}

/// Returns the conflict that keeps a value of a row that was merged into another one.
pub(super) fn merged_value(
    decision: &Mutation,
    kind: EntityKind,
    field: &Field,
    (survivor, merged): (&Row, &Row),
    scope: Uuid,
    batch: &Batch<'_>,
) -> Trace {
    let side = |row: &Row| Some(row.get(kind.def(), field.name).to_json().to_string());
    let recorder = |row: &Row| row.get(kind.def(), "recorded_by").as_uuid().map(UserId);
    let about = Mutation { kind, row_id: survivor.id, ..decision.clone() };
    let row = Conflict {
        id: ConflictId(derived_id(&batch.outbox, decision.no, &format!("merge/{}/{}", merged.id, field.name))),
        kept_value: side(survivor),
        other_value: side(merged),
        kept_by: recorder(survivor),
        other_by: recorder(merged),
        policy: "Merged".to_owned(),
        ..new_conflict(&about, field.name, scope, &batch.outbox, batch.received_at)
    };
    Trace::new(&row)
}

/// Returns a conflict about a row as one about the row that it was merged into; `None` when it cannot be read.
pub(super) fn moved_conflict(conflict: &Row, kind: EntityKind, survivor: &Row) -> Option<Row> {
    let conflict = Conflict::from_row(conflict).ok()?;
    let kept =
        kind.def().field(&conflict.field).map(|field| survivor.get(kind.def(), field.name).to_json().to_string());
    let moved = Conflict {
        subject_id: survivor.id,
        kept_value: kept.or_else(|| conflict.kept_value.clone()),
        kept_by: None,
        ..conflict
    };
    Some(moved.to_row())
}

/// Returns the values of a row by name. Special categories stay in the log alone.
pub(super) fn told(kind: EntityKind, row: &Row) -> HeldContent {
    let values = kind.def().fields.iter().zip(&row.values);
    let told = values.filter(|(field, value)| !field.special && !value.is_null());
    HeldContent(told.map(|(field, value)| (field.name.to_owned(), value.to_json())).collect())
}

/// Special categories stay in the mutation alone: who may see the item may not see them.
fn content(mutation: &Mutation) -> HeldContent {
    let fields = mutation.kind.def().fields;
    let told = mutation.patch.iter().filter_map(|(at, value)| Some((fields.get(*at)?, value)));
    HeldContent(
        told.filter(|(field, _)| !field.special)
            .map(|(field, value)| (field.name.to_owned(), value.to_json()))
            .collect(),
    )
}

/// Returns a row as a held change would have it, without special categories.
pub(super) fn as_held(kind: EntityKind, item: &HeldItem) -> Row {
    let mut row = patch::empty_row(kind.def(), item.subject_id);
    let told = item.content.iter().flat_map(|content| &content.0);
    for (at, json) in told.filter_map(|(name, json)| Some((kind.def().position(name)?, json))) {
        row.values[at] = Value::from_json(kind.def().fields[at].field_type, json).unwrap_or(Value::Null);
    }
    row
}

/// Returns held work as the office corrected it: its own change on top of what the author recorded.
pub(super) fn corrected(mutation: &Mutation, correction: Option<&HeldContent>) -> Result<Mutation, Violation> {
    let mut corrected = mutation.clone();
    for (name, value) in correction.into_iter().flat_map(|content| &content.0) {
        let def = mutation.kind.def();
        let wrong = || Violation::hard(FIELD, "correction", MessageKey::WrongType).arg("value", name);
        let at = def.position(name).ok_or_else(wrong)?;
        let value = Value::from_json(def.fields[at].field_type, value).ok_or_else(wrong)?;
        corrected.patch.retain(|(position, _)| *position != at);
        corrected.patch.push((at, value));
    }
    corrected.patch.sort_unstable_by_key(|(at, _)| *at);
    Ok(corrected)
}

/// Says on a held item that it waits no longer.
pub(super) fn settle_item(item: &mut HeldItem, result: &MutationResult, now: Timestamp) {
    item.resolved_at = Some(now);
    if result.outcome == Outcome::Rejected {
        item.state = HeldState::Returned;
        item.answer = Some(HeldAnswer {
            code: result.code.clone(),
            rule: result.rule.clone(),
            field: result.field.clone(),
            message: result.message.clone(),
            args: result.args.clone(),
        });
    } else {
        item.state = HeldState::Applied;
    }
}

/// Returns the identifier of the adjustment by which late work was booked.
pub(super) fn adjustment_id(outbox: &Outbox, no: u64) -> LateAdjustmentId {
    LateAdjustmentId(derived_id(outbox, no, "late"))
}

fn derived_id(outbox: &Outbox, no: u64, about: &str) -> Uuid {
    let name = format!("{}/{no}/{about}", outbox.incarnation);
    Uuid::new_v5(&outbox.device, name.as_bytes())
}
