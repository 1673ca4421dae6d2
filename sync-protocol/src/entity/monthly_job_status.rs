use uuid::Uuid;

use super::{EntityKind, entity};
use crate::code::AbsenceKind;
use crate::id::{EmploymentId, EnterpriseId, MonthlyJobStatusId, VisitId};
use crate::time::Date;

entity! {
    /// The state of one employment in one month: a fact, corrected by a later one.
    MonthlyJobStatus("monthly_job_status", MonthlyJobStatusId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// The employment.
        employment_id: EmploymentId [to(EntityKind::Employment) indexed immutable],
        /// The first day of the month.
        month_on: Date [indexed immutable],
        /// Whether the person worked or was entitled to work in the month.
        is_active: bool [group("month")],
        /// Hours worked in the month.
        hours_worked: Option<i32> [group("month")],
        /// Why the person was absent.
        absence_kind: Option<AbsenceKind> [group("month")],
        /// Whether the wage was paid.
        is_wage_paid: Option<bool> [group("month")],
        /// The visit during which it was seen.
        visit_id: Option<VisitId> [to(EntityKind::Visit)],
        /// What else there is to say.
        note: Option<String> [max(1000)],
    }
}

impl MonthlyJobStatus {
    /// Returns the identifier of a month of an employment: the same on every device, so that two devices that record
    /// one month edit one row.
    pub fn id_of(employment: EmploymentId, month_on: Date) -> MonthlyJobStatusId {
        MonthlyJobStatusId(Uuid::new_v5(&employment.0, month_on.to_string().as_bytes()))
    }
}
