//! All end equal: what a phone shows is what the server has for it, neither less nor more.

use std::collections::{BTreeMap, BTreeSet};

use client_sdk::store::{Query, RowState, ShownRow};
use sync_protocol::entity::EntityKind;
use uuid::Uuid;

use super::super::history::History;
use super::super::view;
use super::Violation;

pub(super) fn check(history: &History<'_>, found: &mut Vec<Violation>) {
    for at in 0..history.phones.len() {
        let cast = history.plan.cast.phones[at];
        if history.server.is_barred(cast.user) {
            continue;
        }
        let Some(store) = history.phones[at].as_ref().and_then(|phone| phone.store.as_ref()) else { continue };
        let mut shown: BTreeMap<(EntityKind, Uuid), ShownRow> = BTreeMap::new();
        for kind in EntityKind::ALL {
            let rows = store.list(*kind, &Query::new().limit(u32::MAX)).unwrap_or_default();
            shown.extend(rows.into_iter().map(|row| ((*kind, row.row.id), row)));
        }
        // What the server refused or keeps is the phone's own until someone decides.
        let changes = [store.held(u32::MAX), store.rejected(u32::MAX)].into_iter().flatten().flatten();
        let own: BTreeSet<Uuid> = changes.map(|change| change.mutation.row_id).collect();
        let expected = view::of_phone(&history.server, cast.programme, cast.user);
        let differences = differences(&shown, &expected, &own);
        if let Some(first) = differences.first() {
            let what = format!("phone {at}: {first}, {} differences in all", differences.len());
            found.push(Violation { invariant: "equal", what });
        }
    }
}

fn differences(
    shown: &BTreeMap<(EntityKind, Uuid), ShownRow>,
    expected: &view::Rows,
    own: &BTreeSet<Uuid>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (key, (row, seq)) in expected.iter().filter(|(key, _)| !own.contains(&key.1)) {
        let name = key.0.def().name;
        match shown.get(key) {
            None => found.push(format!("{name} {} of {seq} is missing", key.1)),
            // What the law protects stays on the phone where it was written down.
            Some(there) if view::as_shown(key.0, there.row.clone()) != *row => {
                let fields = key.0.def().fields.iter().zip(there.row.values.iter().zip(&row.values));
                let first =
                    fields.filter(|(_, (a, b))| a != b).map(|(f, (a, b))| format!("{} {a:?} for {b:?}", f.name));
                let first = first.collect::<Vec<_>>().join(", ");
                found.push(format!("{name} {} of {} shows {first} of {seq}", key.1, there.seq));
            }
            Some(there) if there.seq != *seq => {
                found.push(format!("{name} {} has version {}, not {seq}", key.1, there.seq));
            }
            Some(there) if !matches!(there.state, RowState::Synced | RowState::Conflict) => {
                found.push(format!("{name} {} is {:?}", key.1, there.state));
            }
            Some(_) => {}
        }
    }
    let beyond = shown.keys().filter(|key| !own.contains(&key.1) && !expected.contains_key(*key));
    found.extend(beyond.map(|key| format!("{} {} is there", key.0.def().name, key.1)));
    found
}
