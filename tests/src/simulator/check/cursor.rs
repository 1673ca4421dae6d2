//! The cursor tells the truth: what it covers is on the phone.

use client_sdk::store::RowState;

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
        let lacks = |(kind, id, seq): &&(_, _, u64)| match store.get(*kind, *id) {
            Ok(Some(shown)) => shown.seq < *seq && matches!(shown.state, RowState::Synced | RowState::Conflict),
            // A voided row that waits to be told so is not shown.
            Ok(None) => !store.pending(u32::MAX).is_ok_and(|p| p.iter().any(|change| change.mutation.row_id == *id)),
            Err(_) => false,
        };
        promise.rows.iter().find(lacks).map(|(kind, id, seq)| (kind.def().name, *id, *seq))
    };
    if let Some((kind, id, seq)) = missing {
        let cursor = promise.cursor.seq;
        history.violate("cursor", format!("phone {at} is at {cursor} without {kind} {id} of {seq}"));
    }
}
