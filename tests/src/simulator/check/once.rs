//! No effect twice: each number of an outbox is taken once, and each deed has one effect.

use super::super::backend::Kept;
use super::super::deed::Place;
use super::super::history::History;
use super::super::plan::Step;
use super::Violation;
use super::loss::{Fates, copy_of};

pub(super) fn check(history: &History<'_>, fates: &Fates, found: &mut Vec<Violation>) {
    for kept in fates.kept.iter().flatten().filter(|kept| kept.times > 1) {
        let what = format!("mutation {:?} was taken {} times", kept.identity, kept.times);
        found.push(Violation { invariant: "once", what });
    }
    for (deed, kept) in fates.of.iter().filter(|(deed, _)| !was_two(history, **deed)) {
        let effects = kept.iter().filter(|kept| Kept::is_effective(kept)).count();
        if effects > 1 {
            let identities: Vec<_> = kept.iter().map(|kept| kept.identity).collect();
            let what = format!("d{deed} took effect {effects} times: {identities:?}");
            found.push(Violation { invariant: "once", what });
        }
    }
}

/// Whether a deed is of a phone that was copied, or restored from a copy: two phones that were one send what both have
/// under two names, setting a field to the same value again.
fn was_two(history: &History<'_>, deed: usize) -> bool {
    let Some(Place::Phone(phone)) = history.deeds.get(deed).map(|deed| deed.place) else { return false };
    let is_restored = |step: &Step| matches!(step, Step::RestorePhone { phone: restored } if *restored == phone);
    copy_of(history, phone).is_some() || history.plan.steps.iter().any(|planned| is_restored(&planned.step))
}
