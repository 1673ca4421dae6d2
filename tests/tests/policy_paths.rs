//! What a device may write: judged by the grants that held when the work was done.

use serde_json::json;
use sync_protocol::entity::{Enterprise, Entity, EntityKind, ScopeGrant, Visit};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::wire::Outcome;
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, PASSWORD, RADU, email};
use tests::state::{number, psql};
use tests::{Device, Office, TestServer, now, sample};

async fn started() -> (TestServer, Device) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    (server, device)
}

#[tokio::test(flavor = "multi_thread")]
async fn work_in_a_foreign_enterprise_is_refused_whichever_way_it_comes() {
    let (server, mut device) = started().await;
    let foreign = sample::visit(ENTERPRISES[2], RADU);
    let own = sample::visit(ENTERPRISES[0], ANA);
    programme::import(&server.app.office, std::slice::from_ref(&foreign)).await;
    let created = device.create(&sample::visit(ENTERPRISES[2], ANA));
    let changed = device.change(&foreign, &Visit { summary: Some("x".to_owned()), ..foreign.clone() }, 0);
    let deleted = device.record(device.draft(Op::Delete, EntityKind::Visit, foreign.id.0, Vec::new()));
    device.create(&own);
    let moved = device.change(&own, &Visit { enterprise_id: ENTERPRISES[2], ..own.clone() }, 0);
    // A claim to move the foreign visit into an own enterprise.
    let taken = device.change(&foreign, &Visit { enterprise_id: ENTERPRISES[0], ..foreign.clone() }, 0);
    let answer = device.sync().await;
    for no in [created, changed, deleted, moved, taken] {
        assert_eq!((answer.outcome(no), answer.code(no)), (Outcome::Rejected, "REJECT_SCOPE"), "mutation {no}");
    }
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 2);
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit WHERE summary IS NOT NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_office_and_the_server_write_is_refused() {
    let (server, mut device) = started().await;
    let enterprise = device.cache.get::<Enterprise>(ENTERPRISES[0]).unwrap();
    let renamed = device.change(&enterprise, &Enterprise { name: "Al meu".to_owned(), ..enterprise.clone() }, 1);
    let grant = device.create(&ScopeGrant { id: uuid::Uuid::new_v4().into(), ..programme::grant(ANA, ENTERPRISES[2]) });
    let extended = programme::grant(ANA, ENTERPRISES[0]);
    let widened =
        device.change(&extended, &ScopeGrant { role: sync_protocol::code::Role::Admin, ..extended.clone() }, 1);
    let answer = device.sync().await;
    for no in [renamed, grant, widened] {
        assert_eq!(answer.code(no), "REJECT_SCOPE", "mutation {no}");
    }
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM scope_grant").await, 4);
}

/// Records a visit in the first enterprise that was captured at some time before now.
fn captured(device: &mut Device, ms_ago: i64) -> u64 {
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let draft = device.draft(Op::Put, EntityKind::Visit, visit.id.0, patch::creation(&visit.to_row()));
    let captured_at = draft.captured_at.plus_ms(-ms_ago);
    device.record(Mutation { captured_at, ..draft })
}

#[tokio::test(flavor = "multi_thread")]
async fn work_captured_before_a_grant_ended_is_accepted_and_after_it_waits_for_the_coordinator() {
    let (server, mut device) = started().await;
    let ended = now().plus_ms(-60_000);
    let sql = format!(
        "UPDATE scope_grant SET valid_until_at = '{ended}' WHERE id = '{}'",
        programme::grant(ANA, ENTERPRISES[0]).id
    );
    psql(&server.app.office, &sql).await;
    for (clock_ahead_ms, name) in [(0, "right"), (7_200_000, "two hours ahead"), (-7_200_000, "two hours behind")] {
        device.clock_ahead_ms = clock_ahead_ms;
        let before = captured(&mut device, 120_000);
        let after = captured(&mut device, 20_000);
        let answer = device.send(&device.pending()).await;
        device.confirmed = answer.pushed().upto_no;
        assert_eq!(answer.outcome(before), Outcome::Applied, "the clock is {name}");
        assert_eq!(answer.code(after), "HELD_GRANT_ENDED", "the clock is {name}");
    }
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 3);
    let office = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    let listed = "{ heldItems(first: 9, filter: {reasonCode: {eq: \"HELD_GRANT_ENDED\"}, state: {eq: HELD}}) \
        { nodes { id content author { id } } } }";
    let items = office.ask(listed, json!({})).await["heldItems"]["nodes"].take();
    let items = items.as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["author"]["id"], &items[0]["content"]["status"]),
        (3, &json!(ANA), &json!("IN_PROGRESS"))
    );
    let approved = office.perform("approveHeld", "heldItem { state }", json!({ "heldItemId": items[0]["id"] })).await;
    assert_eq!(approved["heldItem"]["state"], "APPLIED", "{approved}");
    let back = json!({ "heldItemId": items[1]["id"], "reason": "Nu mai lucrați acolo" });
    let returned = office.perform("returnHeld", "heldItem { state }", back).await;
    assert_eq!(returned["heldItem"]["state"], "RETURNED", "{returned}");
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 4, "the one that was approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_visit_made_after_a_grant_ended_come_with_it() {
    let (server, mut device) = started().await;
    let sql = format!("UPDATE scope_grant SET valid_until_at = '{}' WHERE user_id = '{ANA}'", now().plus_ms(-60_000));
    psql(&server.app.office, &sql).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    device.create(&sample::finding(&visit, "după predare"));
    let answer = device.send(&device.pending()).await;
    assert_eq!((answer.code(1), answer.code(2)), ("HELD_GRANT_ENDED", "HELD_PARENT_MISSING"));
    let office = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    let listed = "{ heldItems(first: 9, filter: {reasonCode: {eq: \"HELD_GRANT_ENDED\"}}) { nodes { id } } }";
    let item = office.ask(listed, json!({})).await["heldItems"]["nodes"][0]["id"].take();
    office.perform("approveHeld", "heldItem { state }", json!({ "heldItemId": item })).await;
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM finding").await, 1);
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM held_item WHERE state = 'HELD'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_work_before_a_grant_ended_is_accepted_although_its_request_was_long_under_way() {
    let (server, mut device) = started().await;
    let ended = now().plus_ms(-60_000);
    let sql = format!("UPDATE scope_grant SET valid_until_at = '{ended}' WHERE user_id = '{ANA}'");
    psql(&server.app.office, &sql).await;
    // As if the request had been written 90 seconds ago: its clock seems that much behind.
    device.clock_ahead_ms = -90_000;
    let before = captured(&mut device, -25_000);
    let after = captured(&mut device, -45_000);
    let answer = device.send(&device.pending()).await;
    assert_eq!(answer.outcome(before), Outcome::Applied);
    assert_eq!(answer.code(after), "HELD_GRANT_ENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_claims_to_come_from_the_future_is_judged_as_of_now() {
    let (server, mut device) = started().await;
    let sql = format!(
        "UPDATE scope_grant SET valid_from_at = '{}' WHERE id = '{}'",
        now().plus_ms(3_600_000),
        programme::grant(ANA, ENTERPRISES[0]).id
    );
    psql(&server.app.office, &sql).await;
    let no = captured(&mut device, -7_200_000);
    assert_eq!(device.send(&device.pending()).await.code(no), "REJECT_SCOPE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_serves_its_own_device_only_and_other_bodies_are_refused() {
    let (server, device) = started().await;
    let mut hello = device.hello();
    hello.device = Device::enrol(server.address, RADU).await.id;
    assert_eq!(device.exchange(hello, &[]).await.status, Some(403));
    let mut hello = device.hello();
    hello.protocol = 99;
    assert_eq!(device.exchange(hello, &[]).await.status, Some(400));
    let mut many = device.clone();
    (0..2_001).for_each(|_| many.outbox.push(vec![0]));
    assert_eq!(many.send(&[many.push(1, 2_001)]).await.status, Some(413));
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM mutation").await, 0);
}
