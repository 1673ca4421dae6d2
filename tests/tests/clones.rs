//! A phone that was copied: both go on, nothing is lost, nothing comes twice, and nothing old stands over what is new.

use client_sdk::api::visits::NewFinding;
use sync_protocol::code::{FindingArea, Severity, VisitKind, VisitMode};
use sync_protocol::id::VisitId;
use tests::phone::assert_equal;
use tests::programme::{self, ANA, ENTERPRISES, PASSWORD, PROGRAMME, email};
use tests::{Phone, TestServer, state};

async fn started() -> (TestServer, Phone) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let phone = Phone::new(server.address);
    phone.enrol(&email(ANA), PASSWORD).await;
    phone.sync().await;
    (server, phone)
}

fn start_visit(phone: &Phone) -> VisitId {
    phone.visits().start(ENTERPRISES[0], VisitKind::Routine, VisitMode::OnSite).unwrap().id
}

fn find(phone: &Phone, visit: VisitId, text: &str) {
    let text = text.to_owned();
    let new = NewFinding { area: FindingArea::Jobs, severity: Severity::Minor, text, rule_ref: None };
    phone.visits().add_finding(visit, new).unwrap();
}

/// Syncs both until they know of each other, and checks that they are equal to the server.
async fn settle(server: &TestServer, phones: [&Phone; 2]) {
    for phone in [phones[0], phones[1], phones[0], phones[1]] {
        phone.sync().await;
    }
    let expected = state::rows_for_mentor(&server.app.office, PROGRAMME, ANA.0).await;
    for phone in phones {
        assert_eq!(phone.status().unwrap().sync.pending, 0);
        assert_equal(&phone.rows(), &expected);
    }
}

async fn findings(server: &TestServer) -> Vec<String> {
    state::texts(&server.app.office, "SELECT text FROM finding ORDER BY text").await
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_with_pending_work_send_it_once_whoever_comes_first() {
    for copy_comes_first in [false, true] {
        let (server, mut phone) = started().await;
        let visit = start_visit(&phone);
        find(&phone, visit, "a: înainte de copie");
        let copy = phone.copy();
        find(&phone, visit, "b: pe telefon");
        find(&copy, visit, "c: pe copie");
        let (first, second) = if copy_comes_first { (&copy, &phone) } else { (&phone, &copy) };
        first.sync().await;
        // The office corrects what both had recorded; the one that comes later must not bring its old value back.
        state::psql(&server.app.office, "UPDATE finding SET text = 'a: corectată' WHERE text LIKE 'a: %'").await;
        second.sync().await;
        settle(&server, [&phone, &copy]).await;
        assert_eq!(findings(&server).await, ["a: corectată", "b: pe telefon", "c: pe copie"]);
        let sent = "SELECT count(*) FROM mutation";
        assert_eq!(state::number(&server.app.office, sent).await, 4, "the common work was sent once");
        assert_eq!(state::number(&server.app.office, "SELECT count(*) FROM conflict").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_restored_from_an_old_copy_gets_back_what_it_had_sent() {
    let (server, mut phone) = started().await;
    let visit = start_visit(&phone);
    phone.sync().await;
    let restored = phone.copy();
    find(&phone, visit, "trimisă după copie");
    phone.sync().await;
    phone.close();
    // Nothing of its own yet: the server's numbers alone tell it, and the row that it had sent comes back.
    restored.sync().await;
    restored.sync().await;
    assert_equal(&restored.rows(), &state::rows_for_mentor(&server.app.office, PROGRAMME, ANA.0).await);
    find(&restored, visit, "după restaurare");
    restored.sync().await;
    assert_eq!(findings(&server).await, ["după restaurare", "trimisă după copie"]);
    assert_equal(&restored.rows(), &state::rows_for_mentor(&server.app.office, PROGRAMME, ANA.0).await);
}
