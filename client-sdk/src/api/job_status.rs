//! The months of job records: who worked, for how many hours, whether the wage was paid.

use sync_protocol::code::AbsenceKind;
use sync_protocol::entity::{Employment, MonthlyJobStatus};
use sync_protocol::id::{EmploymentId, VisitId};
use sync_protocol::time::Date;

use super::error::ApiResult;
use super::records::{Record, Saved};
use crate::client::Client;
use crate::store::{Direction, Query};

/// The months of job records on this device.
#[derive(Clone, Copy)]
pub struct JobStatuses<'c>(pub(super) &'c Client);

/// What was seen of one employment in one month.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Month {
    /// Whether the person worked or was entitled to work.
    pub is_active: bool,
    /// Hours worked.
    pub hours_worked: Option<i32>,
    /// Why the person was absent.
    pub absence_kind: Option<AbsenceKind>,
    /// Whether the wage was paid.
    pub is_wage_paid: Option<bool>,
    /// The visit during which it was seen.
    pub visit: Option<VisitId>,
    /// What else there is to say.
    pub note: Option<String>,
}

impl JobStatuses<'_> {
    /// Records a month, named by any of its days. A month that was recorded before is corrected.
    pub fn record(&self, employment: EmploymentId, on: Date, month: Month) -> ApiResult<Saved<MonthlyJobStatus>> {
        self.0.record(|writer| {
            let month_on = on.first_of_month();
            let enterprise_id = writer.get::<Employment>(employment)?.enterprise_id;
            let known: Vec<MonthlyJobStatus> = writer.children("employment_id", employment)?;
            let known = known.into_iter().find(|known| known.month_on == month_on);
            let row = MonthlyJobStatus {
                id: known.map_or_else(|| MonthlyJobStatus::id_of(employment, month_on), |known| known.id),
                enterprise_id,
                employment_id: employment,
                month_on,
                is_active: month.is_active,
                hours_worked: month.hours_worked,
                absence_kind: month.absence_kind,
                is_wage_paid: month.is_wage_paid,
                visit_id: month.visit,
                note: month.note,
            };
            writer.put_or_replace(&row)
        })
    }

    /// Returns the months of an employment, the newest first.
    pub fn of(&self, employment: EmploymentId) -> ApiResult<Vec<Record<MonthlyJobStatus>>> {
        let query = Query::new().eq("employment_id", employment);
        self.0.list(&query.order_by("month_on", Direction::Descending).limit(u32::MAX))
    }
}
