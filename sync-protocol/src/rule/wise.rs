//! The 30 % test of work-integration social enterprises (I14, Law 219/2015), as a preview on the phone.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::code::EmploymentStatus;
use crate::entity::Employment;
use crate::time::Date;

/// The least share of people and of hours from vulnerable groups, in per cent.
pub const WISE_MINIMUM_PERCENT: i64 = 30;

/// The shares of the vulnerable in an enterprise on one day, from 0 to 1 with four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WisePreview {
    /// Vulnerable employees of all employees.
    pub headcount_ratio: Decimal,
    /// Contracted hours of vulnerable employees of all contracted hours.
    pub hours_ratio: Decimal,
}

impl WisePreview {
    /// Returns whether either share is below the minimum.
    pub fn is_below_minimum(&self) -> bool {
        self.headcount_ratio.min(self.hours_ratio) < Decimal::new(WISE_MINIMUM_PERCENT, 2)
    }
}

/// Returns the shares on the day `on`, `None` when nobody is employed on it.
///
/// Voided records do not count; every other one does from its first to its last day.
pub fn wise_preview<'a>(employments: impl IntoIterator<Item = &'a Employment>, on: Date) -> Option<WisePreview> {
    let mut headcount = Share::default();
    let mut hours = Share::default();
    for employment in employments.into_iter().filter(|employment| is_active(employment, on)) {
        headcount.add(Decimal::ONE, employment.is_vulnerable);
        hours.add(employment.weekly_hours, employment.is_vulnerable);
    }
    Some(WisePreview { headcount_ratio: headcount.ratio()?, hours_ratio: hours.ratio()? })
}

fn is_active(employment: &Employment, on: Date) -> bool {
    employment.status != EmploymentStatus::Voided
        && employment.start_on <= on
        && employment.end_on.is_none_or(|end_on| on <= end_on)
}

#[derive(Default)]
struct Share {
    vulnerable: Decimal,
    all: Decimal,
}

impl Share {
    fn add(&mut self, amount: Decimal, is_vulnerable: bool) {
        self.all += amount;
        if is_vulnerable {
            self.vulnerable += amount;
        }
    }

    /// Rounds down, so that a share just below the minimum never looks as if it reached it.
    fn ratio(&self) -> Option<Decimal> {
        let ratio = self.vulnerable.checked_div(self.all)?;
        Some(ratio.round_dp_with_strategy(4, RoundingStrategy::ToZero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::fixture::{self, day};

    fn worker(weekly_hours: i64, is_vulnerable: bool) -> Employment {
        Employment { weekly_hours: weekly_hours.into(), is_vulnerable, ..fixture::employment() }
    }

    #[test]
    fn both_shares_must_reach_thirty_per_cent() {
        let on = day("2020-06-01");
        for (vulnerable_hours, headcount, hours, is_below) in
            [(40, "0.3333", "0.3333", false), (20, "0.3333", "0.2", true), (36, "0.3333", "0.3103", false)]
        {
            let staff = [worker(vulnerable_hours, true), worker(40, false), worker(40, false)];
            let preview = wise_preview(&staff, on).unwrap();
            assert_eq!(preview.headcount_ratio, headcount.parse().unwrap());
            assert_eq!(preview.hours_ratio, hours.parse().unwrap());
            assert_eq!(preview.is_below_minimum(), is_below);
        }
    }

    #[test]
    fn only_people_who_work_on_the_day_count() {
        let mut gone = worker(40, true);
        gone.end_on = Some(day("2020-05-31"));
        let mut voided = worker(40, true);
        voided.status = EmploymentStatus::Voided;
        let staff = [gone, voided, worker(40, false)];
        assert_eq!(wise_preview(&staff, day("2020-06-01")).unwrap().headcount_ratio, Decimal::ZERO);
        assert_eq!(wise_preview(&staff, day("2020-05-31")).unwrap().headcount_ratio, Decimal::new(5, 1));
        assert_eq!(wise_preview(&staff, day("2019-01-01")), None);
    }
}
