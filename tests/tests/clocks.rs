//! Wrong clocks: what can be dated is dated, and work that nobody can date waits for a person.

use serde_json::{Value, json};
use sync_protocol::code::{HeldState, VisitKind, VisitMode};
use sync_protocol::entity::{Conflict, Entity as _, EntityKind, Finding, HeldItem, Visit};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::Outcome;
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, PASSWORD, email};
use tests::state::{number, texts};
use tests::{Answer, Device, Office, TestServer, now, sample};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;
const YEARS_MS: i64 = 3_652 * DAY_MS;
const CODE: &str = "HELD_CLOCK_IMPLAUSIBLE";
const DECIDED: &str = "heldItem { state decidedBy { id } decisionNote correction resolvedAt }";
const WAITING: &str = "{ heldItems(first: 50, filter: { reasonCode: { eq: \"HELD_CLOCK_IMPLAUSIBLE\" } }) { nodes { \
    id author { id } subjectId state capturedAt correctedAt clockOffsetS } } }";

async fn started() -> (TestServer, Device, Office) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let coordinator = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    (server, device, coordinator)
}

/// Records a visit when the device's clock shows something else than when it sends.
fn record_at(device: &mut Device, captured_at: Timestamp, group: Option<u64>) -> (u64, Visit) {
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let draft = device.draft(Op::Put, EntityKind::Visit, visit.id.0, patch::creation(&visit.to_row()));
    (device.record(Mutation { captured_at, group, ..draft }), visit)
}

async fn send(device: &mut Device) -> Answer {
    device.sync().await
}

async fn held(coordinator: &Office) -> Vec<Value> {
    coordinator.ask(WAITING, json!({})).await["heldItems"]["nodes"].as_array().unwrap().clone()
}

fn items(device: &Device) -> Vec<HeldItem> {
    device.cache.all::<HeldItem>()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_can_date_waits_and_takes_effect_when_the_coordinator_approves() {
    let (server, mut device, coordinator) = started().await;
    // The battery was empty: the clock began in 1970, and was right again before the next sync.
    let (no, visit) = record_at(&mut device, Timestamp(DAY_MS), None);
    let child = device.create(&sample::finding(&visit, "copilul"));
    let answer = send(&mut device).await;
    assert_eq!((answer.outcome(no), answer.code(no)), (Outcome::Held, CODE));
    let args = &answer.result(no).unwrap().args;
    let days = now().0 / DAY_MS - 1;
    assert_eq!(args, &[("offset".to_owned(), format!("{days} d"))]);
    assert_eq!(answer.code(child), "HELD_PARENT_MISSING");
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 0);
    let mine = items(&device);
    assert!(mine.iter().any(|item| item.reason_code == CODE && item.state == HeldState::Held), "{mine:?}");

    let waiting = held(&coordinator).await;
    assert_eq!(waiting.len(), 1);
    let item = &waiting[0];
    assert_eq!((&item["subjectId"], &item["author"]["id"]), (&json!(visit.id.to_string()), &json!(ANA)));
    assert_eq!((item["capturedAt"].as_str().unwrap().get(..4), &item["correctedAt"]), (Some("1970"), &Value::Null));
    let corrected = json!({ "heldItemId": item["id"], "correction": { "summary": "datată de birou" } });
    let approved = coordinator.perform("approveHeld", DECIDED, corrected).await;
    assert_eq!(approved["heldItem"]["state"], "APPLIED", "{approved}");
    device.sync().await;
    let shown = device.cache.get::<Visit>(visit.id).expect("the visit is there");
    assert_eq!(shown.summary.as_deref(), Some("datată de birou"));
    assert_eq!(device.cache.all::<Finding>().len(), 1, "what waited for it followed");
    assert!(items(&device).iter().all(|item| item.state == HeldState::Applied));
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_can_date_may_be_returned_to_its_author() {
    let (server, mut device, coordinator) = started().await;
    record_at(&mut device, now().plus_ms(YEARS_MS), None);
    send(&mut device).await;
    let item = held(&coordinator).await.remove(0);
    let returned = json!({ "heldItemId": item["id"], "reason": "Ce zi a fost?" });
    let answer = coordinator.perform("returnHeld", DECIDED, returned).await;
    assert_eq!(answer["heldItem"]["state"], "RETURNED", "{answer}");
    device.sync().await;
    assert_eq!(items(&device).iter().map(|item| item.state).collect::<Vec<_>>(), [HeldState::Returned]);
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_wrong_by_always_the_same_hold_nothing() {
    let (server, mut device, coordinator) = started().await;
    for ahead_ms in [YEARS_MS, -YEARS_MS, DAY_MS / 2, 0] {
        device.clock_ahead_ms = ahead_ms;
        let at = now().plus_ms(ahead_ms - 5 * DAY_MS);
        let (no, _) = record_at(&mut device, at, None);
        assert_eq!(send(&mut device).await.outcome(no), Outcome::Applied, "{ahead_ms} ms ahead");
    }
    // Nor does one that was set by less than a day.
    device.clock_ahead_ms = 0;
    let (no, _) = record_at(&mut device, now().plus_ms(DAY_MS - 60_000), None);
    assert_eq!(send(&mut device).await.outcome(no), Outcome::Applied);
    assert!(held(&coordinator).await.is_empty());
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_meanwhile_holds_nothing_where_the_uptime_tells() {
    let (_server, mut device, coordinator) = started().await;
    for captured_at in [Timestamp(0), now().plus_ms(YEARS_MS)] {
        device.uptime_ms = Some(HOUR_MS);
        let (no, _) = record_at(&mut device, captured_at, None);
        device.uptime_ms = Some(3 * HOUR_MS);
        assert_eq!(send(&mut device).await.outcome(no), Outcome::Applied);
    }
    // The device was started anew since: its uptime is lower, and says nothing.
    device.uptime_ms = Some(5 * HOUR_MS);
    let (no, _) = record_at(&mut device, Timestamp(0), None);
    device.uptime_ms = Some(HOUR_MS);
    assert_eq!(send(&mut device).await.code(no), CODE);
    // So long ago that its author was not assigned to anything.
    device.uptime_ms = Some(0);
    let (no, _) = record_at(&mut device, Timestamp(0), None);
    device.uptime_ms = Some(10 * YEARS_MS as u64);
    assert_eq!(send(&mut device).await.code(no), CODE);
    assert_eq!(held(&coordinator).await.len(), 2);
}

/// Dated by the uptime, it was done before the assignment ended; taken for work of now, it would be refused.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_parent_keeps_the_instant_that_its_uptime_told() {
    let (server, mut device, _) = started().await;
    let mut other = Device::enrol(server.address, ANA).await;
    other.sync().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let finding = sample::finding(&visit, "așteaptă vizita").to_row();
    device.uptime_ms = Some(HOUR_MS);
    let draft = device.draft(Op::Put, EntityKind::Finding, finding.id, patch::creation(&finding));
    device.record(Mutation { captured_at: Timestamp(0), ..draft });
    device.uptime_ms = Some(3 * HOUR_MS);
    send(&mut device).await;
    let corrected = "SELECT corrected_at::text FROM held_item WHERE corrected_at > now() - interval '3 hours'";
    assert_eq!(texts(&server.app.office, corrected).await.len(), 1);
    other.create(&visit);
    other.sync().await;
    device.sync().await;
    assert_eq!(items(&device).iter().map(|item| item.state).collect::<Vec<_>>(), [HeldState::Applied]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_waits_whole() {
    let (server, mut device, coordinator) = started().await;
    let (good, _) = record_at(&mut device, now(), Some(7));
    let (bad, _) = record_at(&mut device, Timestamp(0), Some(7));
    let answer = send(&mut device).await;
    assert_eq!((answer.code(good), answer.code(bad)), (CODE, CODE));
    let waiting = held(&coordinator).await;
    assert_eq!(waiting.len(), 2);
    coordinator.perform("approveHeld", DECIDED, json!({ "heldItemId": waiting[0]["id"] })).await;
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 2);
}

/// The application shows what waits, and why, in the person's language.
/// What waited for the visit comes up with the approval, and its author has not seen what was approved.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_and_what_waited_for_it_are_both_kept() {
    let (server, mut device, coordinator) = started().await;
    let mut other = Device::enrol(server.address, ANA).await;
    let (_, visit) = record_at(&mut device, Timestamp(DAY_MS), Some(1));
    let answer = sample::answer(&visit, "G01", "aprobat");
    let draft = device.draft(Op::Put, EntityKind::ChecklistAnswer, answer.id.0, patch::creation(&answer.to_row()));
    device.record(Mutation { captured_at: Timestamp(DAY_MS), group: Some(1), ..draft });
    send(&mut device).await;
    let waits = other.create(&sample::answer(&visit, "G01", "a așteptat"));
    assert_eq!(send(&mut other).await.outcome(waits), Outcome::Held);
    coordinator.perform("approveHeld", DECIDED, json!({ "heldItemId": held(&coordinator).await[0]["id"] })).await;
    send(&mut device).await;
    let conflicts = device.cache.all::<Conflict>();
    let about = conflicts.iter().find(|conflict| conflict.field == "na_reason").expect("both reasons are kept");
    let values = [&about.kept_value, &about.other_value].map(|value| value.clone().unwrap());
    assert!(["aprobat", "a așteptat"].iter().all(|words| values.concat().contains(words)), "{values:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_shows_what_waits_and_why() {
    let (server, _, _) = started().await;
    // Nobody was assigned to anything until ten days from now: the phone's right clock cannot be believed.
    let phone = tests::site::phone_of(&server, ANA).await;
    phone.visits().start(ENTERPRISES[0], VisitKind::Routine, VisitMode::OnSite).unwrap();
    let later = now().plus_ms(10 * DAY_MS);
    let set = format!("UPDATE scope_grant SET valid_from_at = '{later}' WHERE scope_kind = 'ENTERPRISE'");
    tests::state::psql(&server.app.office, &set).await;
    phone.try_sync().await.unwrap();
    let waiting = phone.held(10).unwrap();
    assert_eq!(waiting.len(), 1);
    let answer = waiting[0].answer.as_ref().unwrap();
    assert_eq!(answer.code, CODE);
    assert!(answer.text.starts_with("Ceasul telefonului diferă cu ") && answer.text.contains(" d;"), "{}", answer.text);
}
