//! Whoever was erased stays erased: nothing that was written about the person is on the server or on any phone.

use std::collections::BTreeSet;

use client_sdk::store::{Query, Store};
use sync_protocol::entity::EntityKind;

use super::super::history::History;
use super::Violation;

pub(super) fn check(history: &History<'_>, found: &mut Vec<Violation>) {
    let words = history.deeds.erased_words();
    let state = history.server.state();
    let is_about = |row| history.deeds.is_erased(row);
    let rows = state.rows.iter().filter(|((_, _, id), _)| is_about(*id));
    let mut left: Vec<String> = rows.map(|((_, kind, id), _)| format!("{} {id} is there", kind.def().name)).collect();
    if !words.is_empty() {
        left.extend(told_by_server(&state, &words));
        for (at, phone) in history.phones.iter().enumerate() {
            let is_barred = history.server.is_barred(history.plan.cast.phones[at].user);
            let store = phone.as_ref().and_then(|phone| phone.store.as_ref()).filter(|_| !is_barred);
            left.extend(
                store
                    .into_iter()
                    .flat_map(|store| told_by_phone(store, &words))
                    .map(|what| format!("phone {at}: {what}")),
            );
        }
    }
    found.extend(left.into_iter().map(|what| Violation { invariant: "erased", what }));
}

/// Looks into everything that the server keeps.
fn told_by_server(state: &super::super::server::State, words: &BTreeSet<&str>) -> Vec<String> {
    let rows = state.rows.iter().map(|(key, row)| (format!("{} {}", key.1.def().name, key.2), format!("{row:?}")));
    let changes = state.changes.iter().map(|(key, all)| (format!("the history of {}", key.2), format!("{all:?}")));
    let graves = state.graves.iter().map(|(key, grave)| (format!("the grave of {}", key.2), format!("{grave:?}")));
    let sent = state.mutations.iter().map(|((_, no), kept)| {
        let bytes = String::from_utf8_lossy(kept.record.payload.as_deref().unwrap_or_default());
        (format!("number {no} about {}", kept.record.row_id), format!("{bytes} {:?}", kept.record.result))
    });
    telling(rows.chain(changes).chain(graves).chain(sent), words)
}

/// Looks into everything that a phone shows.
fn told_by_phone(store: &Store, words: &BTreeSet<&str>) -> Vec<String> {
    let all = Query::new().limit(u32::MAX);
    let rows = EntityKind::ALL.iter().flat_map(|kind| store.list(*kind, &all).unwrap_or_default());
    let rows = rows.map(|row| (format!("row {}", row.row.id), format!("{:?}", row.row)));
    let changes = [store.pending(u32::MAX), store.held(u32::MAX), store.rejected(u32::MAX)];
    let changes = changes.into_iter().flatten().flatten();
    let changes = changes.map(|change| (format!("change of {}", change.mutation.row_id), format!("{change:?}")));
    telling(rows.chain(changes), words)
}

fn telling(texts: impl Iterator<Item = (String, String)>, words: &BTreeSet<&str>) -> Vec<String> {
    let tells = |text: &str| words.iter().find(|word| holds(text, word)).copied();
    texts.filter_map(|(what, text)| Some(format!("{what} tells {:?}", tells(&text)?))).collect()
}

/// Whether a text holds words that end in a number, and not in a longer one.
fn holds(text: &str, words: &str) -> bool {
    let ends = text.match_indices(words).map(|(at, words)| &text[at + words.len()..]);
    ends.into_iter().any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}
