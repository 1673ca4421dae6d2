//! What the demo promises, checked on the finished rows.

use std::collections::{BTreeMap, HashMap, HashSet};

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use sync_protocol::code::{ActionStatus, AnswerType, RepeatOver, Role, ScopeKind, Severity, VisitMode, VisitStatus};
use sync_protocol::entity::{
    AnswerValue, Attendee, ChecklistAnswer, Employment, Enterprise, EntityKind, Finding, FollowUpAction, I18n,
    Position, Question, Row, ScopeGrant, Site, User, Visit,
};
use sync_protocol::field::Field;
use sync_protocol::time::Date;
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

use super::expected::every;
use super::{DemoProgramme, Plan, generate};

fn demo(seed: u64, projects: u32, today: &str) -> Vec<DemoProgramme> {
    generate(&Plan { seed, projects, today: today.parse().unwrap() }).collect()
}

fn first() -> DemoProgramme {
    demo(1, 1, "2026-11-22").remove(0)
}

fn ids_hash(programmes: &[DemoProgramme]) -> String {
    let mut hash = Sha256::new();
    for (kind, row) in programmes.iter().flat_map(|programme| &programme.rows) {
        hash.update(kind.number().to_be_bytes());
        hash.update(row.id);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn two_runs_of_one_plan_are_identical() {
    let (one, two) = (demo(7, 2, "2026-11-22"), demo(7, 2, "2026-11-22"));
    for (a, b) in one.iter().zip(&two) {
        assert_eq!(format!("{:?}", a.rows), format!("{:?}", b.rows));
        assert_eq!(a.expected, b.expected);
    }
    assert_ne!(ids_hash(&one), ids_hash(&demo(8, 2, "2026-11-22")));
}

#[test]
fn identifiers_depend_on_the_seed_and_not_on_the_day() {
    let hash = ids_hash(&demo(1, 1, "2026-11-22"));
    for today in ["2026-11-01", "2026-03-01", "2024-02-29", "2027-01-31", "2026-08-15"] {
        assert_eq!(ids_hash(&demo(1, 1, today)), hash, "{today}");
    }
    assert_eq!(hash, "3b276f8c725a0ef2", "the identifiers of seed 1 are published; changing them breaks links");
}

#[test]
fn programmes_share_no_identifier_and_no_address() {
    let programmes = demo(1, 3, "2026-11-22");
    let ids: Vec<Uuid> = programmes.iter().flat_map(|programme| &programme.rows).map(|(_, row)| row.id).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let emails: Vec<&str> =
        programmes.iter().flat_map(|programme| &programme.accounts).map(|account| account.email.as_str()).collect();
    assert_eq!(emails.iter().collect::<HashSet<_>>().len(), 36);
    assert!(emails.contains(&"ana.mentor@example.org") && emails.contains(&"ana.mentor.p002@example.org"));
}

#[test]
fn every_value_fits_its_field() {
    for programme in demo(1, 2, "2026-11-22") {
        for (kind, row) in &programme.rows {
            assert_eq!(row.values.len(), kind.def().fields.len());
            for (field, value) in kind.def().fields.iter().zip(&row.values) {
                assert!(fits(field, value), "{kind:?}.{} = {value:?}", field.name);
            }
        }
    }
}

fn fits(field: &Field, value: &Value) -> bool {
    let is_long = field.max_chars > 0
        && value.as_text().is_some_and(|text| text.is_empty() || text.chars().count() > field.max_chars as usize);
    let is_unknown_code =
        field.field_type == FieldType::Code && value.as_text().is_some_and(|code| !field.codes.contains(&code));
    value.fits(field.field_type) && (field.nullable || !value.is_null()) && !is_long && !is_unknown_code
}

#[test]
fn every_reference_points_at_an_earlier_row_of_its_kind() {
    let mut seen: HashSet<(EntityKind, Uuid)> = HashSet::new();
    for (kind, row) in &first().rows {
        for (field, value) in kind.def().fields.iter().zip(&row.values) {
            if let (Some(target), Some(id)) = (field.reference, value.as_uuid()) {
                assert!(seen.contains(&(target, id)), "{kind:?}.{}", field.name);
            }
        }
        assert!(seen.insert((*kind, row.id)));
    }
}

#[test]
fn children_belong_to_the_enterprise_of_their_visit() {
    let rows = first().rows;
    let visits: HashMap<Uuid, &Row> =
        rows.iter().filter(|(kind, _)| *kind == EntityKind::Visit).map(|(_, row)| (row.id, row)).collect();
    for (kind, row) in &rows {
        let Some(visit) = row.get(kind.def(), "visit_id").as_uuid().map(|id| visits[&id]) else { continue };
        assert_eq!(
            row.get(kind.def(), "enterprise_id"),
            visit.get(EntityKind::Visit.def(), "enterprise_id"),
            "{kind:?}"
        );
    }
}

#[test]
fn the_sizes_are_those_of_the_source() {
    let expected = first().expected;
    let rows = |kind: &str| expected.rows.get(kind).copied().unwrap_or_default();
    assert_eq!([rows("enterprise"), rows("position"), rows("participation")], [21, 105, 75]);
    assert_eq!([rows("action_line"), rows("question"), rows("user")], [6, 24, 12]);
    assert!((125..=155).contains(&rows("employment")), "{}", rows("employment"));
    assert!((390..=460).contains(&rows("visit")), "{}", rows("visit"));
    assert!((9_500..=13_500).contains(&rows("checklist_answer")), "{}", rows("checklist_answer"));
    assert!((380..=560).contains(&rows("finding")), "{}", rows("finding"));
    assert!((270..=420).contains(&rows("follow_up_action")), "{}", rows("follow_up_action"));
    assert!((1_300..=2_000).contains(&rows("monthly_job_status")), "{}", rows("monthly_job_status"));
    let targets: BTreeMap<&str, i32> =
        expected.targets.iter().map(|(indicator, target)| (indicator.as_str(), *target)).collect();
    let promised = [("PS01", 75), ("PS02", 75), ("PS03", 21), ("PS04", 105), ("PS06", 6), ("PS07", 2)];
    assert_eq!(targets, BTreeMap::from(promised));
    assert!(expected.actions_overdue > 20 && expected.actions_overdue < expected.actions_open);
}

#[test]
fn a_made_visit_has_all_that_completing_requires() {
    let rows = first().rows;
    let attended: HashSet<_> =
        every::<Attendee>(&rows).filter(|attendee| attendee.is_present).map(|attendee| attendee.visit_id).collect();
    let mut without_fix = 0;
    for visit in every::<Visit>(&rows).filter(is_made) {
        assert!(visit.actual_start_at < visit.actual_end_at && attended.contains(&visit.id));
        assert!(visit.arrival_place.is_some() != visit.gps_exception_reason.is_some());
        assert!(visit.signed_at.is_some() != visit.signature_refusal_note.is_some());
        assert_eq!(visit.signed_content_hash.as_ref().map(String::len), visit.signed_at.map(|_| 64));
        let on_site_without_fix = visit.mode == VisitMode::OnSite && visit.arrival_place.is_none();
        without_fix += u32::from(on_site_without_fix);
    }
    assert!((4..=30).contains(&without_fix), "{without_fix}");
    let mocked = every::<Visit>(&rows).filter(|visit| visit.arrival_place.as_ref().is_some_and(|place| place.is_mock));
    assert_eq!(mocked.count(), 1);
}

fn is_made(visit: &Visit) -> bool {
    visit.actual_start_at.is_some()
}

#[test]
fn a_made_visit_answers_every_question_that_applies() {
    let rows = first().rows;
    let questions: Vec<Question> = every(&rows).collect();
    let mut answers: HashMap<Uuid, Vec<ChecklistAnswer>> = HashMap::new();
    for answer in every::<ChecklistAnswer>(&rows) {
        answers.entry(answer.visit_id.0).or_default().push(answer);
    }
    for visit in every::<Visit>(&rows) {
        let given = answers.get(&visit.id.0).map_or(&[][..], Vec::as_slice);
        assert_eq!(given.is_empty(), !is_made(&visit));
        for question in questions.iter().filter(|_| is_made(&visit)) {
            let count = given.iter().filter(|answer| answer.question_code == question.code).count();
            let wanted = match question.repeat_over {
                Some(RepeatOver::Positions) => 5,
                Some(RepeatOver::Items) => 3,
                Some(_) => count,
                None => usize::from(applies(question, given)),
            };
            assert_eq!(count, wanted, "{}", question.code);
        }
        for answer in given {
            let question = questions.iter().find(|question| question.code == answer.question_code).unwrap();
            assert!(matches_type(question, answer), "{answer:?}");
            assert_eq!(answer.id, ChecklistAnswer::id_of(visit.id, &answer.question_code, answer.item_id));
        }
    }
}

fn applies(question: &Question, given: &[ChecklistAnswer]) -> bool {
    let holds = question.asked_if.as_ref().is_none_or(|condition| {
        given
            .iter()
            .filter(|answer| answer.question_code == condition.question)
            .any(|answer| answer.value.as_ref().is_some_and(|value| condition.any_of.contains(&value.text())))
    });
    holds && question.answer_type != AnswerType::Computed
}

fn matches_type(question: &Question, answer: &ChecklistAnswer) -> bool {
    match (question.answer_type, &answer.value) {
        (_, None) => answer.na_reason.is_some(),
        (AnswerType::Bool, Some(AnswerValue::Bool(_)))
        | (AnswerType::Text, Some(AnswerValue::Text(_)))
        | (AnswerType::Date, Some(AnswerValue::Date(_))) => true,
        (AnswerType::Int, Some(AnswerValue::Int(number))) => {
            question.min_value.is_none_or(|least| *number >= least)
                && question.max_value.is_none_or(|most| *number <= most)
        }
        (AnswerType::Decimal, Some(AnswerValue::Decimal(number))) => *number >= Decimal::ZERO,
        (AnswerType::Choice, Some(AnswerValue::Choice(option))) => question.options.contains(option),
        (AnswerType::MultiChoice, Some(AnswerValue::MultiChoice(options))) => {
            options.iter().all(|option| question.options.contains(option))
        }
        _ => false,
    }
}

#[test]
fn actions_follow_findings_and_time() {
    let rows = first().rows;
    let visits: HashMap<_, Visit> = every::<Visit>(&rows).map(|visit| (visit.id, visit)).collect();
    let actions: Vec<FollowUpAction> = every(&rows).collect();
    for finding in every::<Finding>(&rows).filter(|finding| finding.severity == Severity::Critical) {
        assert!(actions.iter().any(|action| action.finding_id == Some(finding.id)));
    }
    for action in &actions {
        let visited_on = visits[&action.visit_id].actual_start_at.unwrap().date();
        assert!(action.due_on >= visited_on);
        assert!(action.done_on.is_none_or(|done| done >= visited_on && done <= today()));
        assert_eq!(action.verified_in_visit_id.is_some(), action.status == ActionStatus::Verified);
        assert_eq!(action.cancel_reason.is_some(), action.status == ActionStatus::Cancelled);
        if let Some(seen_in) = action.verified_in_visit_id {
            assert!(visits[&seen_in].actual_start_at > visits[&action.visit_id].actual_start_at);
        }
    }
}

fn today() -> Date {
    "2026-11-22".parse().unwrap()
}

#[test]
fn employments_of_one_position_follow_each_other() {
    let rows = first().rows;
    let registered: HashMap<_, _> =
        every::<Enterprise>(&rows).map(|enterprise| (enterprise.id, enterprise.registered_on.unwrap())).collect();
    let jobs: Vec<Employment> = every(&rows).collect();
    for position in every::<Position>(&rows) {
        let mut free_from = registered[&position.enterprise_id];
        for job in jobs.iter().filter(|job| job.position_id == position.id) {
            assert!(job.start_on > free_from, "{}", position.code);
            assert!(job.end_on.is_none_or(|end| end >= job.start_on && end <= today()));
            assert_eq!(job.end_on.is_some(), job.end_reason.is_some());
            free_from = job.end_on.unwrap_or(today());
            assert_eq!(job.fte, (job.weekly_hours / Decimal::from(40)).round_dp(2));
            assert!(job.holder_birth_on.unwrap().plus_months(12 * 16) <= job.start_on);
            assert_ne!(job.verified_by, Some(job.recorded_by));
        }
        let first_start = jobs.iter().find(|job| job.position_id == position.id).map(|job| job.start_on);
        assert_eq!(position.first_filled_on, first_start);
    }
}

#[test]
fn every_enterprise_has_a_granted_mentor_who_makes_its_visits() {
    let rows = first().rows;
    let users: HashMap<_, Role> = every::<User>(&rows).map(|user| (user.id, user.role)).collect();
    let grants: Vec<ScopeGrant> = every(&rows).collect();
    let holds = |user, enterprise: Uuid, at| {
        grants.iter().any(|grant| {
            grant.scope_kind == ScopeKind::Enterprise
                && grant.user_id == user
                && grant.scope_id == enterprise
                && grant.valid_from_at <= at
                && grant.valid_until_at.is_none_or(|until| at < until)
        })
    };
    for enterprise in every::<Enterprise>(&rows) {
        let mentor = enterprise.mentor_id.unwrap();
        assert_eq!(users[&mentor], Role::Mentor);
        assert!(holds(mentor, enterprise.id.0, today().midnight()), "{}", enterprise.code);
    }
    for visit in every::<Visit>(&rows) {
        assert!(holds(visit.mentor_id, visit.enterprise_id.0, visit.planned_start_at.unwrap()));
    }
    assert_eq!(grants.iter().filter(|grant| grant.valid_until_at.is_some()).count(), 1);
}

#[test]
fn the_programme_is_alive_today() {
    for day in ["2026-11-22", "2026-03-01", "2027-01-31"] {
        let today: Date = day.parse().unwrap();
        let rows = demo(1, 1, day).remove(0).rows;
        let visits: Vec<Visit> = every(&rows).collect();
        let ahead = |visit: &&Visit| visit.planned_start_at.is_some_and(|at| at.date() >= today);
        assert!(visits.iter().filter(ahead).all(|visit| visit.status == VisitStatus::Planned));
        assert!(visits.iter().all(|visit| visit.planned_start_at.unwrap().date() <= today.plus_days(60)));
        let planned_today: HashSet<_> = visits
            .iter()
            .filter(|visit| visit.planned_start_at.is_some_and(|at| at.date() == today))
            .map(|visit| visit.mentor_id)
            .collect();
        assert!(planned_today.len() >= 4, "{day}");
        assert!(visits.iter().any(|visit| visit.status == VisitStatus::Submitted));
        assert!(visits.iter().all(|visit| visit.validated_at.is_none_or(|at| at.date() <= today)));
        assert!(
            visits.iter().filter(|visit| is_made(visit)).all(|visit| visit.actual_start_at.unwrap().date() < today)
        );
    }
}

#[test]
fn every_site_lies_in_the_region_and_every_label_is_translated() {
    let rows = first().rows;
    for site in every::<Site>(&rows) {
        let place = site.place.unwrap();
        assert!((44.4..46.8).contains(&place.latitude) && (20.2..23.7).contains(&place.longitude));
    }
    for question in every::<Question>(&rows) {
        let I18n { ro, en, it } = question.text;
        assert!(!ro.is_empty() && en.is_some() && it.is_some(), "{}", question.code);
    }
}

#[test]
fn the_oracle_adds_up_and_has_a_json_form() {
    let expected = first().expected;
    let total = expected.rows["visit"];
    for counts in [&expected.visits_by_kind, &expected.visits_by_mentor, &expected.visits_by_enterprise] {
        assert_eq!(counts.values().sum::<u64>(), total);
    }
    assert_eq!(expected.visits_by_mentor.len(), 6);
    assert!(expected.jobs_filled <= expected.jobs_created && expected.jobs_created <= 105);
    assert_eq!(expected.headcount, expected.jobs_filled);
    let json = serde_json::to_string_pretty(&expected).unwrap();
    assert!(json.contains("\"jobs_created\""));
}
