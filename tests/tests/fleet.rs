//! The office sees its devices: what is still on them, when they were last in touch, and which need a call.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use server::config::Config;
use server::world::FixedWorld;
use sync_protocol::wire::{Hello, OutboxSummary};
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, PASSWORD, RADU, email};
use tests::state::{number, psql};
use tests::{ACCESS_TOKEN_TTL_S, Device, Office, TestServer, now, sample};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The server on a clock that the test moves, with tokens that outlast it.
async fn started() -> (TestServer, Arc<FixedWorld>) {
    let mut config = Config::default();
    config.auth.access_token_ttl_s = ACCESS_TOKEN_TTL_S;
    let world = Arc::new(FixedWorld::at(now()));
    let server = TestServer::with(config, world.clone()).await;
    programme::load(&server.app).await;
    (server, world)
}

async fn office(server: &TestServer, user: sync_protocol::id::UserId) -> Office {
    Office::sign_in(server.address, &email(user), PASSWORD).await
}

/// Greets the server as a device that has work waiting which it does not get rid of.
async fn greet(device: &Device, pending: u32, oldest_ms: u64) {
    let outbox = OutboxSummary { pending, oldest_ms, rejected: 2, ..OutboxSummary::default() };
    let answer = device.exchange(Hello { outbox, ..device.hello() }, &[]).await;
    assert_eq!(answer.status, Some(200));
}

async fn device(office: &Office, id: impl std::fmt::Display) -> Value {
    let document = "query ($id: ID!) { device(id: $id) { state pendingCount oldestPendingAt rejectedCount heldCount \
        lastContactAt lastCompleteSyncAt clockOffsetSeconds isClockOff stalledAt app protocolVersion user { id } } }";
    office.ask(document, json!({"id": id.to_string()})).await["device"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_office_sees_what_is_still_on_a_tablet_and_when_it_was_last_in_touch() {
    let (server, world) = started().await;
    let carmen = office(&server, CARMEN).await;
    let mut tablet = Device::enrol(server.address, ANA).await;
    assert_eq!(device(&carmen, tablet.id).await["state"], "NEVER_SYNCED");
    tablet.sync().await;
    let fresh = device(&carmen, tablet.id).await;
    assert_eq!((&fresh["state"], &fresh["pendingCount"]), (&json!("UP_TO_DATE"), &json!(0)));
    assert_eq!(fresh["lastContactAt"], fresh["lastCompleteSyncAt"]);
    assert_eq!((&fresh["app"], &fresh["protocolVersion"]), (&json!("tests"), &json!(1)));
    assert_eq!(fresh["user"]["id"], json!(ANA));

    world.advance_ms(2 * DAY_MS);
    greet(&tablet, 14, 5 * HOUR_MS as u64).await;
    let waiting = device(&carmen, tablet.id).await;
    assert_eq!((&waiting["state"], &waiting["pendingCount"]), (&json!("PENDING"), &json!(14)));
    assert_eq!(waiting["rejectedCount"], 2);
    let at = |value: &Value| value.as_str().unwrap().parse::<sync_protocol::time::Timestamp>().unwrap().0;
    assert_eq!(at(&waiting["lastContactAt"]) - at(&waiting["oldestPendingAt"]), 5 * HOUR_MS);
    assert!(at(&waiting["lastContactAt"]) - at(&fresh["lastContactAt"]) >= 2 * DAY_MS);
    // The server's clock went ahead, the device's did not.
    assert!((waiting["clockOffsetSeconds"].as_i64().unwrap() - 2 * 86_400).abs() < 60, "{waiting}");
    assert_eq!(waiting["isClockOff"], true);

    let visit = sample::visit(ENTERPRISES[0], ANA);
    tablet.create(&visit);
    tablet.create(&sample::finding(&visit, "ușa"));
    let outbox = OutboxSummary { pending: 2, oldest_ms: 60_000, ..OutboxSummary::default() };
    tablet.exchange(Hello { outbox, ..tablet.hello() }, &tablet.pending()).await;
    let pushed = device(&carmen, tablet.id).await;
    assert_eq!(
        (&pushed["state"], &pushed["pendingCount"]),
        (&json!("UP_TO_DATE"), &json!(0)),
        "what was taken waits no more"
    );
    assert_eq!(pushed["oldestPendingAt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_without_news_counts_as_contact_and_writes_nothing() {
    let (server, world) = started().await;
    let carmen = office(&server, CARMEN).await;
    let mut tablet = Device::enrol(server.address, ANA).await;
    tablet.sync().await;
    let before = device(&carmen, tablet.id).await;
    let written = "SELECT (n_tup_ins + n_tup_upd)::bigint FROM pg_stat_user_tables WHERE relname = 'device_contact'";
    let version = "SELECT xmin::text::bigint FROM device_contact";
    let row = number(&server.app.office, version).await;
    for _ in 0..5 {
        world.advance_ms(60_000);
        tablet.sync().await;
    }
    assert_eq!(number(&server.app.office, version).await, row, "an idle sync wrote");
    assert!(number(&server.app.office, written).await <= 2);
    let after = device(&carmen, tablet.id).await;
    assert_ne!(after["lastContactAt"], before["lastContactAt"]);
    assert_ne!(number(&server.app.office, version).await, row, "the look of the office wrote it");
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_written_without_anyone_looking_and_when_the_server_stops() {
    let (server, _) = started().await;
    let mut tablet = Device::enrol(server.address, ANA).await;
    tablet.sync().await;
    let contacts = "SELECT count(*) FROM device_contact";
    assert_eq!(number(&server.app.office, contacts).await, 0, "this test would not notice a write");
    server.app.stopping.cancel();
    for _ in 0..100 {
        if number(&server.app.office, contacts).await == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server stopped without writing what its devices said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_in_touch_and_does_not_get_on_is_stalled_until_it_does() {
    let (server, world) = started().await;
    let carmen = office(&server, CARMEN).await;
    let mut tablet = Device::enrol(server.address, ANA).await;
    tablet.sync().await;
    greet(&tablet, 3, 1_000).await;
    for _ in 0..2 {
        world.advance_ms(25 * 60_000);
        greet(&tablet, 3, 1_000).await;
    }
    assert_eq!(device(&carmen, tablet.id).await["state"], "PENDING", "50 minutes are not yet a stall");
    world.advance_ms(25 * 60_000);
    greet(&tablet, 3, 1_000).await;
    let stalled = device(&carmen, tablet.id).await;
    assert_eq!((&stalled["state"], &stalled["stalledAt"]), (&json!("STALLED"), &stalled["lastContactAt"]));
    assert_eq!(server.app.metrics.sync.stalls.get(), 1);
    world.advance_ms(HOUR_MS);
    greet(&tablet, 3, 1_000).await;
    assert_eq!(device(&carmen, tablet.id).await["state"], "STALLED");
    assert_eq!(server.app.metrics.sync.stalls.get(), 1, "a stall is counted once");
    tablet.create(&sample::visit(ENTERPRISES[0], ANA));
    tablet.sync().await;
    assert_eq!(device(&carmen, tablet.id).await["stalledAt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_a_device_reports_reaches_the_office_and_is_counted_once() {
    let (server, _) = started().await;
    let carmen = office(&server, CARMEN).await;
    let tablet = Device::enrol(server.address, ANA).await;
    let outbox = OutboxSummary { salvaged: 9, lost: 1, ..OutboxSummary::default() };
    for _ in 0..3 {
        tablet.exchange(Hello { outbox, ..tablet.hello() }, &[]).await;
        let document = "query ($id: ID!) { device(id: $id) { salvagedRows lostRows } syncHealth { lostRows } }";
        let seen = carmen.ask(document, json!({"id": tablet.id.to_string()})).await;
        assert_eq!(seen["device"], json!({"salvagedRows": 9, "lostRows": 1}));
        assert_eq!(seen["syncHealth"]["lostRows"], "1");
    }
    let counted = |result| server.app.metrics.sync.salvaged_rows.with_label_values(&[result]).get();
    assert_eq!((counted("saved"), counted("lost")), (9, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn mentors_see_their_own_devices_and_the_office_sees_all_in_pages() {
    let (server, _) = started().await;
    let mut anas = Vec::new();
    for _ in 0..3 {
        anas.push(Device::enrol(server.address, ANA).await);
    }
    let radus = Device::enrol(server.address, RADU).await;
    for (n, device) in anas.iter().enumerate() {
        greet(device, n as u32, 1_000).await;
    }
    let (carmen, ana) = (office(&server, CARMEN).await, office(&server, ANA).await);
    let all = "{ devices { totalCount nodes { id userId } } syncHealth { devices } }";
    assert_eq!(carmen.ask(all, json!({})).await["devices"]["totalCount"], 4);
    let own = ana.ask(all, json!({})).await;
    assert_eq!((&own["devices"]["totalCount"], &own["syncHealth"]["devices"]), (&json!(3), &json!(3)));
    assert!(own["devices"]["nodes"].as_array().unwrap().iter().all(|node| node["userId"] == json!(ANA)));
    assert_eq!(device(&ana, radus.id).await, Value::Null, "what is not to be seen is not there");

    let page = "query ($after: String) { devices(first: 2, after: $after, filter: {userId: {eq: \"USER\"}}, \
        orderBy: [{field: PENDING_COUNT, direction: DESC}]) \
        { nodes { id pendingCount } pageInfo { hasNextPage endCursor } } }";
    let page = page.replace("USER", &ANA.0.to_string());
    let first = carmen.ask(&page, json!({})).await["devices"].take();
    let counts =
        |page: &Value| page["nodes"].as_array().unwrap().iter().map(|n| n["pendingCount"].clone()).collect::<Vec<_>>();
    assert_eq!((counts(&first), &first["pageInfo"]["hasNextPage"]), (vec![json!(2), json!(1)], &json!(true)));
    let second = carmen.ask(&page, json!({"after": first["pageInfo"]["endCursor"]})).await["devices"].take();
    assert_eq!((counts(&second), &second["pageInfo"]["hasNextPage"]), (vec![json!(0)], &json!(false)));
    let filtered = "{ devices(filter: {pendingCount: {gte: 1}, state: {in: [PENDING, STALLED]}}) { totalCount } }";
    assert_eq!(carmen.ask(filtered, json!({})).await["devices"]["totalCount"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_silent_for_too_long_is_expired_until_it_returns() {
    let (server, world) = started().await;
    let mut tablet = Device::enrol(server.address, ANA).await;
    tablet.sync().await;
    let document = "{ syncHealth { devices expired silent upToDate } }";
    for (days, state, health) in [(180, "SILENT", [1, 0, 1, 0]), (1, "EXPIRED", [1, 1, 0, 0])] {
        world.advance_ms(days * DAY_MS);
        let carmen = office(&server, CARMEN).await;
        assert_eq!(device(&carmen, tablet.id).await["state"], state);
        let figures = carmen.ask(document, json!({})).await["syncHealth"].take();
        let names = ["devices", "expired", "silent", "upToDate"];
        assert_eq!(names.map(|name| figures[name].as_i64().unwrap()), health, "{state}");
    }
    // Its token has lapsed, and its person signs in again.
    tablet.enrol_again().await;
    tablet.sync().await;
    let carmen = office(&server, CARMEN).await;
    assert_eq!(device(&carmen, tablet.id).await["state"], "UP_TO_DATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_the_fleet_adds_up_and_takes_few_statements() {
    let (server, world) = started().await;
    let (mut silent, mut done) = (Device::enrol(server.address, ANA).await, Device::enrol(server.address, RADU).await);
    silent.sync().await;
    world.advance_ms(8 * DAY_MS);
    done.sync().await;
    let waiting = Device::enrol(server.address, RADU).await;
    greet(&waiting, 5, 3 * DAY_MS as u64).await;
    let _never = Device::enrol(server.address, CARMEN).await;
    let carmen = office(&server, CARMEN).await;
    let document = "{ syncHealth { devices blocked silent neverSynced stalled pending upToDate clockOff oldestPendingAt \
        pendingChanges rejectedChanges heldChanges openConflicts lostRows devicesWithMismatches lastContactAt \
        oldApplications applications { app devices isOld } } }";
    carmen.ask(document, json!({})).await;
    let statements = server.app.office.statements();
    let health = carmen.ask(document, json!({})).await["syncHealth"].take();
    assert!(server.app.office.statements() - statements <= 3, "the viewer, the states, the applications");
    let states = ["blocked", "silent", "neverSynced", "stalled", "pending", "upToDate"];
    assert_eq!(states.map(|state| health[state].as_i64().unwrap()), [0, 1, 1, 0, 1, 1]);
    assert_eq!(
        (&health["devices"], &health["pendingChanges"], &health["clockOff"]),
        (&json!(4), &json!("5"), &json!(2))
    );
    assert_eq!(
        health["applications"].as_array().unwrap().iter().map(|app| app["devices"].as_i64().unwrap()).sum::<i64>(),
        4
    );
    let patient = carmen.ask("{ syncHealth(silentAfterDays: 30) { silent } }", json!({})).await;
    assert_eq!(patient["syncHealth"]["silent"], 0);
}

const REVOKE: &str = "mutation ($device: ID!, $wipes: Boolean) { revokeDevice(input: {clientMutationId: \
    \"0190b0a0-0000-7000-8000-000000000001\", deviceId: $device, reason: \"Pierdută în autobuz\", wipes: $wipes}) { \
    __typename ... on RevokeDeviceSuccess { device { status state statusReason statusSetBy { id } } } \
    ... on UserError { code } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_gets_no_further_answer_and_no_row() {
    let (server, _) = started().await;
    let (carmen, ana) = (office(&server, CARMEN).await, office(&server, ANA).await);
    let mut lost = Device::enrol(server.address, RADU).await;
    lost.sync().await;
    let of_lost = json!({"device": lost.id.to_string()});
    // Its token is known to the server, and it waits for news.
    let mut waiting = lost.clone();
    waiting.wait_ms = 20_000;
    let waiting = tokio::spawn(async move { waiting.send(&[]).await });
    tokio::time::sleep(Duration::from_millis(300)).await;

    assert_eq!(ana.ask(REVOKE, of_lost.clone()).await["revokeDevice"]["code"], "NOT_PERMITTED");
    let done = carmen.ask(REVOKE, of_lost.clone()).await["revokeDevice"].take();
    let expected = json!({"status": "REVOKED", "state": "BLOCKED", "statusReason": "Pierdută în autobuz", "statusSetBy": {"id": CARMEN}});
    assert_eq!(done["device"], expected, "{done}");
    assert_eq!(carmen.ask(REVOKE, of_lost.clone()).await["revokeDevice"]["__typename"], "RevokeDeviceSuccess");

    psql(&server.app.office, "UPDATE enterprise SET name = name || '!'").await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.rows().len(), 0, "a request that waited before the revocation still got rows");
    assert_eq!(answer.faults().first().map(|fault| fault.code.as_str()), Some("UNAUTHENTICATED"));
    assert_eq!(lost.send(&[]).await.status, Some(401));
    lost.create(&sample::visit(ENTERPRISES[2], RADU));
    assert_eq!(lost.send(&lost.pending()).await.status, Some(401));
    assert_eq!(number(&server.app.office, "SELECT count(*) FROM visit").await, 0);

    let wipes = json!({"device": lost.id.to_string(), "wipes": true});
    assert_eq!(carmen.ask(REVOKE, wipes).await["revokeDevice"]["device"]["status"], "WIPE_REQUESTED");
    assert_eq!(carmen.ask(REVOKE, of_lost).await["revokeDevice"]["device"]["status"], "WIPE_REQUESTED", "a wipe stays");
    let nobody = json!({"device": "00000000-0000-0000-0000-000000000009"});
    assert_eq!(carmen.ask(REVOKE, nobody).await["revokeDevice"]["code"], "NOT_FOUND");
}
