//! Work that comes after its reporting period was locked: kept, decided by a person, booked to the next period.

use std::time::Duration;

use client_sdk::store::RowState;
use serde_json::{Value, json};
use server::store::rows;
use sync_protocol::code::{HeldState, Locale, VisitKind, VisitMode};
use sync_protocol::entity::{Employment, Finding, HeldItem, LateAdjustment, ReportingPeriod, Visit};
use sync_protocol::id::VisitId;
use sync_protocol::message::{MessageKey, render};
use sync_protocol::wire::Outcome;
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, OFFICER, PASSWORD, PROGRAMME, RADU, email};
use tests::sample::day;
use tests::state::{number, texts};
use tests::visit::next_step;
use tests::{Device, Office, Phone, TestServer, now, sample};

/// A programme whose current period may be locked, with the people who may.
struct Scene {
    server: TestServer,
    coordinator: Office,
    officer: Office,
    current: ReportingPeriod,
    next: ReportingPeriod,
}

async fn started() -> Scene {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    programme::load_officer(&server.app).await;
    let today = now().date();
    let past = programme::period(1, day("2024-04-01"), day("2024-06-30"));
    let current = programme::period(2, today.plus_days(-40), today.plus_days(5));
    let next = programme::period(3, today.plus_days(6), today.plus_days(90));
    programme::import(&server.app.office, &[past, current.clone(), next.clone()]).await;
    programme::import(&server.app.office, &[programme::question()]).await;
    let sign_in = |user| {
        let email = email(user);
        async move { Office::sign_in(server.address, &email, PASSWORD).await }
    };
    let (coordinator, officer) = (sign_in(CARMEN).await, sign_in(OFFICER).await);
    Scene { coordinator, officer, current, next, server }
}

impl Scene {
    async fn lock(&self, period: &ReportingPeriod) {
        let locked = self.officer.perform("lockPeriod", LOCKED, json!({ "periodId": period.id })).await;
        assert_eq!(locked["reportingPeriod"]["state"], "LOCKED", "{locked}");
    }

    async fn phone(&self, user: sync_protocol::id::UserId) -> Phone {
        let phone = Phone::new(self.server.address);
        phone.enrol(&email(user), PASSWORD).await;
        phone.sync().await;
        phone
    }

    async fn held(&self) -> Vec<Value> {
        let held = self.coordinator.ask(WAITING, json!({})).await;
        held["heldItems"]["nodes"].as_array().unwrap().clone()
    }

    async fn approve(&self, item: &Value) -> Value {
        self.coordinator.perform("approveHeld", DECIDED, json!({ "heldItemId": item["id"] })).await
    }
}

const LOCKED: &str = "reportingPeriod { state lockedBy { id } lockedAt unlockReason }";
const DECIDED: &str = "heldItem { state decidedBy { id } decisionNote correction content resolvedAt answer }";
const WAITING: &str = "{ heldItems(first: 50, filter: { state: { eq: HELD } }) { nodes { \
    id author { id displayName } deviceId reasonCode subjectKind subjectId operation content \
    capturedAt correctedAt clockOffsetS heldAt enterprise { name } } } }";

fn whole_visit(phone: &Phone) -> VisitId {
    let visit = phone.visits().start(ENTERPRISES[0], VisitKind::Routine, VisitMode::OnSite).unwrap().data;
    while next_step(phone, visit.id).unwrap().is_some() {}
    visit.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_visit_waits_for_the_coordinator_and_is_booked_to_the_next_period() {
    let scene = started().await;
    let phone = scene.phone(ANA).await;
    let visit = whole_visit(&phone);
    scene.lock(&scene.current).await;
    let report = phone.sync().await;
    assert_eq!(report.rejected, 0, "{report:?}");
    let kept = phone.held(50).unwrap();
    let text = &kept[0].answer.as_ref().unwrap().text;
    assert_eq!(*text, render(MessageKey::HeldPeriodLocked, Locale::Ro, &[("period", "T2".to_owned())]));
    assert_eq!(phone.get::<Visit>(visit).unwrap().unwrap().state, RowState::Held, "it is shown, as no error");
    assert_eq!(number(&scene.server.app.office, "SELECT count(*) FROM visit").await, 0);

    let held = scene.held().await;
    assert_eq!(held.len(), kept.len());
    let item = held.iter().find(|item| item["reasonCode"] == "HELD_PERIOD_LOCKED").unwrap();
    assert_eq!((&item["subjectKind"], &item["operation"]), (&json!("visit"), &json!("CREATE")));
    assert_eq!(item["author"]["id"], json!(ANA));
    assert_eq!(item["enterprise"]["name"], "Brutăria 1 (demo)");
    assert_eq!(item["content"]["status"], "IN_PROGRESS");
    assert!(["capturedAt", "correctedAt", "heldAt", "deviceId"].iter().all(|name| item[*name].is_string()), "{item}");
    let approved = scene.approve(item).await;
    assert_eq!(approved["heldItem"]["state"], "APPLIED", "{approved}");
    assert_eq!(approved["heldItem"]["decidedBy"]["id"], json!(CARMEN));

    phone.sync().await;
    assert_eq!((phone.held(50).unwrap().len(), phone.rejected(50).unwrap().len()), (0, 0));
    let shown = phone.get::<Visit>(visit).unwrap().unwrap();
    assert_eq!((shown.data.status.code(), shown.state), ("SUBMITTED", RowState::Synced));
    assert_eq!(scene.held().await, Vec::<Value>::new(), "its parts came with it");
    let booked = "{ reportingPeriods(first: 9) { nodes { code lateAdjustments(first: 9) { nodes { \
        subjectId isNewRow originalPeriod { code } approvedBy { id } } } } } }";
    let periods = scene.coordinator.ask(booked, json!({})).await;
    let of = |code: &str| {
        let nodes = periods["reportingPeriods"]["nodes"].as_array().unwrap();
        nodes.iter().find(|period| period["code"] == code).unwrap()["lateAdjustments"]["nodes"].clone()
    };
    assert_eq!(of("T2"), json!([]), "the locked period has nothing new");
    let adjustment = json!([{ "subjectId": visit, "isNewRow": true, "originalPeriod": { "code": "T2" },
        "approvedBy": { "id": CARMEN } }]);
    assert_eq!(of("T3"), adjustment);

    // It belongs to the next period now: a change of it waits only when that one is locked too.
    phone.edit(visit, |visit: &mut Visit| visit.travel_km = Some(40)).unwrap();
    assert_eq!(phone.sync().await.held, 0);
    scene.lock(&scene.next).await;
    phone.edit(visit, |visit: &mut Visit| visit.travel_km = Some(50)).unwrap();
    assert_eq!(phone.sync().await.held, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_that_is_there_is_not_late_when_a_copied_phone_sends_it_as_new() {
    let scene = started().await;
    let mut phone = Device::enrol(scene.server.address, ANA).await;
    let visit = Visit { actual_start_at: Some(now()), ..sample::visit(ENTERPRISES[0], ANA) };
    let first = phone.create(&visit);
    assert_eq!(phone.sync().await.outcome(first), Outcome::Applied);
    scene.lock(&scene.current).await;
    (phone.incarnation, phone.outbox, phone.confirmed) = (uuid::Uuid::new_v4(), Vec::new(), 0);
    let again = phone.create(&visit);
    let other = phone.create(&Visit { id: VisitId(uuid::Uuid::now_v7()), ..visit });
    let answer = phone.send(&phone.pending()).await;
    // It was there, from what is another writer now.
    assert_eq!((answer.outcome(again), answer.code(other)), (Outcome::Merged, "HELD_PERIOD_LOCKED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returned_visit_is_on_the_phone_with_the_reason_and_can_be_mended_there() {
    let scene = started().await;
    scene.lock(&scene.current).await;
    let phone = scene.phone(ANA).await;
    let visit = phone.visits().start(ENTERPRISES[0], VisitKind::Routine, VisitMode::OnSite).unwrap().data.id;
    phone.sync().await;
    let item = scene.held().await.remove(0);
    let blank = json!({ "heldItemId": item["id"], "reason": " " });
    assert_eq!(scene.coordinator.perform("returnHeld", DECIDED, blank).await["code"], "RETURN_REASON_MISSING");
    let reason = "A fost vizita din iulie?";
    let input = json!({ "heldItemId": item["id"], "reason": reason, "clientMutationId": uuid::Uuid::new_v4() });
    let returned = scene.coordinator.perform("returnHeld", DECIDED, input.clone()).await;
    assert_eq!(
        (&returned["heldItem"]["state"], &returned["heldItem"]["decisionNote"]),
        (&json!("RETURNED"), &json!(reason))
    );
    assert_eq!(scene.coordinator.perform("returnHeld", DECIDED, input).await, returned, "a retry changes nothing");
    let again = json!({ "heldItemId": item["id"], "reason": reason });
    assert_eq!(scene.coordinator.perform("returnHeld", DECIDED, again).await["code"], "HELD_DECIDED");

    phone.sync().await;
    let rejected = phone.rejected(10).unwrap().remove(0);
    let answer = rejected.answer.unwrap();
    assert!(answer.code == "RETURNED" && answer.text.contains(reason), "{answer:?}");
    assert_eq!(phone.get::<Visit>(visit).unwrap().unwrap().state, RowState::Rejected);
    phone.edit(visit, |visit: &mut Visit| visit.actual_start_at = Some(sample::VISIT_START)).unwrap();
    let report = phone.sync().await;
    assert_eq!((report.held, report.rejected), (0, 0), "2024 is not locked: {report:?}");
    assert_eq!(number(&scene.server.app.office, "SELECT count(*) FROM visit").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_corrects_held_work_and_nothing_of_the_original_is_lost() {
    let scene = started().await;
    let position = sample::position(ENTERPRISES[0]);
    programme::import(&scene.server.app.office, std::slice::from_ref(&position)).await;
    scene.lock(&scene.current).await;
    let mut phone = Device::enrol(scene.server.address, ANA).await;
    phone.sync().await;
    let job = Employment { start_on: now().date(), ..sample::employment(&position, ANA) };
    let no = phone.create(&job);
    assert_eq!(phone.sync().await.code(no), "HELD_PERIOD_LOCKED");
    let item = scene.held().await.remove(0);
    assert_eq!(item["content"]["holder_name"], "Ion Țepeș");
    assert!(item["content"].get("vulnerability_codes").is_none(), "special categories are in no list: {item}");
    let correct =
        |fields: Value| json!({ "heldItemId": item["id"], "note": "Norma din contract", "correction": fields });
    for (fields, code) in [
        (json!({ "salary": 3 }), "WRONG_TYPE"),
        (json!({ "holder_name": "" }), "MISSING"),
        (json!({ "verification": "VERIFIED" }), "OFFICE_ONLY"),
    ] {
        let refused = scene.coordinator.perform("approveHeld", DECIDED, correct(fields)).await;
        assert_eq!(refused["code"], code, "{refused}");
    }
    let done = scene.coordinator.perform("approveHeld", DECIDED, correct(json!({ "weekly_hours": "20" }))).await;
    assert_eq!(done["heldItem"]["correction"], json!({ "weekly_hours": "20" }), "{done}");
    assert_eq!(done["heldItem"]["content"]["weekly_hours"], "40", "what the author recorded");
    phone.sync().await;
    let shown: Employment = phone.cache.get(job.id).unwrap();
    assert_eq!((shown.weekly_hours.to_string(), shown.fte.to_string()), ("20".to_owned(), "0.50".to_owned()));
    assert_eq!(phone.cache.all::<HeldItem>().remove(0).state, HeldState::Applied);
    let kept = "SELECT count(*) FROM mutation WHERE outcome = 'A' AND applied_seq IS NOT NULL AND payload IS NOT NULL";
    assert_eq!(number(&scene.server.app.office, kept).await, 1, "the original bytes are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_was_reported_is_an_adjustment_and_the_next_one_waits_again() {
    let scene = started().await;
    let visit = Visit { actual_start_at: Some(now()), ..sample::visit(ENTERPRISES[0], ANA) };
    programme::import(&scene.server.app.office, std::slice::from_ref(&visit)).await;
    scene.lock(&scene.current).await;
    let mut phone = Device::enrol(scene.server.address, ANA).await;
    phone.sync().await;
    for (text, expected) in [("primul", 1), ("al doilea", 2)] {
        let before: Visit = phone.cache.get(visit.id).unwrap();
        let seq = phone.cache.rows[&(sync_protocol::entity::EntityKind::Visit, visit.id.0)].seq;
        let no = phone.change(&before, &Visit { summary: Some(text.to_owned()), ..before.clone() }, seq);
        assert_eq!(phone.sync().await.code(no), "HELD_PERIOD_LOCKED");
        scene.approve(&scene.held().await.remove(0)).await;
        phone.sync().await;
        assert_eq!(phone.cache.get::<Visit>(visit.id).unwrap().summary.as_deref(), Some(text));
        let adjustments = phone.cache.all::<LateAdjustment>();
        assert!(adjustments.len() == expected && adjustments.iter().all(|adjustment| !adjustment.is_new_row));
    }
    // A finding of the visit has the day of the visit; an action of it that is put off has none.
    let (finding, action) = (sample::finding(&visit, "târziu"), sample::action(&visit));
    programme::import(&scene.server.app.office, std::slice::from_ref(&action)).await;
    phone.sync().await;
    let finding_no = phone.create(&finding);
    let seq = phone.cache.rows[&(sync_protocol::entity::EntityKind::FollowUpAction, action.id.0)].seq;
    let later = sync_protocol::entity::FollowUpAction { due_on: now().date().plus_days(30), ..action.clone() };
    let action_no = phone.change(&action, &later, seq);
    let answer = phone.sync().await;
    assert_eq!((answer.code(finding_no), answer.code(action_no)), ("HELD_PERIOD_LOCKED", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn unlocking_lets_in_what_waited_and_needs_a_reason() {
    let scene = started().await;
    scene.lock(&scene.current).await;
    let twice = scene.officer.perform("lockPeriod", LOCKED, json!({ "periodId": scene.current.id })).await;
    assert_eq!(twice["code"], "PERIOD_STATE");
    for verb in ["lockPeriod", "unlockPeriod"] {
        let mut input = json!({ "periodId": scene.next.id });
        if verb == "unlockPeriod" {
            input = json!({ "periodId": scene.current.id, "reason": "vreau eu" });
        }
        assert_eq!(scene.coordinator.perform(verb, LOCKED, input).await["__typename"], "NotPermitted", "{verb}");
    }
    let mut phone = Device::enrol(scene.server.address, ANA).await;
    phone.sync().await;
    let visit = Visit { actual_start_at: Some(now()), ..sample::visit(ENTERPRISES[0], ANA) };
    phone.create(&visit);
    phone.create(&sample::finding(&visit, "cu vizita"));
    phone.sync().await;
    let unlock = |reason: &str| json!({ "periodId": scene.current.id, "reason": reason });
    assert_eq!(scene.officer.perform("unlockPeriod", LOCKED, unlock("")).await["code"], "UNLOCK_REASON_MISSING");
    let unlocked = scene.officer.perform("unlockPeriod", LOCKED, unlock("Lipsea o vizită")).await;
    let expected = json!({ "state": "OPEN", "lockedBy": null, "lockedAt": null, "unlockReason": "Lipsea o vizită" });
    assert_eq!(unlocked["reportingPeriod"], expected);
    phone.sync().await;
    assert!(phone.cache.get::<Visit>(visit.id).is_some() && phone.cache.all::<Finding>().len() == 1);
    assert!(
        phone.cache.all::<HeldItem>().iter().all(|item| item.state == HeldState::Applied && item.decided_by.is_none())
    );
    assert_eq!(phone.cache.all::<LateAdjustment>(), [], "what is in its own period is no adjustment");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_office_is_told_at_once_that_a_period_is_locked_and_that_none_is_open() {
    let scene = started().await;
    let visit = Visit {
        actual_start_at: Some(now()),
        status: sync_protocol::code::VisitStatus::Submitted,
        ..sample::visit(ENTERPRISES[0], ANA)
    };
    programme::import(&scene.server.app.office, std::slice::from_ref(&visit)).await;
    scene.lock(&scene.current).await;
    let refused = scene.coordinator.perform("validateVisit", "visit { id }", json!({ "visitId": visit.id })).await;
    assert_eq!(refused["code"], "PERIOD_LOCKED", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("T2"), "{refused}");
    scene.lock(&scene.next).await;
    let mut phone = Device::enrol(scene.server.address, ANA).await;
    phone.sync().await;
    phone.create(&Visit { actual_start_at: Some(now()), ..sample::visit(ENTERPRISES[0], ANA) });
    phone.sync().await;
    let item = scene.held().await.remove(0);
    assert_eq!(scene.approve(&item).await["code"], "NO_OPEN_PERIOD");
    assert_eq!(scene.held().await.len(), 1, "it still waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn held_work_of_every_kind_is_approved_or_returned() {
    let scene = started().await;
    let mut phone = Device::enrol(scene.server.address, ANA).await;
    phone.sync().await;
    // The parent never came: only returning it makes sense.
    let visit = sample::visit(ENTERPRISES[0], ANA);
    phone.create(&sample::finding(&visit, "fără vizită"));
    phone.sync().await;
    let orphan = scene.held().await.remove(0);
    assert_eq!(scene.approve(&orphan).await["code"], "HELD_STILL_WAITING");
    let reason = json!({ "heldItemId": orphan["id"], "reason": "Vizita nu a sosit" });
    let returned = scene.coordinator.perform("returnHeld", DECIDED, reason).await;
    assert_eq!(returned["heldItem"]["state"], "RETURNED");
    phone.create(&visit);
    phone.sync().await;
    assert_eq!(phone.cache.all::<Finding>(), [], "what was returned does not come by itself");

    // Another person's work on this device, in an enterprise that only the coordinator may decide about.
    let radus = sync_protocol::entity::Entity::to_row(&sample::visit(ENTERPRISES[1], RADU));
    let patch = sync_protocol::patch::creation(&radus);
    let draft =
        phone.draft(sync_protocol::mutation::Op::Put, sync_protocol::entity::EntityKind::Visit, radus.id, patch);
    let no = phone.record(sync_protocol::mutation::Mutation { author: RADU, ..draft });
    assert_eq!(phone.sync().await.outcome(no), Outcome::Held);
    let item = scene.held().await.remove(0);
    assert_eq!((&item["reasonCode"], &item["author"]["id"]), (&json!("HELD_DEVICE_REVIEW"), &json!(RADU)));
    assert_eq!(scene.approve(&item).await["heldItem"]["state"], "APPLIED");
    let owner =
        texts(&scene.server.app.office, &format!("SELECT mentor_id::text FROM visit WHERE id = '{}'", radus.id)).await;
    assert_eq!(owner, [RADU.to_string()], "it stays its author's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_held_is_decided_as_one() {
    let scene = started().await;
    scene.lock(&scene.current).await;
    let mut phone = Device::enrol(scene.server.address, ANA).await;
    phone.sync().await;
    for _ in 0..2 {
        let visit = Visit { actual_start_at: Some(now()), ..sample::visit(ENTERPRISES[0], ANA) };
        let row = sync_protocol::entity::Entity::to_row(&visit);
        let patch = sync_protocol::patch::creation(&row);
        let draft =
            phone.draft(sync_protocol::mutation::Op::Put, sync_protocol::entity::EntityKind::Visit, row.id, patch);
        phone.record(sync_protocol::mutation::Mutation { group: Some(7), ..draft });
    }
    phone.sync().await;
    let held = scene.held().await;
    assert_eq!(held.len(), 2);
    scene.approve(&held[1]).await;
    assert_eq!(scene.held().await, Vec::<Value>::new());
    assert_eq!(number(&scene.server.app.office, "SELECT count(*) FROM visit").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_is_not_locked_while_work_is_being_written_into_it() {
    let scene = started().await;
    let mut writing = scene.server.app.sync.conn().await.unwrap().write_tx().await.unwrap();
    let today = now().date();
    let periods = rows::periods(&mut writing, PROGRAMME, today, today).await.unwrap();
    assert_eq!(periods.len(), 3);
    let (officer, period) = (scene.officer.clone(), scene.current.id);
    let mut locking =
        tokio::spawn(async move { officer.perform("lockPeriod", LOCKED, json!({ "periodId": period })).await });
    assert!(tokio::time::timeout(Duration::from_millis(400), &mut locking).await.is_err(), "it must wait");
    writing.commit().await.unwrap();
    assert_eq!(locking.await.unwrap()["reportingPeriod"]["state"], "LOCKED");
}
