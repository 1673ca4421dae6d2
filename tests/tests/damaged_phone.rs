//! A phone whose files are damaged: what can be read is sent, what cannot is counted, and the office sees it.

use serde_json::{Value, json};
use server::app::App;
use sync_protocol::code::{VisitKind, VisitMode};
use sync_protocol::id::VisitId;
use tests::demo::{self, ANA, DEMO_PASSWORD, ELENA};
use tests::phone::assert_equal;
use tests::visit::next_step;
use tests::{Office, Phone, TestServer, state};

fn make_visit(phone: &Phone) -> VisitId {
    let enterprise = phone.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id;
    let id = phone.visits().start(enterprise, VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    while next_step(phone, id).unwrap().is_some() {}
    id
}

/// Overwrites a part of a file of the closed application, and opens it again.
fn damage(phone: &mut Phone, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    phone.close();
    let path = phone.folder().join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
    phone.reopen();
}

async fn counted(elena: &Office, phone: &Phone) -> Value {
    let document = "query ($id: ID!) { device(id: $id) { salvagedRows lostRows } }";
    let device = phone.store().device_id();
    elena.ask(document, json!({"id": device.to_string()})).await["device"].take()
}

async fn number(app: &App, text: &str) -> u64 {
    state::number(&app.office, text).await as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_in_a_damaged_outbox_reaches_the_office_once_and_the_damage_is_seen() {
    let server = TestServer::new().await;
    let programme = demo::load(&server.app).await;
    let elena = Office::sign_in(server.address, ELENA, DEMO_PASSWORD).await;
    let mut phone = Phone::new(server.address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;
    let visit = make_visit(&phone);
    let waiting = phone.status().unwrap().sync.pending;
    phone.store().flush().unwrap();

    damage(&mut phone, "outbox.db", |bytes| bytes[..4_096].fill(0));
    let salvaged = phone.open_report().salvaged.expect("the damage is seen");
    assert_eq!((salvaged.saved, salvaged.lost), (waiting, 0));
    assert_eq!(phone.sync().await.pushed, waiting);
    assert_eq!(number(&server.app, "SELECT count(*) FROM mutation WHERE outcome = 'A'").await, waiting);
    let submitted = state::texts(&server.app.office, "SELECT id::text FROM visit WHERE status = 'SUBMITTED'").await;
    assert!(submitted.contains(&visit.0.to_string()));
    let expected =
        state::rows_for_mentor(&server.app.office, demo::id(&programme), demo::user(&programme, ANA).0).await;
    assert_equal(&phone.rows(), &expected);
    assert_eq!(counted(&elena, &phone).await, json!({"salvagedRows": waiting, "lostRows": 0}));

    // What the disk took of the second visit is gone: nothing of it can be saved, and everybody is told.
    phone.restart();
    let before = std::fs::read(phone.folder().join("outbox.db")).unwrap();
    make_visit(&phone);
    let lost = phone.status().unwrap().sync.pending;
    damage(&mut phone, "outbox.db", |bytes| *bytes = before);
    assert_eq!(phone.open_report().salvaged.map(|salvaged| salvaged.lost), Some(lost));
    assert_eq!(phone.status().unwrap().sync.salvaged.lost, lost);
    phone.sync().await;
    assert_eq!(counted(&elena, &phone).await, json!({"salvagedRows": waiting, "lostRows": lost}));
    let signal = |result| server.app.metrics.sync.salvaged_rows.with_label_values(&[result]).get();
    assert_eq!((signal("saved"), signal("lost")), (waiting, lost));
    assert_equal(&phone.rows(), &expected);
}
