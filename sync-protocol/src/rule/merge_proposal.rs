//! Proposals to merge: decided once, for one of the two rows or for neither.

use super::{STATE, Violation, is_blank};
use crate::code::MergeState;
use crate::entity::MergeProposal;
use crate::message::MessageKey;

pub(super) fn check(before: Option<&MergeProposal>, after: &MergeProposal, out: &mut Vec<Violation>) {
    let Some(before) = before else { return };
    let is_decision = matches!(after.state, MergeState::Merged | MergeState::Dismissed);
    if before.state != MergeState::Open || !is_decision {
        out.push(Violation::hard(STATE, "state", MessageKey::MergeDecided));
    }
    let is_one_of_two = |id| [before.first_id, before.second_id].contains(&id);
    if after.state == MergeState::Merged && !after.survivor_id.is_some_and(is_one_of_two) {
        out.push(Violation::hard(STATE, "survivor_id", MessageKey::MergeSurvivorUnknown));
    }
    if after.state == MergeState::Dismissed && is_blank(after.decision_note.as_deref()) {
        out.push(Violation::hard(STATE, "decision_note", MessageKey::Missing));
    }
    let decided = MergeProposal {
        state: after.state,
        survivor_id: after.survivor_id.filter(|_| after.state == MergeState::Merged),
        decision_note: after.decision_note.clone(),
        ..before.clone()
    };
    if decided != *after {
        out.push(Violation::hard(STATE, "state", MessageKey::OfficeOnly));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::MergeProposalId;
    use crate::rule::Related;
    use crate::rule::fixture::check_change;
    use crate::time::Timestamp;

    const FIRST: Uuid = Uuid::from_u128(1);
    const SECOND: Uuid = Uuid::from_u128(2);

    fn proposal(state: MergeState, survivor_id: Option<Uuid>, note: Option<&str>) -> MergeProposal {
        MergeProposal {
            id: MergeProposalId(Uuid::from_u128(3)),
            subject_scope_id: Uuid::from_u128(4),
            subject_kind: "employment".to_owned(),
            first_id: FIRST,
            second_id: SECOND,
            matched_fields: vec!["holder_name".to_owned()],
            detected_at: Timestamp(1),
            state,
            alias_id: None,
            survivor_id,
            merged_content: None,
            decided_by: None,
            decided_at: None,
            decision_note: note.map(str::to_owned),
        }
    }

    #[test]
    fn a_proposal_is_decided_once_for_one_of_the_two_or_for_neither() {
        use MergeState::{Dismissed, Merged, Open, Withdrawn};
        use MessageKey as Key;
        for (from, to, survivor, note, expected) in [
            (Open, Merged, Some(FIRST), None, None),
            (Open, Merged, Some(SECOND), Some("aceeași persoană"), None),
            (Open, Merged, None, None, Some(Key::MergeSurvivorUnknown)),
            (Open, Merged, Some(Uuid::from_u128(9)), None, Some(Key::MergeSurvivorUnknown)),
            (Open, Dismissed, None, Some("tată și fiu"), None),
            (Open, Dismissed, None, Some(" "), Some(Key::Missing)),
            (Open, Dismissed, Some(FIRST), Some("tată și fiu"), Some(Key::OfficeOnly)),
            (Open, Withdrawn, None, None, Some(Key::MergeDecided)),
            (Merged, Dismissed, None, Some("totuși nu"), Some(Key::MergeDecided)),
            (Dismissed, Merged, Some(FIRST), None, Some(Key::MergeDecided)),
            (Withdrawn, Merged, Some(FIRST), None, Some(Key::MergeDecided)),
        ] {
            let found = check_change(&proposal(from, None, None), &proposal(to, survivor, note), true, &Related::new());
            let keys: Vec<_> = found.iter().map(|violation| violation.message).collect();
            assert_eq!(keys, expected.into_iter().collect::<Vec<_>>(), "{from} to {to} {survivor:?} {note:?}");
        }
        let other = MergeProposal { alias_id: Some(SECOND), ..proposal(Merged, Some(FIRST), None) };
        assert_eq!(check_change(&proposal(Open, None, None), &other, true, &Related::new()).len(), 1);
    }
}
