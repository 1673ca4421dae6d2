//! The cursor tells the truth: what it covers is on the phone.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use client_sdk::store::{RowState, Store};
use uuid::Uuid;

use super::super::history::History;
use super::super::plan::Step;

/// Checks, after a phone has taken a reply, that it has what the reply promised.
pub fn promised(history: &mut History<'_>, at: usize, request: u64) {
    let Some(promise) = history.promises.take(at, request) else { return };
    // Phones that were one send under one name what the other does not have: comparing digests puts that right later.
    let forks = |step: &Step| matches!(step, Step::ClonePhone { .. } | Step::RestorePhone { .. });
    if history.plan.steps.iter().any(|planned| forks(&planned.step)) {
        return;
    }
    let missing = {
        let Some(phone) = history.phones[at].as_ref() else { return };
        let Some(store) = phone.store.as_ref().filter(|_| phone.complete == Some(promise.cursor)) else { return };
        // After a restore, or where digests differ, the phone knows that rows may be wrong and does not say that it
        // is up to date. Nor does it where it has answers given again, which tell the numbers of its own rows.
        let Ok(view) = store.sync_view() else { return };
        // A save that failed meanwhile may have undone the rows, and the cursor with them.
        if view.is_repairing || view.is_seeking || view.cursor != promise.cursor {
            return;
        }
        // Seldom asked for, and reading every change takes time.
        let own = OnceCell::new();
        let lacks = |(kind, id, seq): &&(_, _, u64)| match store.get(*kind, *id) {
            Ok(Some(shown)) => shown.seq < *seq && matches!(shown.state, RowState::Synced | RowState::Conflict),
            // A row that was voided here is not shown, whether the server knows of it, keeps it or has refused it.
            Ok(None) => !own.get_or_init(|| changed_here(store)).contains(id),
            Err(_) => false,
        };
        // Nor does it where a comparison is due, which a reply that breaks off leaves open.
        let knows = || store.hello("", 0).is_ok_and(|hello| hello.verify_kinds > 0);
        promise.rows.iter().find(lacks).filter(|_| !knows()).map(|(kind, id, seq)| (kind.def().name, *id, *seq))
    };
    if let Some((kind, id, seq)) = missing {
        let cursor = promise.cursor.seq;
        history.violate("cursor", format!("phone {at} is at {cursor} without {kind} {id} of {seq}"));
    }
}

/// Returns the rows with changes that wait, are held or were refused.
fn changed_here(store: &Store) -> BTreeSet<Uuid> {
    let changes = [store.pending(u32::MAX), store.held(u32::MAX), store.rejected(u32::MAX)];
    changes.into_iter().flatten().flatten().map(|change| change.mutation.row_id).collect()
}
