//! S1: a visit in a village with no signal, with the program killed after every step.

use client_sdk::api::visits::{Conclusion, NewAction, NewAttendee, NewFinding, Reply};
use client_sdk::client::Client;
use client_sdk::error::{ApiError, ApiErrorKind};
use client_sdk::store::RowState;
use sync_protocol::code::*;
use sync_protocol::entity::{AnswerValue, Place, Visit};
use sync_protocol::id::VisitId;

use crate::device::Device;
use crate::fixture::{self, BAKER, DRIVER, ENTERPRISE, OLD_ACTION, PLANNED_VISIT, day};

fn start(device: &Device) -> VisitId {
    device.client().visits().start(ENTERPRISE, VisitKind::Routine, VisitMode::OnSite).unwrap().id
}

fn answer_everything(client: &Client, visit: VisitId) {
    while let Some(open) = client.visits().questions(visit).unwrap().into_iter().find(|q| q.is_open()) {
        let item = open.item.as_ref().map(|item| item.id);
        client.visits().answer(visit, &open.question.code, item, fixture::fitting_answer(&open.question)).unwrap();
    }
}

fn attendee() -> NewAttendee {
    NewAttendee { name: "Viorica Miclea".to_owned(), role: "administrator".to_owned(), organisation: None }
}

fn finding(severity: Severity) -> NewFinding {
    NewFinding { area: FindingArea::Equipment, severity, text: "Cuptorul lipsește".to_owned(), rule_ref: None }
}

fn action(finding: Option<sync_protocol::id::FindingId>) -> NewAction {
    NewAction {
        finding,
        text: "Aduceți cuptorul înapoi".to_owned(),
        responsible: Responsible::Enterprise,
        responsible_name: None,
        priority: Priority::High,
        due_on: day("2024-04-15"),
    }
}

fn place() -> Place {
    Place { latitude: 44.8984, longitude: 21.6623, accuracy_m: Some(9.0), fixed_at: None, is_mock: false }
}

fn conclusion() -> Conclusion {
    Conclusion {
        summary: Some("Totul în ordine, fără cuptor".to_owned()),
        risk: Some(RiskRating::Medium),
        next_visit_on: Some(day("2024-05-01")),
    }
}

fn rules_and_fields(error: &ApiError) -> Vec<(&str, &str)> {
    error.refusals.iter().map(|refusal| (refusal.rule.as_str(), refusal.field.as_str())).collect()
}

#[test]
fn a_whole_visit_goes_on_after_a_kill_at_every_step() {
    let mut device = Device::new();
    let visit = device.client().visits().start_planned(PLANNED_VISIT).unwrap().id;

    let mut answered = 0;
    while let Some(open) = device.kill().visits().questions(visit).unwrap().into_iter().find(|q| q.is_open()) {
        let item = open.item.as_ref().map(|item| item.id);
        let value = fixture::fitting_answer(&open.question);
        device.client().visits().answer(visit, &open.question.code, item, value.clone()).unwrap();
        answered += 1;

        let shown = device.kill().visits().questions(visit).unwrap();
        assert_eq!(shown.iter().filter(|q| q.is_answered()).count(), answered, "after {}", open.question.code);
        let same = |q: &&client_sdk::api::visits::VisitQuestion| (&q.question, &q.item) == (&open.question, &open.item);
        assert_eq!(shown.iter().find(same).unwrap().answer.as_ref().unwrap().value, Some(value));
    }
    // 24 questions: without the computed one and the reason for being closed, with J03 for two positions.
    assert_eq!(answered, 24 - 2 + 1);

    device.kill().visits().set_place(visit, place()).unwrap();
    device.kill().visits().add_attendee(visit, attendee()).unwrap();
    let found = device.kill().visits().add_finding(visit, finding(Severity::Critical)).unwrap().id;
    device.kill().visits().add_action(visit, action(Some(found))).unwrap();
    device.kill().visits().conclude(visit, conclusion()).unwrap();
    device.kill().visits().sign(visit, "Viorica Miclea", "administrator").unwrap();
    assert_eq!(device.kill().visits().open_points(visit).unwrap(), []);
    let completed = device.client().visits().complete(visit).unwrap();
    assert_eq!((completed.status, completed.warnings.len()), (VisitStatus::Completed, 0));

    let client = device.kill();
    let shown = client.visits().get(visit).unwrap().unwrap();
    assert_eq!((shown.status, shown.state), (VisitStatus::Completed, RowState::Pending));
    assert_eq!(shown.summary.as_deref(), Some("Totul în ordine, fără cuptor"));
    assert!(client.visits().drafts().unwrap().is_empty());
    // Start, answers, the action that R01 marks done, six parts of the visit, completion.
    assert_eq!(client.status().unwrap().sync.pending, 1 + answered as u64 + 1 + 6 + 1);
}

#[test]
fn the_signature_covers_the_conclusion_and_a_later_answer_is_told() {
    let device = Device::new();
    let (client, visit) = (device.client(), start(&device));
    answer_everything(client, visit);
    client.visits().set_place(visit, place()).unwrap();
    client.visits().add_attendee(visit, attendee()).unwrap();
    client.visits().conclude(visit, conclusion()).unwrap();
    let signed = client.visits().sign(visit, "Viorica Miclea", "administrator").unwrap();
    assert_eq!(signed.signer_name.as_deref(), Some("Viorica Miclea"));
    assert!(client.visits().signature_holds(visit).unwrap());

    client.visits().answer(visit, "J01", None, AnswerValue::Int(99)).unwrap();
    assert!(!client.visits().signature_holds(visit).unwrap());
    let completed = client.visits().complete(visit).unwrap();
    assert_eq!(completed.warnings.iter().map(|w| w.rule.as_str()).collect::<Vec<_>>(), ["I27"]);
}

#[test]
fn completing_without_a_place_asks_for_a_reason() {
    let device = Device::new();
    let (client, visit) = (device.client(), start(&device));
    answer_everything(client, visit);
    client.visits().add_attendee(visit, attendee()).unwrap();
    client.visits().refuse_signature(visit, "The administrator was called away").unwrap();

    let refused = client.visits().complete(visit).unwrap_err();
    assert_eq!(refused.kind, ApiErrorKind::Refused);
    assert_eq!(refused.field(), Some("gps_exception_reason"));
    assert_eq!(
        refused.refusals[0].message,
        "The visit on site has no GPS position. Record the position or write why there is none."
    );
    assert_eq!(client.visits().get(visit).unwrap().unwrap().status, VisitStatus::InProgress);

    client.visits().set_gps_exception(visit, "The valley has no sky").unwrap();
    assert_eq!(client.visits().complete(visit).unwrap().status, VisitStatus::Completed);
}

#[test]
fn a_critical_finding_without_an_action_stops_completion() {
    let device = Device::new();
    let (client, visit) = (device.client(), start(&device));
    answer_everything(client, visit);
    client.visits().set_place(visit, place()).unwrap();
    client.visits().add_attendee(visit, attendee()).unwrap();
    client.visits().refuse_signature(visit, "Nobody was there to sign").unwrap();
    let found = client.visits().add_finding(visit, finding(Severity::Critical)).unwrap().id;

    let refused = client.visits().complete(visit).unwrap_err();
    assert_eq!(rules_and_fields(&refused), [("I28", "status")]);
    assert!(refused.refusals[0].message.contains("Cuptorul lipsește"));

    client.visits().add_action(visit, action(Some(found))).unwrap();
    client.visits().complete(visit).unwrap();
}

#[test]
fn every_open_point_is_told_at_once_and_before_completion() {
    let device = Device::new();
    let (client, visit) = (device.client(), start(&device));
    let points = client.visits().open_points(visit).unwrap();
    let refused = client.visits().complete(visit).unwrap_err();
    assert_eq!(refused.refusals, points);
    let fields: Vec<&str> = points.iter().map(|point| point.field.as_str()).collect();
    assert!(fields.starts_with(&["G01", "G03", "G04", "J01"]), "{fields:?}");
    assert!(["gps_exception_reason", "signed_at", "status"].iter().all(|field| fields.contains(field)), "{fields:?}");
    assert_eq!(client.status().unwrap().sync.pending, 1);
}

#[test]
fn questions_follow_the_answers_the_positions_and_the_last_visit() {
    let device = Device::new();
    let (client, visit) = (device.client(), start(&device));
    let questions = client.visits().questions(visit).unwrap();
    let find = |code: &str| questions.iter().filter(|q| q.question.code == code).collect::<Vec<_>>();
    assert!(!find("G02")[0].is_asked);
    assert_eq!(find("J01")[0].previous, Some(AnswerValue::Int(4)));
    let positions: Vec<_> = find("J03").iter().map(|q| q.item.as_ref().unwrap().id).collect();
    assert_eq!(positions, [BAKER.0, DRIVER.0]);
    assert_eq!(find("J07")[0].computed.unwrap().headcount_ratio, 0.into());
    assert!(find("R01")[0].item.as_ref().unwrap().label.contains("Afișați panoul"));

    client.visits().answer(visit, "G01", None, AnswerValue::Choice("NO".to_owned())).unwrap();
    let questions = client.visits().questions(visit).unwrap();
    assert!(questions.iter().find(|q| q.question.code == "G02").unwrap().is_asked);
}

#[test]
fn an_answer_of_another_type_is_refused_and_a_reason_counts_as_an_answer() {
    let device = Device::new();
    let (client, visit) = (device.client(), start(&device));
    let wrong = client.visits().answer(visit, "J01", None, AnswerValue::Int(201)).unwrap_err();
    assert_eq!(wrong.refusals[0].message, "The answer to question J01 is above 200. Enter at most 200.");
    let blank = client.visits().answer(visit, "J01", None, Reply::NotApplicable(" ".to_owned())).unwrap_err();
    assert_eq!(blank.kind, ApiErrorKind::Refused);
    client.visits().answer(visit, "J01", None, Reply::NotApplicable("closed today".to_owned())).unwrap();
    assert_eq!(client.visits().progress(visit).unwrap().answered, 1);
    client.visits().answer(visit, "J01", None, AnswerValue::Int(7)).unwrap();
    let answer = client.visits().questions(visit).unwrap().into_iter().find(|q| q.question.code == "J01").unwrap();
    assert_eq!(answer.answer.unwrap().data.value, Some(AnswerValue::Int(7)));
}

#[test]
fn an_action_that_is_said_to_be_done_is_done() {
    let device = Device::new();
    let (client, visit) = (device.client(), start(&device));
    client.visits().answer(visit, "R01", Some(OLD_ACTION.0), AnswerValue::Choice("DONE".to_owned())).unwrap();
    let open = client.actions().open().unwrap();
    assert!(open.is_empty());
    let action = &client.actions().of(ENTERPRISE).unwrap()[0];
    assert_eq!((action.status, action.done_on), (ActionStatus::Done, Some(day("2024-04-01"))));
}

#[test]
fn visits_of_today_are_the_planned_and_the_started_ones_each_once() {
    let device = Device::new();
    let client = device.client();
    let ids = || client.visits().today().unwrap().iter().map(|visit| visit.id).collect::<Vec<VisitId>>();
    assert_eq!(ids(), [PLANNED_VISIT]);
    let unplanned = start(&device);
    client.visits().start_planned(PLANNED_VISIT).unwrap();
    let mut today = ids();
    today.sort();
    let mut expected = [PLANNED_VISIT, unplanned];
    expected.sort();
    assert_eq!(today, expected);
    let of: Vec<Visit> = client.visits().of(ENTERPRISE).unwrap().into_iter().map(|visit| visit.data).collect();
    assert_eq!(of.last().unwrap().id, fixture::OLD_VISIT);
}
