//! The state of an employment in a month.

use super::{RuleContext, Violation};
use crate::entity::MonthlyJobStatus;
use crate::message::MessageKey;
use crate::validate::FIELD;

/// The hours of the longest month.
const MAX_HOURS: i32 = 31 * 24;

pub(super) fn check(after: &MonthlyJobStatus, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    let first = after.month_on.first_of_month();
    if after.month_on != first {
        out.push(Violation::hard(FIELD, "month_on", MessageKey::MonthNotFirstDay).arg("limit", first));
    }
    if let Some(tomorrow) = cx.tomorrow().filter(|tomorrow| after.month_on > *tomorrow) {
        out.push(Violation::hard(FIELD, "month_on", MessageKey::MonthInFuture).arg("limit", tomorrow));
    }
    if after.hours_worked.is_some_and(|hours| !(0..=MAX_HOURS).contains(&hours)) {
        out.push(Violation::hard(FIELD, "hours_worked", MessageKey::NumberOutOfRange).arg("limit", MAX_HOURS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Related;
    use crate::rule::fixture::{self, day};

    #[test]
    fn a_month_is_named_by_its_first_day_has_begun_and_has_744_hours_at_most() {
        for (month_on, hours_worked, expected) in [
            ("2024-03-01", Some(168), None),
            ("2024-03-02", None, Some(MessageKey::MonthNotFirstDay)),
            ("2024-06-01", None, Some(MessageKey::MonthInFuture)),
            ("2024-03-01", Some(-1), Some(MessageKey::NumberOutOfRange)),
            ("2024-03-01", Some(745), Some(MessageKey::NumberOutOfRange)),
        ] {
            let month = MonthlyJobStatus { month_on: day(month_on), hours_worked, ..fixture::month() };
            let found: Vec<_> = fixture::check_new(&month, &Related::new()).iter().map(|v| v.message).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{month_on} {hours_worked:?}");
        }
    }
}
