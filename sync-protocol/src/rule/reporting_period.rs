//! Reporting periods: they have a length, and are unlocked for a reason.

use super::state::STATE;
use super::{Violation, is_blank};
use crate::code::PeriodState;
use crate::entity::ReportingPeriod;
use crate::message::MessageKey;
use crate::validate::FIELD;

pub(super) fn check(before: Option<&ReportingPeriod>, after: &ReportingPeriod, out: &mut Vec<Violation>) {
    if after.until_on < after.from_on {
        out.push(Violation::hard(FIELD, "until_on", MessageKey::EndBeforeStart).arg("limit", after.from_on));
    }
    let is_unlocked = before.is_some_and(|row| row.state == PeriodState::Locked) && after.state == PeriodState::Open;
    if is_unlocked && is_blank(after.unlock_reason.as_deref()) {
        out.push(Violation::hard(STATE, "unlock_reason", MessageKey::UnlockReasonMissing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ReportingPeriodId;
    use crate::rule::Related;
    use crate::rule::fixture::{check_change, day};

    #[test]
    fn a_period_is_unlocked_for_a_reason() {
        let before = ReportingPeriod {
            id: ReportingPeriodId(uuid::Uuid::from_u128(1)),
            code: "2024-Q2".to_owned(),
            from_on: day("2024-04-01"),
            until_on: day("2024-06-30"),
            due_on: None,
            state: PeriodState::Locked,
            locked_by: None,
            locked_at: None,
            unlock_reason: None,
        };
        for (reason, expected) in [(None, 1), (Some(" "), 1), (Some("Lipsește o vizită"), 0)] {
            let unlock_reason = reason.map(str::to_owned);
            let after = ReportingPeriod { state: PeriodState::Open, unlock_reason, ..before.clone() };
            assert_eq!(check_change(&before, &after, true, &Related::new()).len(), expected, "{reason:?}");
        }
    }
}
