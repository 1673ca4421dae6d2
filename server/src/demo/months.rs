//! The state of each employment in each month, up to last month.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use sync_protocol::code::{AbsenceKind, EnterpriseStatus};
use sync_protocol::entity::{Employment, MonthlyJobStatus};
use sync_protocol::id::VisitId;

use super::calendar::LAST_MONTH;
use super::dice::Dice;
use super::enterprises::Story;
use super::jobs::Term;
use super::tables::Tables;

/// Adds the monthly states of one enterprise's employments; `made` are its visits, each with its month.
pub(super) fn add(
    dice: &mut Dice,
    story: &Story,
    held: &[(Employment, Term)],
    made: &[(i32, VisitId)],
    tables: &mut Tables,
) {
    for (employment, term) in held {
        let last_month = term.end.map_or(LAST_MONTH, |(month, _)| month.min(LAST_MONTH));
        for month in term.start.0..=last_month {
            let path = format!("employment/{}/month/{:02}", employment.id, month - term.start.0 + 1);
            let mut status = MonthlyJobStatus {
                id: story.ids.at(&path),
                enterprise_id: story.id,
                employment_id: employment.id,
                month_on: story.calendar.day(month, 1),
                is_active: true,
                hours_worked: Some(full_hours(employment)),
                absence_kind: None,
                is_wage_paid: None,
                visit_id: made.iter().find(|(made_in, _)| *made_in == month).map(|(_, visit)| *visit),
                note: None,
            };
            work(dice, month, &mut status);
            if story.status == EnterpriseStatus::Suspended && month > story.last_month {
                suspend(&mut status);
            }
            tables.months.push(status);
        }
    }
}

/// Returns the hours of a month without absence; 168 hours are 40 a week.
fn full_hours(employment: &Employment) -> i32 {
    (employment.fte * Decimal::from(168)).to_i32().unwrap_or_default()
}

fn work(dice: &mut Dice, month: i32, status: &mut MonthlyJobStatus) {
    status.absence_kind = dice.weighted(&[
        (90, None),
        (4, Some(AbsenceKind::Sick)),
        (4, Some(AbsenceKind::Leave)),
        (1, Some(AbsenceKind::Unpaid)),
        (1, Some(AbsenceKind::Parental)),
    ]);
    let absent_hours = dice.between(8, 60);
    if status.absence_kind.is_some() {
        status.hours_worked = status.hours_worked.map(|hours| hours - absent_hours);
    }
    let is_paid = dice.chance(980);
    // Last month's wages are not all known yet.
    let is_known = month < LAST_MONTH || dice.chance(600);
    status.is_wage_paid = is_known.then_some(is_paid);
}

fn suspend(status: &mut MonthlyJobStatus) {
    status.is_active = false;
    status.hours_worked = Some(0);
    status.absence_kind = Some(AbsenceKind::Technical);
    status.is_wage_paid = None;
    status.note = Some("Activitatea întreprinderii este suspendată.".to_owned());
}
