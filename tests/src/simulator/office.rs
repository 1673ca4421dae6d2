//! What people in the office do, drawn from what the server holds.

use sync_protocol::code::*;
use sync_protocol::entity::{Entity as _, EntityKind, HeldItem, MergeProposal, MonthlyJobStatus, Row, User, Visit};
use sync_protocol::id::UserId;
use sync_protocol::message::MessageKey;
use sync_protocol::mutation::Op;
use sync_protocol::patch::{self, Patch};
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::backend::Backend;
use super::cast::{Cast, grant};
use super::deed::{Deed, Deeds, Place, mark};
use super::dice::Dice;

/// An act of the office. Returns what was done, in words.
pub type Act = fn(&mut Backend, &mut Deeds, &Cast, usize, Timestamp, &mut Dice) -> String;

/// Someone corrects a row.
pub fn edit(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    programme: usize,
    now: Timestamp,
    dice: &mut Dice,
) -> String {
    let words = Value::Text(format!("birou {}", deeds.next()));
    let choices = [
        (EntityKind::Enterprise, "social_mission"),
        (EntityKind::Enterprise, "representative_name"),
        (EntityKind::Visit, "summary"),
        (EntityKind::Visit, "purpose"),
        (EntityKind::FollowUpAction, "text"),
        (EntityKind::FollowUpAction, "status_note"),
        (EntityKind::Employment, "contract_no"),
    ];
    let (kind, field) = choices[dice.below(choices.len())];
    let Some((row, seq)) = pick(server, programme, kind, dice) else { return "nothing to edit".to_owned() };
    let at = kind.def().position(field).unwrap_or_default();
    let patch = vec![(at, words)];
    change(server, deeds, cast, (programme, cast.programmes[programme].officer), now, kind, (&row, seq), patch)
}

/// Someone validates or returns a visit.
pub fn decide(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    programme: usize,
    now: Timestamp,
    dice: &mut Dice,
) -> String {
    let officer = cast.programmes[programme].officer;
    let is_submitted = ("status", VisitStatus::Submitted.code());
    let submitted = pick_where(server, programme, EntityKind::Visit, is_submitted, dice);
    let Some((row, seq)) = submitted else { return "nothing to decide".to_owned() };
    let Ok(mut visit) = Visit::from_row(&row) else { return "an odd visit".to_owned() };
    if dice.per_mille(500) {
        visit.status = VisitStatus::Validated;
        visit.validated_by = Some(UserId(officer));
        visit.validated_at = Some(now);
    } else {
        visit.status = VisitStatus::Returned;
        visit.return_reason = Some(format!("birou {}", deeds.next()));
    }
    let patch = patch::diff(&row, &visit.to_row());
    change(server, deeds, cast, (programme, officer), now, EntityKind::Visit, (&row, seq), patch)
}

/// Someone decides whether two records are one.
pub fn merge(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    programme: usize,
    now: Timestamp,
    dice: &mut Dice,
) -> String {
    let kind = EntityKind::MergeProposal;
    let open = pick_where(server, programme, kind, ("state", MergeState::Open.code()), dice);
    let Some((row, seq)) = open else { return "nothing to merge".to_owned() };
    let Ok(mut proposal) = MergeProposal::from_row(&row) else { return "an odd proposal".to_owned() };
    proposal.decision_note = Some(format!("birou {}", deeds.next()));
    let mut pair = None;
    if dice.per_mille(700) {
        let both = (proposal.first_id, proposal.second_id);
        let (survivor, merged) = if dice.per_mille(500) { both } else { (both.1, both.0) };
        (proposal.state, proposal.survivor_id, pair) = (MergeState::Merged, Some(survivor), Some((merged, survivor)));
    } else {
        proposal.state = MergeState::Dismissed;
    }
    let patch = patch::diff(&row, &proposal.to_row());
    let (who, first) = ((programme, cast.programmes[programme].officer), deeds.next());
    let done = change(server, deeds, cast, who, now, kind, (&row, seq), patch);
    if let Some((merged, survivor)) = pair.filter(|_| deeds.next() > first) {
        deeds.merge(merged, survivor);
    }
    done
}

/// Someone lets held work take effect, or gives it back: first what nobody can date.
pub fn judge(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    programme: usize,
    now: Timestamp,
    dice: &mut Dice,
) -> String {
    let kind = EntityKind::HeldItem;
    let undated = undated(server, programme);
    let any = || pick_where(server, programme, kind, ("state", HeldState::Held.code()), dice);
    let Some((row, seq)) = undated.into_iter().next().or_else(any) else { return "nothing to judge".to_owned() };
    let Ok(mut item) = HeldItem::from_row(&row) else { return "an odd item".to_owned() };
    item.state = if dice.per_mille(600) { HeldState::Applied } else { HeldState::Returned };
    item.decision_note = Some(format!("birou {}", deeds.next()));
    let patch = patch::diff(&row, &item.to_row());
    change(server, deeds, cast, (programme, cast.programmes[programme].officer), now, kind, (&row, seq), patch)
}

/// Returns the held items of which nobody can tell when the work was done.
pub fn undated(server: &Backend, programme: usize) -> Vec<(Row, u64)> {
    let mut rows = server.rows(programme, EntityKind::HeldItem);
    rows.retain(|(row, _)| has_code(row, "state", HeldState::Held.code()) && is_undated(row));
    rows
}

/// Returns whether a held item is, or was before it was decided, one of which nobody can tell when the work was done.
pub fn is_undated(held_item: &Row) -> bool {
    has_code(held_item, "reason_code", MessageKey::HeldClockImplausible.code())
}

fn has_code(held_item: &Row, field: &str, code: &str) -> bool {
    held_item.get(EntityKind::HeldItem.def(), field).as_text() == Some(code)
}

/// Returns whether a deed let held work take effect.
pub fn is_approval(deed: &Deed) -> bool {
    let applied = Value::Text(HeldState::Applied.code().to_owned());
    deed.kind == EntityKind::HeldItem && deed.fields.iter().any(|edit| edit.value == applied)
}

/// Someone erases a record about a person.
pub fn erase(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    programme: usize,
    _now: Timestamp,
    dice: &mut Dice,
) -> String {
    let kinds = [EntityKind::Employment, EntityKind::Attendee, EntityKind::MonthlyJobStatus];
    let kind = kinds[dice.below(kinds.len())];
    let Some((row, _)) = pick(server, programme, kind, dice) else { return "nobody to erase".to_owned() };
    // A month alone is nobody's to erase: it goes with its job record.
    let (kind, id) = match MonthlyJobStatus::from_row(&row).ok().filter(|_| kind == EntityKind::MonthlyJobStatus) {
        Some(month) => (EntityKind::Employment, month.employment_id.0),
        None => (kind, row.id),
    };
    match server.erase(programme, cast.programmes[programme].officer, kind, id) {
        Ok(()) => {
            deeds.erase(id);
            format!("erases {} {id}", kind.def().name)
        }
        Err(refusal) => format!("does not erase {} {id}: {refusal}", kind.def().name),
    }
}

/// Someone gives an enterprise to a mentor, or takes it away.
pub fn assign(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    programme: usize,
    now: Timestamp,
    dice: &mut Dice,
) -> String {
    let people = &cast.programmes[programme];
    let (Some(mentor), Some(enterprise)) = (dice.pick(&people.mentors), dice.pick(&people.enterprises)) else {
        return "nobody to assign".to_owned();
    };
    let mut wanted = grant(*mentor, *enterprise);
    let kind = EntityKind::ScopeGrant;
    let known = server.rows(programme, kind).into_iter().find(|(row, _)| row.id == wanted.id.0);
    match known {
        None => {
            wanted.valid_from_at = now;
            let row = wanted.to_row();
            create(server, deeds, cast, (programme, people.officer), now, kind, &row)
        }
        Some((row, seq)) => {
            let until = kind.def().position("valid_until_at").unwrap_or_default();
            let value = if row.values[until].is_null() { Value::Timestamp(now) } else { Value::Null };
            let who = (programme, people.officer);
            change(server, deeds, cast, who, now, kind, (&row, seq), vec![(until, value)])
        }
    }
}

/// Someone bars a mentor, or lets a barred one in again.
pub fn bar(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    programme: usize,
    now: Timestamp,
    dice: &mut Dice,
) -> String {
    let people = &cast.programmes[programme];
    let Some(mentor) = dice.pick(&people.mentors) else { return "nobody to bar".to_owned() };
    let found = server.rows(programme, EntityKind::User).into_iter().find(|(row, _)| row.id == *mentor);
    let Some((row, seq)) = found else { return "nobody to bar".to_owned() };
    let at = User::DEF.position("is_active").unwrap_or_default();
    let patch = vec![(at, Value::Bool(row.values[at] == Value::Bool(false)))];
    change(server, deeds, cast, (programme, people.admin), now, EntityKind::User, (&row, seq), patch)
}

fn pick(server: &Backend, programme: usize, kind: EntityKind, dice: &mut Dice) -> Option<(Row, u64)> {
    dice.pick(&server.rows(programme, kind)).cloned()
}

/// Picks a row of which a field has a code.
fn pick_where(
    server: &Backend,
    programme: usize,
    kind: EntityKind,
    (field, code): (&str, &str),
    dice: &mut Dice,
) -> Option<(Row, u64)> {
    let mut rows = server.rows(programme, kind);
    rows.retain(|(row, _)| row.get(kind.def(), field).as_text() == Some(code));
    dice.pick(&rows).cloned()
}

fn create(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    who: (usize, Uuid),
    now: Timestamp,
    kind: EntityKind,
    row: &Row,
) -> String {
    let reason = mark(deeds.next());
    let outcome = server.edit(cast, who, (kind, row.id, Op::Put), patch::creation(row), 0, reason);
    note(deeds, who, now, kind, None, row, outcome)
}

#[expect(clippy::too_many_arguments, reason = "an act has that many sides")]
fn change(
    server: &mut Backend,
    deeds: &mut Deeds,
    cast: &Cast,
    who: (usize, Uuid),
    now: Timestamp,
    kind: EntityKind,
    (before, seq): (&Row, u64),
    patch: Patch,
) -> String {
    let mut after = before.clone();
    patch::apply(&mut after, &patch);
    let reason = mark(deeds.next());
    let outcome = server.edit(cast, who, (kind, before.id, Op::Patch), patch, seq, reason);
    note(deeds, who, now, kind, Some(before), &after, outcome)
}

fn note(
    deeds: &mut Deeds,
    who: (usize, Uuid),
    now: Timestamp,
    kind: EntityKind,
    before: Option<&Row>,
    after: &Row,
    outcome: Result<(), String>,
) -> String {
    let number = deeds.next();
    match outcome {
        Ok(()) => {
            let deed = Deed {
                place: Place::Office,
                programme: who.0,
                kind,
                row: after.id,
                op: if before.is_some() { Op::Patch } else { Op::Put },
                fields: deeds.edits(kind, before, after),
                group: None,
                at: now,
                is_certain: true,
                may_be_lost: false,
                is_withdrawn: false,
            };
            deeds.add(deed);
            format!("d{number} changes {} {}", kind.def().name, after.id)
        }
        Err(refusal) => format!("{} {}: {refusal}", kind.def().name, after.id),
    }
}
