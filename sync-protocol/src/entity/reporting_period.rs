use super::{EntityKind, entity};
use crate::code::PeriodState;
use crate::id::{ReportingPeriodId, UserId};
use crate::time::{Date, Timestamp};

entity! {
    /// A stretch of time that is reported as a whole. Once it is locked, nothing dated into it changes (I29).
    ReportingPeriod("reporting_period", ReportingPeriodId) scope(Programme) from(Office) {
        /// The code that people use, such as `2024-Q2`.
        code: String [max(20) indexed],
        /// The first day.
        from_on: Date [indexed],
        /// The last day.
        until_on: Date [indexed],
        /// When the report is due.
        due_on: Option<Date>,
        /// The state.
        state: PeriodState [indexed office group("lock")],
        /// Who locked it.
        locked_by: Option<UserId> [to(EntityKind::User) office group("lock")],
        /// When it was locked.
        locked_at: Option<Timestamp> [office group("lock")],
        /// Why it was unlocked last.
        unlock_reason: Option<String> [max(500) office group("lock")],
    }
}
