//! A person asks that their data be erased: it goes from the server, from what the server keeps beside its rows, and from
//! every phone. Nobody brings it back, and no restored backup does.

use client_sdk::api::employments::NewEmployment;
use client_sdk::api::job_status::Month;
use serde_json::{Value, json};
use server::store::Db;
use sync_protocol::code::{ConflictState, ContractType, ErasableKind, ErasureReason, HeldState};
use sync_protocol::entity::{
    Attendee, Conflict, Employment, Entity as _, EntityKind, Erasure, Finding, HeldItem, MergeProposal,
    MonthlyJobStatus, Visit,
};
use sync_protocol::id::{AttendeeId, EmploymentId, MonthlyJobStatusId, PositionId};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::wire::Outcome;
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, OFFICER, PASSWORD, RADU, email};
use tests::site::{Site, assert_equal_sides, find, phone_of, start_visit};
use tests::state::{number, texts};
use tests::{Device, Office, Phone, TestServer, now, sample, state};
use uuid::Uuid;

/// A name that occurs nowhere else.
const CANARY: &str = "Kanaru";

/// Returns the tables in which the name is still to be found, and how often.
async fn sightings(db: &Db) -> Vec<String> {
    let tables = "SELECT quote_ident(table_name) FROM information_schema.tables \
                  WHERE table_schema = 'public' AND table_type = 'BASE TABLE'";
    let mut found = Vec::new();
    for table in texts(db, tables).await {
        let text = format!("SELECT count(*) FROM {table} t WHERE t::text ILIKE '%{CANARY}%'");
        if number(db, &text).await > 0 {
            found.push(table);
        }
    }
    let bytes = format!("SELECT count(*) FROM mutation_line WHERE position('{CANARY}'::bytea IN payload) > 0");
    if number(db, &bytes).await > 0 {
        found.push("mutation_line (payload)".to_owned());
    }
    found
}

async fn officer(server: &TestServer) -> Office {
    Office::sign_in(server.address, &email(OFFICER), PASSWORD).await
}

/// Lets the coordinator merge the only pair that looks alike into a record.
async fn merge(server: &TestServer, survivor: &Employment) {
    let proposal = texts(&server.app.office, "SELECT id::text FROM merge_proposal").await.remove(0);
    let coordinator = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    let input = json!({ "mergeProposalId": proposal, "survivorId": survivor.id });
    let merged = coordinator.perform("acceptMerge", "mergeProposal { state }", input).await;
    assert_eq!(merged["mergeProposal"]["state"], "MERGED", "{merged}");
}

/// An erasure as the store keeps it.
fn erasure_of(subject_kind: ErasableKind, subject_id: Uuid) -> Erasure {
    Erasure {
        id: Erasure::id_of(subject_id),
        subject_kind,
        subject_id,
        reason: ErasureReason::PersonsRequest,
        erased_by: OFFICER,
        erased_at: now(),
    }
}

async fn erase(office: &Office, kind: &str, subject: impl Into<Uuid>) -> Value {
    let subject: Uuid = subject.into();
    let input = json!({ "kind": kind, "subjectId": subject, "reason": "PERSONS_REQUEST" });
    office.perform("erasePerson", "erasure { subjectKind subjectId reason erasedBy { id } }", input).await
}

/// A job record that Ana's phones and Radu's hold.
async fn employed(server: &TestServer) -> Employment {
    programme::load_officer(&server.app).await;
    programme::import(&server.app.office, &[programme::grant(RADU, ENTERPRISES[0])]).await;
    let position = sample::position(ENTERPRISES[0]);
    programme::import(&server.app.office, std::slice::from_ref(&position)).await;
    let employment = Employment { holder_name: format!("Ion {CANARY}"), ..sample::employment(&position, ANA) };
    programme::import(&server.app.office, std::slice::from_ref(&employment)).await;
    employment
}

fn rename(phone: &Phone, id: EmploymentId, name: &str) {
    phone.edit(id, |job: &mut Employment| job.holder_name = format!("{name} {CANARY}")).unwrap();
}

fn month(job: &Employment) -> MonthlyJobStatus {
    MonthlyJobStatus {
        id: MonthlyJobStatusId(Uuid::now_v7()),
        enterprise_id: job.enterprise_id,
        employment_id: job.id,
        month_on: sample::day("2024-02-01"),
        is_active: true,
        hours_worked: Some(80),
        absence_kind: None,
        is_wage_paid: None,
        visit_id: None,
        note: Some(format!("{CANARY} a lipsit")),
    }
}

/// Locks the period in which the sample job records begin.
async fn lock_their_period(server: &TestServer) {
    let period = programme::period(1, sample::day("2024-01-01"), sample::day("2024-03-31"));
    programme::import(&server.app.office, std::slice::from_ref(&period)).await;
    let input = json!({ "periodId": period.id });
    let locked = officer(server).await.perform("lockPeriod", "reportingPeriod { state }", input).await;
    assert_eq!(locked["reportingPeriod"]["state"], "LOCKED");
}

/// A person whom Ana has hired on her phone in a locked period, with a month: the server keeps all of it.
async fn held_hire(server: &TestServer) -> (Phone, Employment) {
    programme::load(&server.app).await;
    programme::load_officer(&server.app).await;
    let position = sample::position(ENTERPRISES[0]);
    programme::import(&server.app.office, std::slice::from_ref(&position)).await;
    let phone = phone_of(server, ANA).await;
    lock_their_period(server).await;
    let (start_on, hours) = (sample::day("2024-02-01"), "40".parse().unwrap());
    let new = NewEmployment::new(position.id, format!("Ion {CANARY}"), ContractType::Indefinite, start_on, hours);
    let job = phone.employments().record(new).unwrap().data;
    let worked = Month { is_active: true, note: Some(format!("{CANARY} a lipsit")), ..Month::default() };
    phone.job_status().record(job.id, start_on, worked).unwrap();
    assert_eq!(phone.sync().await.held, 3, "the person, the position that is filled, and the month");
    (phone, job)
}

const HIRE: [EntityKind; 2] = [EntityKind::Employment, EntityKind::MonthlyJobStatus];

/// Returns of what the person is told that it was erased, of which the phone has nothing left.
fn told_of_erasure(phone: &Phone) -> Vec<EntityKind> {
    let told = refused(phone);
    assert!(told.iter().all(|(_, text)| text.starts_with("Datele acestei persoane")), "{told:?}");
    assert!(phone.rejected(10).unwrap().iter().all(|item| item.fields.is_empty()), "nothing of it is left");
    told.into_iter().map(|(kind, _)| kind).collect()
}

fn refused(phone: &Phone) -> Vec<(EntityKind, String)> {
    let items = phone.rejected(10).unwrap().into_iter();
    items.map(|item| (item.kind, item.answer.map(|answer| answer.text).unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_is_nowhere_any_more_and_late_work_is_refused() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let job = employed(&server).await;
    let (phone, late) = (phone_of(&server, ANA).await, phone_of(&server, ANA).await);
    let mut radu = Device::enrol(server.address, RADU).await;
    radu.sync().await;
    rename(&phone, job.id, "Ioan");
    phone.sync().await;
    // An edit that met the other one, and the conflict that quotes both.
    let seen = radu.cache.rows[&(EntityKind::Employment, job.id.0)].seq;
    radu.change(&job, &Employment { holder_name: format!("Ionel {CANARY}"), ..job.clone() }, seen);
    radu.sync().await;
    assert_eq!(radu.cache.all::<Conflict>().iter().filter(|c| c.state == ConflictState::Open).count(), 1);
    // What was refused, and waits on a phone for its person.
    rename(&late, job.id, "Jean");
    let db = &server.app.office;
    assert!(sightings(db).await.len() >= 4, "{:?}", sightings(db).await);

    let coordinator = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    assert_eq!(erase(&coordinator, "EMPLOYMENT", job.id).await["code"], "NOT_PERMITTED");
    let office = officer(&server).await;
    let erased = erase(&office, "EMPLOYMENT", job.id).await;
    let expected = json!({ "subjectKind": "EMPLOYMENT", "subjectId": job.id, "reason": "PERSONS_REQUEST",
        "erasedBy": { "id": OFFICER } });
    assert_eq!(erased["erasure"], expected, "{erased}");
    assert_eq!(sightings(db).await, [""; 0]);
    assert_eq!(erase(&office, "EMPLOYMENT", job.id).await["code"], "NOT_FOUND");

    radu.sync().await;
    assert!(radu.cache.all::<Employment>().is_empty() && radu.cache.all::<Conflict>().is_empty());
    phone.sync().await;
    assert_equal_sides(&server, &phone, ANA).await;
    assert_eq!((phone.get::<Employment>(job.id).unwrap(), refused(&phone)), (None, vec![]));

    // The phone that has not heard of it still has an edit to send.
    late.sync().await;
    let told = refused(&late);
    assert_eq!(told.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [EntityKind::Employment]);
    assert!(told[0].1.starts_with("Datele acestei persoane au fost șterse definitiv"), "{told:?}");
    assert_eq!(late.get::<Employment>(job.id).unwrap(), None);
    assert_equal_sides(&server, &late, ANA).await;
    assert_eq!(sightings(db).await, [""; 0]);
    late.discard(late.rejected(10).unwrap()[0].change_id).unwrap();
    assert_eq!(refused(&late), vec![]);
}

/// Ana hires someone for a position that another person holds by now, which she has not heard. Returns the other one's
/// record and the one that was refused.
async fn refused_hire(server: &TestServer, other: &str, name: &str) -> (Phone, Employment, Employment) {
    programme::load(&server.app).await;
    programme::load_officer(&server.app).await;
    let position = sample::position(ENTERPRISES[0]);
    programme::import(&server.app.office, std::slice::from_ref(&position)).await;
    let phone = phone_of(server, ANA).await;
    let holder = Employment { holder_name: other.to_owned(), ..sample::employment(&position, ANA) };
    programme::import(&server.app.office, std::slice::from_ref(&holder)).await;
    let hours = "40".parse().unwrap();
    let new = NewEmployment::new(position.id, name.to_owned(), ContractType::Indefinite, holder.start_on, hours);
    let hired = phone.employments().record(new).unwrap().data;
    assert!(phone.sync().await.rejected > 0);
    (phone, holder, hired)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refusal_says_of_another_person_goes_with_that_person() {
    let server = TestServer::new().await;
    let (phone, holder, _) = refused_hire(&server, &format!("Ion {CANARY}"), "Maria Popa").await;
    let told = |phone: &Phone| refused(phone).into_iter().find(|(kind, _)| *kind == EntityKind::Employment).unwrap().1;
    assert!(told(&phone).starts_with(&format!("Postul este deja ocupat de Ion {CANARY}, din ")), "{}", told(&phone));
    assert_eq!(erase(&officer(&server).await, "EMPLOYMENT", holder.id).await["__typename"], "ErasePersonSuccess");
    assert_eq!(sightings(&server.app.office).await, [""; 0]);
    phone.sync().await;
    assert!(told(&phone).starts_with("Postul este deja ocupat de …, din "), "{}", told(&phone));
    let kept = phone.store().rejected(10).unwrap();
    assert!(!format!("{kept:?}").contains(CANARY), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_creation_was_refused_is_erased_from_what_was_sent() {
    let server = TestServer::new().await;
    let (phone, _, hired) = refused_hire(&server, "Ion Popa", &format!("Maria {CANARY}")).await;
    let db = &server.app.office;
    assert_eq!(sightings(db).await, ["mutation_line (payload)"]);
    let of_mentor = Office::sign_in(server.address, &email(RADU), PASSWORD).await;
    assert_eq!(erase(&of_mentor, "EMPLOYMENT", hired.id).await["code"], "NOT_FOUND", "of another one's enterprise");
    let office = officer(&server).await;
    assert_eq!(erase(&office, "ATTENDEE", hired.id).await["code"], "NOT_FOUND", "it is no attendee");
    assert_eq!(erase(&office, "EMPLOYMENT", hired.id).await["__typename"], "ErasePersonSuccess");
    assert_eq!(sightings(db).await, [""; 0]);
    phone.sync().await;
    let told = phone.rejected(10).unwrap().into_iter().find(|item| item.row_id == hired.id.0).unwrap();
    assert_eq!((told.answer.unwrap().code.as_str(), told.fields), ("REJECT_ERASED", vec![]));
    assert_eq!(phone.get::<Employment>(hired.id).unwrap(), None);
    assert_eq!(erase(&office, "EMPLOYMENT", hired.id).await["code"], "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_the_person_that_was_refused_goes_with_the_person() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let job = employed(&server).await;
    let mut other = Device::enrol(server.address, ANA).await;
    let too_long = MonthlyJobStatus { hours_worked: Some(9_999), ..month(&job) };
    let no = other.create(&too_long);
    assert_eq!(other.sync().await.outcome(no), Outcome::Rejected);
    let db = &server.app.office;
    assert!(sightings(db).await.contains(&"mutation_line (payload)".to_owned()));
    assert_eq!(erase(&officer(&server).await, "EMPLOYMENT", job.id).await["__typename"], "ErasePersonSuccess");
    assert_eq!(sightings(db).await, [""; 0]);
    other.sync().await;
    let erased: Vec<Uuid> = other.cache.all::<Erasure>().iter().map(|erasure| erasure.subject_id).collect();
    assert!(erased.contains(&too_long.id.0), "every phone is told to let go of it: {erased:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_whom_all_is_held_is_erased_before_there_is_a_row_and_the_phone_lets_go_of_it() {
    let server = TestServer::new().await;
    let (phone, job) = held_hire(&server).await;
    let db = &server.app.office;
    assert_eq!(sightings(db).await, ["held_item", "mutation_line (payload)"]);

    let coordinator = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    let of_mentor = Office::sign_in(server.address, &email(RADU), PASSWORD).await;
    assert_eq!(erase(&coordinator, "EMPLOYMENT", job.id).await["code"], "NOT_PERMITTED");
    assert_eq!(erase(&of_mentor, "EMPLOYMENT", job.id).await["code"], "NOT_FOUND");
    let office = officer(&server).await;
    assert_eq!(erase(&office, "ATTENDEE", job.id).await["code"], "NOT_FOUND", "it is no attendee");
    let erased = erase(&office, "EMPLOYMENT", job.id).await;
    assert_eq!(erased["erasure"]["erasedBy"]["id"], json!(OFFICER), "{erased}");
    assert_eq!(sightings(db).await, [""; 0]);
    let kinds = "SELECT subject_kind || ' ' || erased_by FROM erasure ORDER BY 1";
    assert_eq!(texts(db, kinds).await, [format!("EMPLOYMENT {OFFICER}"), format!("MONTHLY_JOB_STATUS {OFFICER}")]);
    assert_eq!(
        texts(db, "SELECT subject_kind FROM held_item WHERE state = 'HELD'").await,
        ["position"],
        "about nobody"
    );

    phone.sync().await;
    assert_eq!(told_of_erasure(&phone), HIRE);
    assert_eq!(phone.get::<Employment>(job.id).unwrap(), None);
    assert_eq!(erase(&office, "EMPLOYMENT", job.id).await["code"], "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_later_about_an_erased_person_is_refused_and_not_held() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let job = employed(&server).await;
    assert_eq!(erase(&officer(&server).await, "EMPLOYMENT", job.id).await["__typename"], "ErasePersonSuccess");
    lock_their_period(&server).await;
    let mut ana = Device::enrol(server.address, ANA).await;
    let alone = ana.create(&job);
    ana.sync().await;
    let again = ana.create(&job);
    let changed = ana.change(&job, &Employment { contract_no: Some(format!("17 {CANARY}")), ..job.clone() }, 0);
    let of_month = ana.create(&month(&job));
    let answer = ana.sync().await;
    assert_eq!([again, changed, of_month].map(|no| answer.code(no)), ["REJECT_ERASED"; 3]);
    let first = ana.send(&[ana.push(alone, alone)]).await;
    assert_eq!((first.code(alone), sightings(&server.app.office).await), ("REJECT_ERASED", Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_with_the_work_about_an_erased_person_takes_effect_without_it() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let job = employed(&server).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(&server.app.office, std::slice::from_ref(&visit)).await;
    let hired = Employment { id: EmploymentId(Uuid::now_v7()), position_id: PositionId(Uuid::now_v7()), ..job };
    let mut ana = Device::enrol(server.address, ANA).await;
    ana.create(&hired);
    let finding = sample::finding(&visit, "pontaj incomplet");
    for row in [month(&hired).to_row(), finding.to_row()] {
        let kind = if row.id == finding.id.0 { EntityKind::Finding } else { EntityKind::MonthlyJobStatus };
        let draft = ana.draft(Op::Put, kind, row.id, patch::creation(&row));
        ana.record(Mutation { group: Some(1), ..draft });
    }
    ana.sync().await;
    assert_eq!(ana.cache.all::<HeldItem>().len(), 3);
    assert_eq!(erase(&officer(&server).await, "EMPLOYMENT", hired.id).await["__typename"], "ErasePersonSuccess");
    ana.sync().await;
    assert_eq!(ana.cache.get::<Finding>(finding.id).map(|row| row.text), Some(finding.text));
    assert_eq!(ana.cache.all::<HeldItem>().iter().map(|item| item.state).collect::<Vec<_>>(), [HeldState::Applied]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_months_of_a_merged_record_are_erased_with_the_one_that_stays() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let job = employed(&server).await;
    let twin = Employment { id: EmploymentId(Uuid::now_v7()), ..job.clone() };
    let mut ana = Device::enrol(server.address, ANA).await;
    ana.create(&twin);
    ana.create(&MonthlyJobStatus { id: MonthlyJobStatus::id_of(twin.id, sample::day("2024-02-01")), ..month(&twin) });
    ana.sync().await;
    let db = &server.app.office;
    merge(&server, &job).await;
    assert_eq!(erase(&officer(&server).await, "EMPLOYMENT", job.id).await["__typename"], "ErasePersonSuccess");
    assert_eq!(sightings(db).await, [""; 0]);
    ana.sync().await;
    assert_eq!((ana.cache.all::<MonthlyJobStatus>(), ana.cache.all::<MergeProposal>()), (vec![], vec![]));
}

/// An erasure and a push at the same instant do not see each other: what is held meanwhile is found when its turn comes.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_beside_an_erasure_is_erased_when_its_turn_comes() {
    let server = TestServer::new().await;
    let (phone, job) = held_hire(&server).await;
    let db = &server.app.office;
    programme::import(db, &[erasure_of(ErasableKind::Employment, job.id.0)]).await;
    let input = json!({ "periodId": programme::period(1, job.start_on, job.start_on).id, "reason": "corecturi" });
    let unlocked = officer(&server).await.perform("unlockPeriod", "reportingPeriod { state }", input).await;
    assert_eq!(unlocked["reportingPeriod"]["state"], "OPEN", "{unlocked}");
    assert_eq!(sightings(db).await, [""; 0]);
    assert_eq!(texts(db, "SELECT status FROM position").await, ["FILLED"], "the rest took effect");
    phone.sync().await;
    assert_eq!((told_of_erasure(&phone), phone.held(10).unwrap().len()), (HIRE.to_vec(), 0));
    assert_eq!(phone.get::<Employment>(job.id).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_an_erased_record_and_who_registers_it_again_are_refused() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let job = employed(&server).await;
    let mut ana = Device::enrol(server.address, ANA).await;
    ana.sync().await;
    assert_eq!(erase(&officer(&server).await, "EMPLOYMENT", job.id).await["__typename"], "ErasePersonSuccess");
    let again = ana.create(&job);
    let of_month = ana.create(&month(&job));
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let other = ana.create(&visit);
    let answer = ana.send(&ana.pending()).await;
    assert_eq!((answer.code(again), answer.code(of_month)), ("REJECT_ERASED", "REJECT_ERASED"));
    assert_eq!(answer.result(other), None, "the rest is simply applied");
    // Not by a person with psql either.
    let again = tokio::spawn(async move { programme::import(&server.app.office, &[job]).await });
    assert!(again.await.is_err_and(|failed| failed.is_panic()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_push_registers_again_and_deletes_is_refused_although_no_row_comes_of_it() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    programme::load_officer(&server.app).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let attendee = sample::attendee(&visit, &format!("Vasile {CANARY}"));
    let mut ana = Device::enrol(server.address, ANA).await;
    ana.create(&visit);
    ana.create(&attendee);
    ana.sync().await;
    assert_eq!(erase(&officer(&server).await, "ATTENDEE", attendee.id).await["__typename"], "ErasePersonSuccess");
    let mut tablet = Device::enrol(server.address, ANA).await;
    let other = tablet.create(&sample::visit(ENTERPRISES[0], ANA));
    let again = tablet.create(&attendee);
    tablet.record(tablet.draft(Op::Delete, EntityKind::Attendee, attendee.id.0, Vec::new()));
    let answer = tablet.sync().await;
    assert_eq!(answer.code(again), "REJECT_ERASED");
    assert_eq!(answer.result(other), None, "the rest is simply applied");
    assert_eq!(sightings(&server.app.office).await, [""; 0]);
}

/// What Ana says of a month of a job record that has been erased.
struct Refused {
    server: TestServer,
    ana: Device,
    month: MonthlyJobStatus,
    /// The month with a note about the person.
    noted: MonthlyJobStatus,
}

impl Refused {
    async fn new() -> Self {
        let server = TestServer::new().await;
        programme::load(&server.app).await;
        let job = employed(&server).await;
        assert_eq!(erase(&officer(&server).await, "EMPLOYMENT", job.id).await["__typename"], "ErasePersonSuccess");
        let ana = Device::enrol(server.address, ANA).await;
        let month = month(&job);
        let noted = MonthlyJobStatus { note: Some(format!("{CANARY} a revenit")), ..month.clone() };
        Self { server, ana, month, noted }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_what_is_refused_for_an_erased_person_are_refused_with_it_and_do_not_wait() {
    let Refused { server, mut ana, month, noted } = Refused::new().await;
    let of_month = ana.create(&month);
    let changed = ana.change(&month, &noted, 0);
    let answer = ana.sync().await;
    assert_eq!([of_month, changed].map(|no| answer.code(no)), ["REJECT_ERASED"; 2]);
    assert_eq!(sightings(&server.app.office).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_a_later_push_about_a_row_that_was_refused_for_an_erased_person_is_refused_too() {
    let Refused { server, mut ana, month, noted } = Refused::new().await;
    let of_month = ana.create(&month);
    assert_eq!(ana.sync().await.code(of_month), "REJECT_ERASED");
    let changed = ana.change(&month, &noted, 0);
    let again = ana.create(&month);
    let answer = ana.sync().await;
    assert_eq!([changed, again].map(|no| answer.code(no)), ["REJECT_ERASED"; 2]);
    assert_eq!(sightings(&server.app.office).await, [""; 0]);
    let known = format!("SELECT reason FROM erasure WHERE subject_id = '{}'", month.id);
    assert_eq!(texts(&server.app.office, &known).await, ["PERSONS_REQUEST"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_a_merged_record_is_refused_where_that_month_of_the_one_that_stays_was_erased() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let job = employed(&server).await;
    let twin = Employment { id: EmploymentId(Uuid::now_v7()), ..job.clone() };
    let mut ana = Device::enrol(server.address, ANA).await;
    ana.create(&twin);
    ana.sync().await;
    let db = &server.app.office;
    merge(&server, &job).await;
    let of = |job: &Employment| MonthlyJobStatus::id_of(job.id, sample::day("2024-02-01"));
    programme::import(db, &[erasure_of(ErasableKind::MonthlyJobStatus, of(&job).0)]).await;
    let late = ana.create(&MonthlyJobStatus { id: of(&twin), ..month(&twin) });
    let visit = ana.create(&sample::visit(ENTERPRISES[0], ANA));
    let answer = ana.sync().await;
    assert_eq!(answer.code(late), "REJECT_ERASED", "the push is turned away for ever");
    assert_eq!(answer.result(visit), None, "the rest is simply applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_server_does_not_bring_an_erased_person_back_and_neither_do_the_phones() {
    let site = Site::new().await;
    let job = employed(&site.server).await;
    let mut phone = phone_of(&site.server, ANA).await;
    rename(&phone, job.id, "Ioan");
    let visit = start_visit(&phone, 0);
    phone.sync().await;
    let mut unaware = phone_of(&site.server, ANA).await;
    let mut tablet = Device::enrol(site.server.address, ANA).await;
    let held = sample::attendee(&sample::visit(ENTERPRISES[0], ANA), &format!("Mihai {CANARY}"));
    tablet.create(&held);
    tablet.sync().await;
    site.note().await;
    let (site, backup) = site.back_up().await;
    [&mut phone, &mut unaware].into_iter().for_each(|phone| phone.move_to(site.server.address));
    // Acknowledged and lost with the backup: on a phone that hears of the erasures, and on one that does not.
    rename(&phone, job.id, "Ionică");
    find(&phone, visit, "de pe primul telefon");
    phone.sync().await;
    let attendee = client_sdk::api::visits::NewAttendee {
        name: format!("Vasile {CANARY}"),
        role: "angajat".to_owned(),
        organisation: None,
    };
    let attendee: AttendeeId = unaware.visits().add_attendee(visit, attendee).unwrap().id;
    find(&unaware, visit, "de pe al doilea telefon");
    unaware.sync().await;
    let office = officer(&site.server).await;
    for (kind, subject) in [("EMPLOYMENT", job.id.0), ("ATTENDEE", attendee.0), ("ATTENDEE", held.id.0)] {
        assert_eq!(erase(&office, kind, subject).await["__typename"], "ErasePersonSuccess");
    }
    phone.sync().await;
    site.note().await;
    let (site, found) = site.restore(backup).await;
    assert_eq!(found.len(), 1);
    let db = &site.server.app.office;
    assert_eq!(sightings(db).await, [""; 0], "the list was heeded before anybody came");
    assert_eq!(number(db, "SELECT count(*) FROM erasure").await, 3);
    [&mut phone, &mut unaware].into_iter().for_each(|phone| phone.move_to(site.server.address));
    for phone in [&unaware, &phone, &unaware, &phone] {
        phone.sync().await;
    }
    assert_eq!(sightings(db).await, [""; 0]);
    for phone in [&phone, &unaware] {
        assert_equal_sides(&site.server, phone, ANA).await;
        assert_eq!(phone.get::<Attendee>(attendee).unwrap(), None);
        assert_eq!(phone.get::<Erasure>(Erasure::id_of(job.id.0)).unwrap().map(|e| e.data.subject_id), Some(job.id.0));
        assert!(phone.get::<Visit>(visit).unwrap().is_some());
    }
    let findings = state::texts(db, "SELECT text FROM finding WHERE text LIKE 'de pe %' ORDER BY text").await;
    assert_eq!(findings, ["de pe al doilea telefon", "de pe primul telefon"], "all the rest came back");
}
