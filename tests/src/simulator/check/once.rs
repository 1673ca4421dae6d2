//! No effect twice: each number of an outbox is taken once, and each deed has one effect.

use super::super::backend::Kept;
use super::super::history::History;
use super::super::plan::Step;
use super::Violation;
use super::loss::Fates;

pub(super) fn check(history: &History<'_>, fates: &Fates, found: &mut Vec<Violation>) {
    for kept in fates.kept.iter().flatten().filter(|kept| kept.times > 1) {
        let what = format!("mutation {:?} was taken {} times", kept.identity, kept.times);
        found.push(Violation { invariant: "once", what });
    }
    if history.plan.steps.iter().any(|planned| forks(&planned.step)) {
        return;
    }
    for (deed, kept) in &fates.of {
        let effects = kept.iter().filter(|kept| Kept::is_effective(kept)).count();
        if effects > 1 {
            let identities: Vec<_> = kept.iter().map(|kept| kept.identity).collect();
            let what = format!("d{deed} took effect {effects} times: {identities:?}");
            found.push(Violation { invariant: "once", what });
        }
    }
}

/// Two phones that were one send what both have under two names: setting a field to the same value again.
fn forks(step: &Step) -> bool {
    matches!(step, Step::ClonePhone { .. } | Step::RestorePhone { .. })
}
