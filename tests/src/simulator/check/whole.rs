//! What belongs together takes effect together.

use std::collections::BTreeMap;

use super::super::backend::Kept;
use super::super::history::History;
use super::Violation;
use super::loss::Fates;

pub(super) fn check(history: &History<'_>, fates: &Fates, found: &mut Vec<Violation>) {
    let mut groups: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
    for (number, deed) in history.deeds.iter() {
        // What is about someone who was erased is refused by itself.
        let group = deed.group.filter(|_| !history.deeds.is_about_erased(deed));
        if let (Some(group), Some(kept)) = (group, fates.of.get(&number)) {
            groups.entry(group).or_default().push((number, kept.iter().any(Kept::is_effective)));
        }
    }
    for (group, deeds) in groups {
        let effective = deeds.iter().filter(|(_, is_effective)| *is_effective).count();
        if effective != 0 && effective != deeds.len() {
            let what = format!("of group {group}, {effective} of {} took effect: {deeds:?}", deeds.len());
            found.push(Violation { invariant: "whole", what });
        }
    }
}
