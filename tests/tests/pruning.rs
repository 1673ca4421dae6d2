//! Old deletions are forgotten: who was away for longer gets a slower sync, and nobody else notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use server::config::Config;
use server::domain::pruning::{self, Retention};
use server::store::pruning::Horizon;
use server::world::{FixedWorld, SystemWorld};
use sync_protocol::entity::{EntityKind, Finding, Visit};
use sync_protocol::id::{DeviceId, FindingId};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::rows::GoneReason;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{History, Message, Outcome};
use tests::programme::{self, ANA, ENTERPRISES, PASSWORD, PROGRAMME, email};
use tests::simulator::server::{During, Sender, SimServer, Touch};
use tests::site::{assert_equal_sides, find, phone_of, start_visit, with_findings};
use tests::state::{head, number, psql, texts};
use tests::{Answer, Device, TestServer, now, request_body, sample};
use uuid::Uuid;

const DAY_MS: i64 = 86_400_000;
/// Findings of Ana's first enterprise.
const FINDINGS: usize = 600;
/// Of these: deleted while a device is away.
const DELETED: usize = 40;

/// Deletes findings, and moves a visit with nothing in it out of what Ana holds.
async fn delete_some(server: &TestServer) {
    let office = &server.app.office;
    let oldest = format!("SELECT id FROM finding ORDER BY id LIMIT {DELETED}");
    psql(office, &format!("DELETE FROM finding WHERE id IN ({oldest})")).await;
    let moved = format!("UPDATE visit SET enterprise_id = '{}' WHERE summary = 'pleacă'", ENTERPRISES[2]);
    psql(office, &moved).await;
}

/// Lets everything that the server has noted be some days older.
async fn pass_days(server: &TestServer, days: i64) {
    let app = &server.app;
    app.fleet.write_to(&app.reports, &app.metrics.sync).await;
    for (table, column) in [("seal_log", "sealed_at"), ("device_contact", "contact_at")] {
        psql(&app.office, &format!("UPDATE {table} SET {column} = {column} - interval '{days} days'")).await;
    }
}

/// Forgets what the settings say now.
async fn prune(server: &TestServer) -> usize {
    let horizon = Retention::of(&server.app.config.sync).horizon(now());
    prune_to(server, horizon).await
}

async fn prune_to(server: &TestServer, horizon: Horizon) -> usize {
    pruning::prune(&server.app.reports, &horizon, &server.app.metrics.sync).await.unwrap()
}

/// Everything that was ever deleted is old; devices that were in touch within a day still count.
fn at_once() -> Horizon {
    Horizon { before: Timestamp(now().0 + DAY_MS), heard_since: Timestamp(now().0 - DAY_MS) }
}

async fn floor(server: &TestServer) -> i64 {
    number(&server.app.office, "SELECT floor_seq FROM programme_head").await
}

async fn tombstones(server: &TestServer) -> i64 {
    let places = "SELECT (SELECT count(*) FROM sync_head WHERE deleted) + (SELECT count(*) FROM scope_exit)";
    number(&server.app.office, places).await
}

async fn faults(server: &TestServer) -> String {
    let metrics = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with("sync_scope_digest_mismatch_total{cause=\"fault\"}"));
    line.expect("the metric is there from the start").rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_a_year_delivers_its_work_and_gets_only_what_is_new() {
    let (server, visit) = with_findings(FINDINGS).await;
    let moving = Visit { summary: Some("pleacă".to_owned()), ..sample::visit(ENTERPRISES[0], ANA) };
    programme::import(&server.app.office, std::slice::from_ref(&moving)).await;
    // One whose daily comparison is due as it comes back, and one whose is not.
    let (due, not_due) = (phone_of(&server, ANA).await, phone_of(&server, ANA).await);
    let first = phone_of(&server, ANA).await;
    for phone in [&due, &not_due] {
        phone.visits().set_gps_exception(visit.id, "de acum un an").unwrap();
        find(phone, start_visit(phone, 0), "în așteptare");
    }
    due.store().verify_soon().unwrap();
    delete_some(&server).await;
    let renamed = "UPDATE finding SET text = 'schimbată' WHERE text = 'constatarea 500'";
    psql(&server.app.office, renamed).await;
    pass_days(&server, 400).await;
    assert_eq!(prune(&server).await, DELETED + 1, "the findings, and the visit that left");
    assert_eq!((tombstones(&server).await, floor(&server).await > 0), (0, true));

    for phone in [&due, &not_due] {
        assert_eq!(phone.rows().len(), first.rows().len() + 2, "nothing that the phone shows went before the sync");
        let report = phone.sync().await;
        assert_eq!((report.pushed, phone.status().unwrap().sync.pending), (3, 0), "{report:?}");
        assert!(report.pulled_rows <= 12, "rows that the phone has came again: {report:?}");
        assert!(report.bytes_received < 20_000, "{report:?}");
        assert_eq!(report.verified.map(|verified| verified.differing), Some(0), "{report:?}");
    }
    for phone in [&due, &not_due, &first] {
        phone.sync().await;
        assert_equal_sides(&server, phone, ANA).await;
    }
    let delivered = "SELECT count(*) FROM finding WHERE text = 'în așteptare'";
    assert_eq!(number(&server.app.office, delivered).await, 2);
    assert_eq!(faults(&server).await, "0", "what was pruned is no fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_are_told_as_long_as_they_are_young_or_a_device_in_touch_has_not_heard_of_them() {
    let (server, _) = with_findings(FINDINGS).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    // Says where it stands now.
    device.sync().await;
    delete_some(&server).await;
    pass_days(&server, 89).await;
    assert_eq!(prune(&server).await, 0, "they are too young");
    pass_days(&server, 90).await;
    assert_eq!(prune(&server).await, 0, "a device was in touch 179 days ago and does not know of them");
    let answer = device.sync().await;
    let gone = answer.gone().iter().filter(|(.., reason)| *reason == GoneReason::Deleted).count();
    assert_eq!((answer.welcome().history, answer.welcome().floor, gone), (History::Same, None, DELETED));
    // Between the contact that said so little and the next one, the server does not know that they arrived.
    pass_days(&server, 0).await;
    assert_eq!(prune(&server).await, 0);
    device.sync().await;
    pass_days(&server, 0).await;
    assert_eq!(prune(&server).await, DELETED);
    let answer = device.sync().await;
    assert_eq!((answer.welcome().history, answer.welcome().floor), (History::Same, None), "it is not below the floor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_silent_for_too_long_or_is_blocked_holds_nothing_back() {
    for is_blocked in [false, true] {
        let (server, _) = with_findings(FINDINGS).await;
        let mut device = Device::enrol(server.address, ANA).await;
        device.sync().await;
        device.sync().await;
        delete_some(&server).await;
        pass_days(&server, if is_blocked { 100 } else { 181 }).await;
        if is_blocked {
            psql(&server.app.office, "UPDATE device SET status = 'REVOKED'").await;
        }
        assert_eq!(prune(&server).await, DELETED, "blocked: {is_blocked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_expired_signs_in_again_and_loses_no_work() {
    let (server, visit) = with_findings(FINDINGS).await;
    let phone = phone_of(&server, ANA).await;
    phone.visits().set_gps_exception(visit.id, "înainte de expirare").unwrap();
    delete_some(&server).await;
    pass_days(&server, 400).await;
    psql(&server.app.office, "DELETE FROM session").await;
    assert_eq!(prune(&server).await, DELETED);
    let db = server.db.clone();
    drop(server);
    let server = TestServer::on(db, Config::default(), Arc::new(SystemWorld));
    let mut phone = phone;
    phone.move_to(server.address);
    assert!(phone.try_sync().await.is_err(), "its session is over");
    phone.enrol(&email(ANA), PASSWORD).await;
    assert_eq!(phone.sync().await.pushed, 1);
    let kept = "SELECT count(*) FROM visit WHERE gps_exception_reason = 'înainte de expirare'";
    assert_eq!(number(&server.app.office, kept).await, 1);
    phone.sync().await;
    assert_equal_sides(&server, &phone, ANA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_below_the_floor_is_told_to_compare_and_may_go_on_where_it_is() {
    let (server, _) = with_findings(FINDINGS).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let stood = device.cache.cursor;
    delete_some(&server).await;
    pass_days(&server, 400).await;
    prune(&server).await;
    device.create(&sample::visit(ENTERPRISES[0], ANA));
    let told = device.exchange(device.hello(), &device.pending()).await;
    assert_eq!((told.welcome().history, told.welcome().common), (History::Other, Some(stood)));
    assert!(told.rows().is_empty() && told.gone().is_empty() && told.end().unwrap().more);
    assert_eq!(told.push_results().len(), 1, "its work is taken at once");
    device.verify_kinds = 21;
    let compared = device.exchange(device.hello(), &[]).await;
    let floor = u64::try_from(floor(&server).await).unwrap();
    assert_eq!((compared.welcome().history, compared.welcome().floor), (History::Same, Some(floor)));
    assert!(compared.messages.iter().any(|message| matches!(message, Message::Digests(_))));
    assert!(compared.rows().len() < 5 && compared.gone().is_empty());
    // A scope whose download began before is below the floor, too.
    device.cache.behind = vec![(ENTERPRISES[0].0, sync_protocol::cursor::Position::after(stood.seq))];
    device.cache.cursor = compared.checkpoints().last().unwrap().cursor.unwrap();
    device.verify_kinds = 0;
    let behind = device.exchange(device.hello(), &[]).await;
    assert_eq!((behind.welcome().history, behind.welcome().common), (History::Other, Some(device.cache.cursor)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_brings_back_a_row_whose_deletion_was_forgotten_did_not_write_what_it_says() {
    let (server, _) = with_findings(1).await;
    let (mut first, mut second) = (Device::enrol(server.address, ANA).await, Device::enrol(server.address, ANA).await);
    first.sync().await;
    second.sync().await;
    let finding: Finding = first.cache.all().remove(0);
    let base_seq = first.cache.rows[&(EntityKind::Finding, finding.id.0)].seq;
    first.change(&finding, &Finding { text: "a primului".to_owned(), ..finding.clone() }, base_seq);
    let void = first.draft(Op::Delete, EntityKind::Finding, finding.id.0, Vec::new());
    first.record(Mutation { base_seq, ..void });
    first.sync().await;
    let horizon = Horizon { heard_since: at_once().before, ..at_once() };
    assert_eq!(prune_to(&server, horizon).await, 1);
    // Twice before it hears that the row was deleted, and what it said by then.
    let back = second.change(&finding, &Finding { rule_ref: Some("I19".to_owned()), ..finding.clone() }, base_seq);
    assert_eq!(second.send(&second.pending()).await.outcome(back), Outcome::Conflict, "delete against edit");
    let over =
        second.change(&finding, &Finding { text: "a celui de-al doilea".to_owned(), ..finding.clone() }, base_seq);
    assert_eq!(second.send(&second.pending()).await.outcome(over), Outcome::Conflict, "edit against edit");
    let beside = "SELECT kept_value || ' ' || other_value FROM conflict WHERE field = 'text'";
    assert_eq!(texts(&server.app.office, beside).await, ["\"a celui de-al doilea\" \"a primului\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_forgets_by_itself_what_is_old_when_it_starts() {
    let (server, _) = with_findings(FINDINGS).await;
    delete_some(&server).await;
    pass_days(&server, 400).await;
    let db = server.db.clone();
    drop(server);
    let server = TestServer::on(db, Config::default(), Arc::new(SystemWorld));
    let began = Instant::now();
    while tombstones(&server).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(40), "nothing is forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        number(&server.app.office, "SELECT count(*) FROM change_log WHERE operation = 'D'").await,
        DELETED as i64
    );
}

/// Phones push and pull, the office deletes, and at the same time everything is forgotten that every device in touch has
/// heard of.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_go_on_while_deletions_are_forgotten_and_no_device_in_touch_misses_one() {
    let (server, visit) = with_findings(FINDINGS).await;
    let old: Vec<Finding> = (0..3_000).map(|n| sample::finding(&visit, &format!("veche {n}"))).collect();
    for some in old.chunks(500) {
        programme::import(&server.app.office, some).await;
    }
    psql(&server.app.office, "DELETE FROM finding WHERE text LIKE 'veche%'").await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    device.sync().await;
    pass_days(&server, 0).await;
    let app = server.app.clone();
    let forgetting = tokio::spawn(async move {
        let mut forgotten = 0;
        loop {
            app.fleet.write_to(&app.reports, &app.metrics.sync).await;
            forgotten += pruning::prune(&app.reports, &at_once(), &app.metrics.sync).await.unwrap();
            if app.stopping.is_cancelled() {
                return forgotten;
            }
        }
    });
    let (mut slowest, mut told) = (Duration::ZERO, 0);
    for round in 0..60 {
        for n in 0..10 {
            device.create(&sample::finding(&visit, &format!("nouă {round} {n}")));
        }
        let one = format!(
            "DELETE FROM finding WHERE id = (SELECT id FROM finding WHERE text LIKE 'constatarea%' ORDER BY id OFFSET {round} LIMIT 1)"
        );
        psql(&server.app.office, &one).await;
        let began = Instant::now();
        let answer = device.sync_once().await;
        slowest = slowest.max(began.elapsed());
        assert!(answer.end().is_some_and(|end| !end.more), "round {round}");
        assert_eq!((answer.welcome().history, answer.welcome().floor), (History::Same, None), "round {round}");
        told += answer.gone().len();
    }
    assert_eq!(told, 60, "a deletion was forgotten before the device had heard of it");
    device.sync().await;
    server.app.stopping.cancel();
    let forgotten = forgetting.await.unwrap();
    assert!(forgotten >= 3_000 + 50, "{forgotten} were forgotten");
    let mut held: Vec<FindingId> = device.cache.all::<Finding>().iter().map(|finding| finding.id).collect();
    let there = texts(&server.app.office, "SELECT id::text FROM finding").await;
    let mut there: Vec<FindingId> = there.iter().map(|id| FindingId(id.parse().unwrap())).collect();
    held.sort();
    there.sort();
    assert_eq!(held, there);
    assert!(slowest < Duration::from_secs(2), "a push waited {slowest:?}");
    assert!(head(&server.app.office).await > floor(&server).await);
    assert_eq!(PROGRAMME, device.cache.programme);
}

/// Asks a server without a network. Before its `at`-th view of the rows is opened, every deletion is forgotten.
fn ask(server: &mut SimServer, device: &Device, forgets_at: Option<u32>) -> Answer {
    let store = server.store().clone();
    let forget = move || {
        store.change(|state| {
            let head = state.head(PROGRAMME).seq;
            state.prune(PROGRAMME, head);
        });
    };
    let meanwhile = forgets_at.map(|at| (at, Box::new(forget) as Box<dyn FnOnce() + Send>));
    let sender = Sender { programme: PROGRAMME, user: ANA.0, device: device.id.0 };
    let body = request_body(device.hello(), &[]);
    let response = server.exchange(sender, &body, During { crash: None, meanwhile });
    Answer { status: Some(200), retry_after_s: None, messages: response.messages() }
}

#[test]
fn a_download_that_the_floor_overtakes_ends_and_begins_where_it_was() {
    let mut server = SimServer::new(Arc::new(FixedWorld::at(now())), 3);
    let rows = programme::all_rows().into_iter();
    let touches = rows.flat_map(|(kind, rows)| rows.into_iter().map(move |row| Touch::Put(kind, row)));
    server.store().change(|state| state.commit(PROGRAMME, touches.collect(), Default::default()));
    let mut device = Device::unconnected(DeviceId(Uuid::now_v7()), Uuid::new_v4(), ANA);
    let visits: Vec<Visit> = (0..9).map(|_| sample::visit(ENTERPRISES[0], ANA)).collect();
    server.import(PROGRAMME, &visits);
    while device.cache.cursor.seq == 0 || !device.cache.behind.is_empty() {
        let answer = ask(&mut server, &device, None);
        device.take(&answer.messages);
    }
    let stood = device.cache.cursor;
    server.import(PROGRAMME, &(0..9).map(|_| sample::visit(ENTERPRISES[0], ANA)).collect::<Vec<_>>());
    let deleted = Touch::Delete(EntityKind::Visit, visits[4].id.0);
    server.store().change(|state| state.commit(PROGRAMME, vec![deleted], Default::default()));

    let answer = ask(&mut server, &device, Some(3));
    device.take(&answer.messages);
    assert!(answer.end().unwrap().more && answer.checkpoints().iter().all(|checkpoint| checkpoint.cursor.is_none()));
    assert!(!answer.rows().is_empty() && answer.gone().is_empty());
    let anew = ask(&mut server, &device, None);
    assert_eq!((anew.welcome().history, anew.welcome().common), (History::Other, Some(stood)));
}
