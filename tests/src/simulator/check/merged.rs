//! A merged row has a name that stays good: nothing names it any more, and nothing waits for it.

use sync_protocol::code::HeldState;
use sync_protocol::entity::{Entity as _, EntityKind, HeldItem, Row};
use uuid::Uuid;

use super::super::history::History;
use super::Violation;
use super::loss::Fates;

pub(super) fn check(history: &History<'_>, fates: &Fates, found: &mut Vec<Violation>) {
    for programme in 0..history.plan.cast.programmes.len() {
        let rows = history.server.all_rows(programme);
        let is_merged = |id: &Uuid| {
            let is_there = |kind: &EntityKind| rows.contains_key(&(*kind, *id));
            history.deeds.is_merged(*id)
                && !EntityKind::ALL.iter().any(is_there)
                && !is_yet_to_come(history, fates, *id)
        };
        for ((kind, id), (row, _)) in &rows {
            if let Some(merged) = named_by(*kind, row).find(|id| is_merged(id)) {
                let what = format!("{} {id} names {merged}, which was merged", kind.def().name);
                found.push(Violation { invariant: "merge", what });
            }
        }
    }
}

/// Whether a month of a merged job record is not on the server: it was never merged, and who changed it waits for it
/// until the office decides. The server holds it, or the only phone that had it went back to before it, and the server
/// as well.
fn is_yet_to_come(history: &History<'_>, fates: &Fates, row: Uuid) -> bool {
    let Some(creation) = history.deeds.creation(EntityKind::MonthlyJobStatus, row) else { return false };
    match fates.of.get(&creation) {
        Some(kept) => kept.iter().all(|kept| kept.outcome == 'H'),
        None => history.deeds.get(creation).is_some_and(|deed| deed.may_be_lost),
    }
}

/// Returns the rows that a row names, and that held work waits for.
fn named_by(kind: EntityKind, row: &Row) -> impl Iterator<Item = Uuid> {
    let fields = kind.def().fields.iter().zip(&row.values);
    let named = fields.filter(|(field, _)| field.reference.is_some()).filter_map(|(_, value)| value.as_uuid());
    let held = (kind == EntityKind::HeldItem).then(|| HeldItem::from_row(row).ok()).flatten();
    let waits_for = held.filter(|item| item.state == HeldState::Held).and_then(|item| item.waits_for_id);
    named.chain(waits_for)
}
