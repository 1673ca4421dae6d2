//! The oracle: totals recounted from the finished rows by loops that share nothing with their making.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use sync_protocol::code::{ActionStatus, EmploymentStatus};
use sync_protocol::entity::{
    Employment, Enterprise, Entity, EntityKind, Finding, FollowUpAction, Participation, Position, Row, Target, User,
    Visit,
};
use sync_protocol::time::Date;

/// Numbers by a code or a name, in a stable order.
pub type Counts = BTreeMap<String, u64>;

/// What every query over the demo must answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Expected {
    /// The day for which "overdue" and "active" hold.
    pub today: Date,
    /// Rows by kind, such as `visit`.
    pub rows: Counts,
    /// The target of each indicator.
    pub targets: BTreeMap<String, i32>,
    /// Positions that the programme promised.
    pub positions_committed: u64,
    /// Committed positions that were filled at least once (I18).
    pub jobs_created: u64,
    /// Committed positions with an active employment today.
    pub jobs_filled: u64,
    /// Employments that have begun and not ended, as of today.
    pub headcount: u64,
    /// The full-time equivalents of these employments.
    pub fte_sum: Decimal,
    /// Enterprises by county.
    pub enterprises_by_county: Counts,
    /// Enterprises by kind.
    pub enterprises_by_kind: Counts,
    /// Enterprises by status.
    pub enterprises_by_status: Counts,
    /// Visits by status.
    pub visits_by_status: Counts,
    /// Visits by kind.
    pub visits_by_kind: Counts,
    /// Visits by the e-mail address of their mentor.
    pub visits_by_mentor: Counts,
    /// Visits by the code of their enterprise.
    pub visits_by_enterprise: Counts,
    /// Findings by severity.
    pub findings_by_severity: Counts,
    /// Actions that are open.
    pub actions_open: u64,
    /// Open actions whose day has passed.
    pub actions_overdue: u64,
    /// Participants with a first certificate.
    pub first_certificates: u64,
    /// Participants with a second certificate.
    pub second_certificates: u64,
}

/// Returns the totals of the rows as of `today`.
pub(super) fn count(rows: &[(EntityKind, Row)], today: Date) -> Expected {
    let mut expected = Expected { today, ..Expected::default() };
    for (kind, _) in rows {
        add(&mut expected.rows, kind.def().name);
    }
    for target in every::<Target>(rows) {
        expected.targets.insert(target.indicator_code, target.target_value);
    }
    count_enterprises(&mut expected, rows);
    count_jobs(&mut expected, rows);
    count_visits(&mut expected, rows);
    count_follow_up(&mut expected, rows);
    for participation in every::<Participation>(rows) {
        expected.first_certificates += u64::from(participation.first_certificate_on.is_some());
        expected.second_certificates += u64::from(participation.second_certificate_on.is_some());
    }
    expected
}

fn count_enterprises(expected: &mut Expected, rows: &[(EntityKind, Row)]) {
    for enterprise in every::<Enterprise>(rows) {
        add(&mut expected.enterprises_by_county, enterprise.county.code());
        add(&mut expected.enterprises_by_kind, enterprise.kind.code());
        add(&mut expected.enterprises_by_status, enterprise.status.code());
    }
}

fn count_jobs(expected: &mut Expected, rows: &[(EntityKind, Row)]) {
    let today = expected.today;
    let active: Vec<Employment> = every::<Employment>(rows).filter(|job| is_active(job, today)).collect();
    expected.headcount = active.len() as u64;
    expected.fte_sum = active.iter().map(|job| job.fte).sum();
    for position in every::<Position>(rows).filter(|position| position.is_committed) {
        expected.positions_committed += 1;
        expected.jobs_created += u64::from(position.first_filled_on.is_some());
        expected.jobs_filled += u64::from(active.iter().any(|job| job.position_id == position.id));
    }
}

fn is_active(job: &Employment, today: Date) -> bool {
    job.start_on <= today && job.end_on.is_none_or(|end| end >= today) && job.status != EmploymentStatus::Voided
}

fn count_visits(expected: &mut Expected, rows: &[(EntityKind, Row)]) {
    let mentors: BTreeMap<_, _> = every::<User>(rows).map(|user| (user.id, user.email)).collect();
    let enterprises: BTreeMap<_, _> =
        every::<Enterprise>(rows).map(|enterprise| (enterprise.id, enterprise.code)).collect();
    for visit in every::<Visit>(rows) {
        add(&mut expected.visits_by_status, visit.status.code());
        add(&mut expected.visits_by_kind, visit.kind.code());
        add(&mut expected.visits_by_mentor, mentors.get(&visit.mentor_id).map_or("", String::as_str));
        add(&mut expected.visits_by_enterprise, enterprises.get(&visit.enterprise_id).map_or("", String::as_str));
    }
}

fn count_follow_up(expected: &mut Expected, rows: &[(EntityKind, Row)]) {
    for finding in every::<Finding>(rows) {
        add(&mut expected.findings_by_severity, finding.severity.code());
    }
    for action in every::<FollowUpAction>(rows).filter(|action| action.status == ActionStatus::Open) {
        expected.actions_open += 1;
        expected.actions_overdue += u64::from(action.due_on < expected.today);
    }
}

fn add(counts: &mut Counts, key: &str) {
    *counts.entry(key.to_owned()).or_default() += 1;
}

/// Returns the rows of one entity, typed again.
pub(super) fn every<E: Entity>(rows: &[(EntityKind, Row)]) -> impl Iterator<Item = E> {
    rows.iter().filter(|(kind, _)| *kind == E::DEF.kind).filter_map(|(_, row)| E::from_row(row).ok())
}
