//! On which days a change has its effect, and so which reporting periods it touches (I29).

use super::{Related, differs, visit};
use crate::entity::{Entity, EntityKind, FollowUpAction, MonthlyJobStatus, Row};
use crate::time::Date;
use crate::value::Value;

/// The most dates that one change has: the old and the new first and last day of a job record.
const MOST: usize = 4;

/// Returns the days on which a change has its effect; none for a row that belongs to no period.
///
/// `before` is the row as it is stored, `after` the row as it will be; `None` for a row that is voided. A job
/// record belongs to the days on which it begins and ends, so that its other details can be put right later. The
/// parts of a visit belong to the day of the visit, which must be among the related rows. What is done about an
/// action later belongs to the day on which it is done.
pub fn dates(
    kind: EntityKind,
    before: Option<&Row>,
    after: Option<&Row>,
    related: &Related,
) -> impl Iterator<Item = Date> {
    let both = || [before, after].into_iter().flatten();
    let mut found = [None; MOST];
    let mut slots = found.iter_mut();
    let mut add = |date: Option<Date>| {
        if let (Some(date), Some(slot)) = (date, slots.next()) {
            *slot = Some(date);
        }
    };
    match kind {
        EntityKind::Visit => both().for_each(|row| add(visit::date_of(row))),
        EntityKind::ChecklistAnswer | EntityKind::Finding | EntityKind::Attendee => {
            add(day_of_visit(kind, both().last(), related));
        }
        EntityKind::FollowUpAction if before.is_none() || after.is_none() => {
            add(day_of_visit(kind, both().last(), related));
        }
        EntityKind::FollowUpAction
            if changes(kind, before, after, "done_on") || changes(kind, before, after, "status") =>
        {
            both().for_each(|row| add(date(row.get(FollowUpAction::DEF, "done_on"))));
        }
        EntityKind::MonthlyJobStatus => {
            add(both().last().and_then(|row| date(row.get(MonthlyJobStatus::DEF, "month_on"))));
        }
        EntityKind::Employment => {
            for field in ["start_on", "end_on"] {
                if changes(kind, before, after, field) {
                    both().for_each(|row| add(date(row.get(kind.def(), field))));
                }
            }
        }
        _ => {}
    }
    found.into_iter().flatten()
}

/// Returns the rows whose place in a reporting period decides that of a row: itself, or the visit that it is part of.
pub fn reported_with(kind: EntityKind, row: &Row) -> impl Iterator<Item = uuid::Uuid> {
    let is_part = matches!(
        kind,
        EntityKind::ChecklistAnswer | EntityKind::Finding | EntityKind::Attendee | EntityKind::FollowUpAction
    );
    let visit = is_part.then(|| row.get(kind.def(), "visit_id").as_uuid()).flatten();
    std::iter::once(row.id).chain(visit)
}

fn changes(kind: EntityKind, before: Option<&Row>, after: Option<&Row>, field: &str) -> bool {
    after.is_none_or(|after| differs(kind, before, after, field))
}

fn day_of_visit(kind: EntityKind, part: Option<&Row>, related: &Related) -> Option<Date> {
    let visit = part?.get(kind.def(), "visit_id").as_uuid()?;
    related.untyped(EntityKind::Visit, visit).and_then(visit::date_of)
}

fn date(value: &Value) -> Option<Date> {
    match value {
        Value::Date(date) => Some(*date),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::ActionStatus;
    use crate::entity::{Employment, Visit};
    use crate::rule::fixture::{self, day};
    use crate::time::Timestamp;

    fn days<T: Entity>(before: Option<&T>, after: Option<&T>, related: &Related) -> Vec<String> {
        let (before, after) = (before.map(Entity::to_row), after.map(Entity::to_row));
        dates(T::DEF.kind, before.as_ref(), after.as_ref(), related).map(|day| day.to_string()).collect()
    }

    #[test]
    fn a_visit_that_moves_touches_both_days_and_its_parts_have_its_day() {
        let visit = fixture::visit();
        let started = visit.actual_start_at.unwrap();
        let moved = Visit { actual_start_at: Some(Timestamp(started.0 + 86_400_000)), ..visit.clone() };
        let none = Related::new();
        assert_eq!(
            days(Some(&visit), Some(&moved), &none),
            [started.date(), started.date().plus_days(1)].map(|d| d.to_string())
        );
        let related = Related::new().with_row(EntityKind::Visit, visit.to_row());
        assert_eq!(days(None, Some(&fixture::finding()), &related), [started.date().to_string()]);
        assert!(days(None, Some(&fixture::finding()), &none).is_empty());
    }

    #[test]
    fn a_job_record_belongs_to_its_first_and_last_day_and_to_no_other() {
        let job = Employment { start_on: day("2024-02-01"), end_on: None, ..fixture::employment() };
        let ended = Employment { end_on: Some(day("2024-05-31")), ..job.clone() };
        let renamed = Employment { contract_no: Some("18".to_owned()), ..job.clone() };
        let none = Related::new();
        assert_eq!(days(None, Some(&job), &none), ["2024-02-01"]);
        assert_eq!(days(Some(&job), Some(&ended), &none), ["2024-05-31"]);
        assert!(days(Some(&job), Some(&renamed), &none).is_empty());
        assert_eq!(days(Some(&ended), None, &none), ["2024-02-01", "2024-05-31"]);
    }

    #[test]
    fn an_action_is_raised_on_the_day_of_the_visit_and_done_on_its_own() {
        let action = FollowUpAction { status: ActionStatus::Open, done_on: None, ..fixture::action() };
        let done = FollowUpAction { status: ActionStatus::Done, done_on: Some(day("2024-07-02")), ..action.clone() };
        let postponed = FollowUpAction { due_on: day("2024-09-01"), ..action.clone() };
        let visit = fixture::visit();
        let related = Related::new().with_row(EntityKind::Visit, visit.to_row());
        assert_eq!(days(None, Some(&action), &related), [visit.actual_start_at.unwrap().date().to_string()]);
        assert_eq!(days(Some(&action), Some(&done), &related), ["2024-07-02"]);
        assert!(days(Some(&action), Some(&postponed), &related).is_empty());
    }
}
