//! No silent overwrite: a value that someone wrote is the one that is shown, or someone who had seen it wrote another
//! one, or it stands in a conflict row. Who had seen what, only the history knows.

use std::collections::BTreeSet;

use sync_protocol::entity::EntityKind;
use sync_protocol::mutation::Op;
use sync_protocol::value::Value;

use super::super::deed::{Deeds, Place};
use super::super::history::History;
use super::Violation;
use super::loss::{Fates, copy_of, was_restored};

pub(super) fn check(history: &History<'_>, fates: &Fates, found: &mut Vec<Violation>) {
    let rows: Vec<_> =
        (0..history.plan.cast.programmes.len()).map(|programme| history.server.all_rows(programme)).collect();
    let conflicts: Vec<_> = (0..rows.len()).flat_map(|programme| values_in_conflicts(history, programme)).collect();
    let conflicts: BTreeSet<(String, uuid::Uuid, String, String)> = conflicts.into_iter().collect();
    for ((kind, row, at), writers) in history.deeds.fields() {
        let effective: Vec<usize> = writers.iter().copied().filter(|deed| took_effect(history, fates, *deed)).collect();
        let Some(programme) = effective.first().and_then(|deed| history.deeds.get(*deed)).map(|deed| deed.programme)
        else {
            continue;
        };
        // What a merged row said is said of the one that stayed; what was voided needs no value.
        let names: Vec<_> = history.deeds.survivors(*row).collect();
        let Some((shown, _)) = names.iter().find_map(|row| rows[programme].get(&(*kind, *row))) else { continue };
        // Who saw it may have written on under the name of the one that stayed.
        let later = names.iter().flat_map(|row| history.deeds.writers(*kind, *row, *at));
        let later: Vec<usize> = later.copied().filter(|deed| took_effect(history, fates, *deed)).collect();
        for deed in &effective {
            let Some(value) = history.deeds.value_of(*deed, *at).filter(|value| is_unique(value)) else { continue };
            let is_followed = |other: &usize| other != deed && is_followed(&history.deeds, (*deed, *other), *at, value);
            // Who puts a refused change right need not say again what another change of theirs says that waits.
            let waits = history.deeds.repeated(*deed, *at).skip(1).any(|repeated| fates.is_held(repeated));
            let is_over = waits || later.iter().any(is_followed) || was_brought_back(history, fates, *deed);
            if shown.values[*at] == *value || is_over {
                continue;
            }
            let field = kind.def().fields[*at].name;
            let json = value.to_json().to_string();
            let key = |row: &uuid::Uuid| (kind.def().name.to_owned(), *row, field.to_owned(), json.clone());
            if !names.iter().any(|row| conflicts.contains(&key(row))) {
                let now = &shown.values[*at];
                let what = format!("d{deed} set {}.{field} of {row} to {value:?}; it is {now:?}", kind.def().name);
                found.push(Violation { invariant: "conflict", what });
            }
        }
    }
}

/// Whether the author of another deed had seen a deed. Who affirms a value that is shown adds none: equal values never
/// meet, and whoever has seen the value and writes another one has seen all that was said.
fn is_followed(deeds: &Deeds, (deed, other): (usize, usize), at: usize, value: &Value) -> bool {
    let known = deeds.known(other, at);
    let is_another = deeds.value_of(other, at) != Some(value);
    known.contains(&deed) || (is_another && known.contains(&deeds.affirmed(deed, at)))
}

/// Whether the author deleted the row afterwards, a restored server lost all of that, and a copy of the phone, which
/// knows of neither, brought the row back as it was first recorded.
fn was_brought_back(history: &History<'_>, fates: &Fates, deed: usize) -> bool {
    let Some(of) = history.deeds.get(deed) else { return false };
    let Place::Phone(phone) = of.place else { return false };
    let later = history.deeds.iter().skip(deed + 1).filter(|(_, later)| (later.place, later.row) == (of.place, of.row));
    let is_deleted = later.filter(|(_, later)| later.op == Op::Delete).any(|(number, _)| fates.is_effective(number));
    is_deleted && was_restored(history) && copy_of(history, phone).is_some()
}

fn took_effect(history: &History<'_>, fates: &Fates, deed: usize) -> bool {
    match history.deeds.get(deed).map(|deed| deed.place) {
        Some(Place::Office) => history.deeds.get(deed).is_some_and(|deed| !deed.is_withdrawn),
        _ => fates.is_effective(deed),
    }
}

/// Only texts of the simulator's own are certain to be written once.
fn is_unique(value: &Value) -> bool {
    value.as_text().is_some_and(super::super::deed::is_unique)
}

fn values_in_conflicts(history: &History<'_>, programme: usize) -> Vec<(String, uuid::Uuid, String, String)> {
    let def = EntityKind::Conflict.def();
    let rows = history.server.rows(programme, EntityKind::Conflict).into_iter();
    rows.flat_map(|(row, _)| {
        let text = |name| row.get(def, name).as_text().unwrap_or_default().to_owned();
        let subject = row.get(def, "subject_id").as_uuid().unwrap_or_default();
        ["kept_value", "other_value"].map(|side| (text("subject_kind"), subject, text("field"), text(side)))
    })
    .collect()
}
