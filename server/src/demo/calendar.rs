//! The timeline, counted from the day of the demo.

use sync_protocol::time::{Date, Timestamp};

/// The month in which the programme starts, counted from the month of the demo.
pub(super) const START: i32 = -30;
/// How many months the programme runs.
pub(super) const DURATION_MONTHS: i32 = 36;
/// The last complete month.
pub(super) const LAST_MONTH: i32 = -1;

/// Turns "month -3, day 12" into a date.
///
/// Everything before the current month is placed by month and day, never by a number of days: only then do two
/// demos with different days have the same rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    pub(super) today: Date,
}

impl Calendar {
    /// Returns a day of the month `month` months from now; `day` is 1 to 28, which every month has.
    pub(super) fn day(&self, month: i32, day: i32) -> Date {
        self.today.first_of_month().plus_months(month).plus_days(day - 1)
    }

    /// Returns the working day nearest to that day within its month.
    pub(super) fn working_day(&self, month: i32, day: i32) -> Date {
        let date = self.day(month, day);
        match weekday(date) {
            5 => date.plus_days(if day > 1 { -1 } else { 2 }),
            6 => date.plus_days(if day > 2 { -2 } else { 1 }),
            _ => date,
        }
    }
}

/// Returns the day of the week, 0 for Monday.
fn weekday(date: Date) -> i32 {
    // 1970-01-01 was a Thursday.
    (date.0 + 3).rem_euclid(7)
}

/// Returns the next working day from `date` on.
pub(super) fn next_working_day(date: Date) -> Date {
    match weekday(date) {
        5 => date.plus_days(2),
        6 => date.plus_days(1),
        _ => date,
    }
}

/// Returns the instant `minutes` after midnight UTC.
pub(super) fn at_minute(date: Date, minutes: i32) -> Timestamp {
    date.midnight().plus_ms(i64::from(minutes) * 60_000)
}

/// Returns the number of the month, 1 to 12.
pub(super) fn month_number(date: Date) -> usize {
    date.to_string().get(5..7).and_then(|month| month.parse().ok()).unwrap_or(1)
}

/// Returns the Romanian name of the month before `date`.
pub(super) fn previous_month_name(date: Date) -> &'static str {
    const NAMES: [&str; 12] = [
        "decembrie",
        "ianuarie",
        "februarie",
        "martie",
        "aprilie",
        "mai",
        "iunie",
        "iulie",
        "august",
        "septembrie",
        "octombrie",
        "noiembrie",
    ];
    NAMES[(month_number(date) - 1) % 12]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_fall_on_working_days_of_their_month() {
        let calendar = Calendar { today: Date::new(2026, 3, 31).unwrap() };
        for month in -18..0 {
            for day in 1..=28 {
                let date = calendar.working_day(month, day);
                assert!(weekday(date) < 5, "{date}");
                assert_eq!(date.first_of_month(), calendar.day(month, 1));
            }
        }
    }

    #[test]
    fn the_month_before_january_is_december() {
        assert_eq!(previous_month_name(Date::new(2026, 1, 5).unwrap()), "decembrie");
        assert_eq!(previous_month_name(Date::new(2026, 11, 5).unwrap()), "octombrie");
    }
}
