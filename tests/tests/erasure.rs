//! A person asks that their data be erased: it goes from the server, from what the server keeps beside its rows, and from
//! every phone. Nobody brings it back, and no restored backup does.

use serde_json::{Value, json};
use server::store::Db;
use sync_protocol::code::ConflictState;
use sync_protocol::entity::{Attendee, Conflict, Employment, EntityKind, Erasure, Visit};
use sync_protocol::id::{AttendeeId, EmploymentId};
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, OFFICER, PASSWORD, RADU, email};
use tests::site::{Site, assert_equal_sides, find, phone_of, start_visit};
use tests::state::{number, texts};
use tests::{Device, Office, Phone, TestServer, sample, state};
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

#[tokio::test(flavor = "multi_thread")]
async fn what_names_an_erased_record_and_who_registers_it_again_are_refused() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let job = employed(&server).await;
    let mut ana = Device::enrol(server.address, ANA).await;
    ana.sync().await;
    assert_eq!(erase(&officer(&server).await, "EMPLOYMENT", job.id).await["__typename"], "ErasePersonSuccess");
    let again = ana.create(&job);
    let month = sync_protocol::entity::MonthlyJobStatus {
        id: sync_protocol::id::MonthlyJobStatusId(Uuid::now_v7()),
        enterprise_id: job.enterprise_id,
        employment_id: job.id,
        month_on: sample::day("2024-02-01"),
        is_active: true,
        hours_worked: Some(80),
        absence_kind: None,
        is_wage_paid: None,
        visit_id: None,
        note: Some(format!("{CANARY} a lipsit")),
    };
    let of_month = ana.create(&month);
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
async fn a_restored_server_does_not_bring_an_erased_person_back_and_neither_do_the_phones() {
    let site = Site::new().await;
    let job = employed(&site.server).await;
    let mut phone = phone_of(&site.server, ANA).await;
    rename(&phone, job.id, "Ioan");
    let visit = start_visit(&phone, 0);
    phone.sync().await;
    let mut unaware = phone_of(&site.server, ANA).await;
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
    for (kind, subject) in [("EMPLOYMENT", job.id.0), ("ATTENDEE", attendee.0)] {
        assert_eq!(erase(&office, kind, subject).await["__typename"], "ErasePersonSuccess");
    }
    phone.sync().await;
    site.note().await;
    let (site, found) = site.restore(backup).await;
    assert_eq!(found.len(), 1);
    let db = &site.server.app.office;
    assert_eq!(sightings(db).await, [""; 0], "the list was heeded before anybody came");
    assert_eq!(number(db, "SELECT count(*) FROM erasure").await, 2);
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
