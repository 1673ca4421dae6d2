//! Divergence: a device that does not hold what the server holds finds out, and repairs only what differs.

use client_sdk::store::Verified;
use sync_protocol::code::{FindingArea, Severity, VisitKind, VisitMode};
use sync_protocol::entity::EntityKind;
use sync_protocol::id::VisitId;
use sync_protocol::wire::{Message, Outcome, Scopes, Sums};
use tests::programme::{self, ANA, ENTERPRISES, PASSWORD, PROGRAMME, email};
use tests::site::{assert_equal_sides, with_findings};
use tests::{Device, Phone, TestServer, sample, state};
use uuid::Uuid;

/// Rows that the office imported, in the enterprise that Ana looks after.
const FINDINGS: usize = 300;

async fn started() -> (TestServer, Phone) {
    let (server, _) = with_findings(FINDINGS).await;
    let phone = Phone::new(server.address);
    phone.enrol(&email(ANA), PASSWORD).await;
    (server, phone)
}

async fn faults(server: &TestServer) -> String {
    let metrics = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with("sync_scope_digest_mismatch_total{cause=\"fault\"}"));
    line.expect("the metric is there from the start").rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_download_is_compared_and_later_syncs_are_not() {
    let (server, phone) = started().await;
    let scopes = 4;
    assert_eq!(phone.sync().await.verified, Some(Verified { scopes, differing: 0 }));
    assert_eq!(phone.sync().await.verified, None);
    phone.store().verify_soon().unwrap();
    assert_eq!(phone.sync().await.verified, Some(Verified { scopes, differing: 0 }));
    assert_equal_sides(&server, &phone, ANA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_found_and_only_that_is_fetched_and_pending_work_stays() {
    let (server, mut phone) = started().await;
    phone.sync().await;
    let visit = phone.visits().start(ENTERPRISES[0], VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    // In the cache before it is damaged: an opening that has something to repair compares by itself.
    phone.store().flush().unwrap();
    phone.damage_cache(
        "DELETE FROM finding WHERE rowid IN (3, 50);
         UPDATE finding SET text = 'altceva', seq = seq - 1 WHERE rowid = 70;
         UPDATE finding SET seq = seq + 900000 WHERE rowid = 71;
         INSERT INTO finding SELECT randomblob(16), seq, enterprise_id, visit_id, area, severity, text, rule_ref \
             FROM finding WHERE rowid = 100;",
    );
    phone.sync().await;
    assert_eq!(faults(&server).await, "0", "nothing asked for a check yet");
    phone.store().verify_soon().unwrap();
    phone.visits().add_finding(visit, finding()).unwrap();
    let report = phone.sync().await;
    assert_eq!(report.verified, Some(Verified { scopes: 4, differing: 0 }), "the last look found no difference");
    // The rows that were wrong, and not the three hundred of the scope.
    assert!((4..=8).contains(&report.pulled_rows), "{report:?}");
    assert_eq!(faults(&server).await, "1");
    assert_eq!(phone.status().unwrap().sync.pending, 0);
    assert_equal_sides(&server, &phone, ANA).await;
}

fn finding() -> client_sdk::api::visits::NewFinding {
    client_sdk::api::visits::NewFinding {
        area: FindingArea::Jobs,
        severity: Severity::Minor,
        text: "în lucru".to_owned(),
        rule_ref: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_with_a_pending_change_is_repaired_beneath_it() {
    let (server, mut phone) = started().await;
    phone.sync().await;
    let visit = phone.visits().start(ENTERPRISES[0], VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    phone.sync().await;
    phone.visits().set_gps_exception(visit, "rezumat").unwrap();
    phone.damage_cache("DELETE FROM _base; UPDATE visit SET seq = seq - 1 WHERE gps_exception_reason = 'rezumat'");
    phone.store().verify_soon().unwrap();
    phone.sync().await;
    assert_equal_sides(&server, &phone, ANA).await;
    assert_eq!(phone.visits().get(visit).unwrap().unwrap().data.gps_exception_reason.as_deref(), Some("rezumat"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_undone_in_the_same_push_leaves_no_difference() {
    let (server, phone) = started().await;
    phone.sync().await;
    let visit = phone.visits().start(ENTERPRISES[0], VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    phone.visits().set_gps_exception(visit, "una").unwrap();
    phone.sync().await;
    phone.visits().set_gps_exception(visit, "alta").unwrap();
    phone.visits().set_gps_exception(visit, "una").unwrap();
    phone.store().verify_soon().unwrap();
    phone.sync().await;
    assert_eq!(faults(&server).await, "0");
    assert_equal_sides(&server, &phone, ANA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_nothing_of_scopes_that_the_person_does_not_hold() {
    let (server, _) = started().await;
    let mut radu = Device::enrol(server.address, programme::RADU).await;
    radu.sync().await;
    let sums = |scope| Sums { scope, prefix: Vec::new(), buckets: Vec::new(), kinds: 21, is_expected: false };
    let asked = [sums(ENTERPRISES[0].0), sums(ENTERPRISES[2].0)].map(Message::Sums);
    let known = state::texts(&server.app.office, "SELECT id::text FROM finding LIMIT 5").await;
    let wanted = known.iter().map(|id| (EntityKind::Finding.number(), id.parse::<Uuid>().unwrap())).collect();
    let want = Message::Want(sync_protocol::wire::Want { rows: wanted });
    let answer = radu.ask(&[&asked[..], &[want]].concat()).await;
    let listed: Vec<usize> = answer
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::Listing(listing) => Some(listing.versions.len()),
            _ => None,
        })
        .collect();
    assert_eq!(listed[0], 0, "another mentor's enterprise");
    assert!(listed[1] > 0, "his own one");
    assert!(answer.rows().is_empty(), "rows of another mentor came");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_sent_together_with_a_check_takes_effect() {
    let (server, _) = started().await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let no = device.create(&sample::visit(ENTERPRISES[0], ANA));
    device.verify_kinds = 21;
    let answer = device.sync().await;
    assert_eq!(answer.outcome(no), Outcome::Applied);
    assert!(answer.messages.iter().any(|message| matches!(message, Message::Digests(_))));
}

/// What was kept for its pending change is older than the download, which does not tell that it has left.
#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_is_taken_away_and_given_back_ends_equal() {
    let (server, phone) = started().await;
    phone.sync().await;
    let visit = phone.rows().keys().find(|(kind, _)| *kind == EntityKind::Visit).map(|(_, id)| *id).unwrap();
    phone.visits().set_gps_exception(VisitId(visit), "în lucru").unwrap();
    let scopes = [ANA.0, PROGRAMME, ENTERPRISES[0].0, ENTERPRISES[1].0];
    let but = |left: Uuid| Scopes { scopes: scopes.into_iter().filter(|scope| *scope != left).collect() };
    phone.store().apply_scopes(&but(ENTERPRISES[0].0)).unwrap();
    phone.store().apply_scopes(&but(Uuid::nil())).unwrap();
    state::psql(&server.app.office, &format!("UPDATE visit SET enterprise_id = '{}'", ENTERPRISES[2])).await;
    phone.sync().await;
    phone.sync().await;
    assert_eq!(faults(&server).await, "0");
    phone.store().verify_soon().unwrap();
    assert_eq!(phone.sync().await.verified, Some(Verified { scopes: 4, differing: 0 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_asks_is_told_what_differed_and_that_it_was_put_right() {
    let (server, mut phone) = started().await;
    phone.sync().await;
    let equal = phone.verify(None, std::future::pending()).await.unwrap();
    assert_eq!((equal.scopes, equal.differing_scopes, equal.is_equal), (4, 0, true));
    assert_eq!((equal.outdated_rows, equal.foreign_rows, equal.sync.pulled_rows), (0, 0, 0));
    phone.store().flush().unwrap();
    phone.damage_cache(
        "DELETE FROM finding WHERE rowid IN (3, 50);
         UPDATE finding SET text = 'altceva', seq = seq - 1 WHERE rowid = 70;
         INSERT INTO finding SELECT randomblob(16), seq, enterprise_id, visit_id, area, severity, text, rule_ref \
             FROM finding WHERE rowid = 100;",
    );
    let visit = phone.visits().start(ENTERPRISES[1], VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    let repaired = phone.verify(None, std::future::pending()).await.unwrap();
    assert_eq!((repaired.scopes, repaired.differing_scopes, repaired.is_equal), (4, 1, true));
    assert_eq!((repaired.outdated_rows, repaired.foreign_rows), (3, 1));
    assert_eq!(repaired.sync.pushed, 1, "what waits is sent first");
    assert_eq!(state::number(&server.app.office, &format!("SELECT count(*) FROM visit WHERE id = '{visit}'")).await, 1);
    assert_equal_sides(&server, &phone, ANA).await;
    let stopped = phone.verify(None, async {}).await;
    assert!(stopped.is_err(), "a comparison that is stopped says so");
    drop(server);
    assert!(phone.verify(None, std::future::pending()).await.is_err(), "without a server nothing is compared");
}
