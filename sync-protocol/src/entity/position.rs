use rust_decimal::Decimal;

use super::{EntityKind, entity};
use crate::code::PositionStatus;
use crate::field::MergePolicy;
use crate::id::{EnterpriseId, PositionId};
use crate::time::Date;

entity! {
    /// A job of an enterprise, filled or not. The indicator "jobs created" counts positions, not people (I18).
    Position("position", PositionId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// The code within the programme, such as `P-047`.
        code: String [max(20) indexed],
        /// The title of the job.
        title: String [searched],
        /// The occupation, ISCO-08 with four digits.
        isco_code: String [max(6)],
        /// Full-time equivalent, above 0 and at most 1.
        fte: Decimal,
        /// When it should be filled.
        planned_start_on: Option<Date>,
        /// Whether it counts towards the jobs that the programme promised.
        is_committed: bool [indexed],
        /// The state.
        status: PositionStatus [indexed policy(MergePolicy::State)],
        /// Whether it is meant for a person of a vulnerable group.
        is_reserved_for_vulnerable: bool,
        /// When it was first filled; set by the first employment.
        first_filled_on: Option<Date>,
    }
}
