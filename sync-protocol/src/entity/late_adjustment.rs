use uuid::Uuid;

use super::{EntityKind, entity};
use crate::id::{HeldItemId, LateAdjustmentId, ReportingPeriodId, UserId};
use crate::time::Timestamp;

entity! {
    /// Work that came after its reporting period was locked, booked to the next open one. The locked period keeps
    /// its figures (I29).
    LateAdjustment("late_adjustment", LateAdjustmentId) scope(Scope("subject_scope_id")) from(Server) {
        /// The scope of the row.
        subject_scope_id: Uuid [indexed immutable],
        /// The kind of row.
        subject_kind: String [max(40) immutable],
        /// The row.
        subject_id: Uuid [indexed immutable],
        /// Whether the row itself came late and belongs to the other period from now on, rather than one change
        /// of it.
        is_new_row: bool [immutable],
        /// The locked period into which the work is dated.
        original_period_id: ReportingPeriodId [to(EntityKind::ReportingPeriod) immutable],
        /// The period that it is booked to.
        period_id: ReportingPeriodId [to(EntityKind::ReportingPeriod) indexed immutable],
        /// The held change that was approved.
        held_item_id: HeldItemId [to(EntityKind::HeldItem) immutable],
        /// Who approved it.
        approved_by: UserId [to(EntityKind::User) immutable],
        /// When it was approved.
        approved_at: Timestamp [indexed immutable],
    }
}
