//! People and phones that hang up at any moment: no connection of the database is lost or left in a transaction, nobody
//! holds a lock, memory does not grow, and what was taken meanwhile counts once.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use server::app::App;
use server::store::Db;
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, PASSWORD, email};
use tests::{Device, Office, TestServer, sample, state};
use tokio::time::{Instant, sleep, timeout};

const DEVICES: u64 = 4;
/// With those of the office, a thousand requests that are hung up on.
const ABORTED_PER_DEVICE: u64 = 200;
const ABORTED_BY_THE_OFFICE: u64 = 200;
/// What the memory may vary by.
const MOST_GROWTH_BYTES: u64 = 24 << 20;
const PAGE: &str =
    "{ enterprises(first: 50) { totalCount nodes { id name visits(last: 5) { nodes { id status } } } } }";

/// Records something more and hangs up while it is sent, so many times.
async fn phone_hangs_up(device: &mut Device, times: u64, seed: u64) {
    let (mut random, mut aborted) = (ChaCha8Rng::seed_from_u64(seed), 0);
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    let mut usual_us = usual_us(async || drop(device.send(&device.pending()).await)).await;
    while aborted < times {
        for n in 0..5 {
            device.create(&sample::finding(&visit, &format!("{seed}/{}/{n}", device.outbox.len())));
        }
        let started = Instant::now();
        match timeout(patience(&mut random, usual_us), device.send(&device.pending())).await {
            Err(_) => aborted += 1,
            Ok(answer) => {
                device.take(&answer.messages);
                usual_us = (usual_us + started.elapsed().as_micros() as u64) / 2;
            }
        }
    }
}

/// Asks for a page and hangs up, so many times.
async fn office_hangs_up(carmen: &Office, times: u64, seed: u64) {
    let (mut random, mut aborted) = (ChaCha8Rng::seed_from_u64(seed), 0);
    let usual_us = usual_us(async || drop(carmen.ask(PAGE, json!({})).await)).await;
    while aborted < times {
        aborted += u64::from(timeout(patience(&mut random, usual_us), carmen.ask(PAGE, json!({}))).await.is_err());
    }
}

/// Returns how long a request takes while others are under way.
async fn usual_us(request: impl AsyncFn()) -> u64 {
    let started = Instant::now();
    request().await;
    started.elapsed().as_micros() as u64
}

/// A little longer than a request takes, so that people also hang up while the answer comes.
fn patience(random: &mut ChaCha8Rng, usual_us: u64) -> Duration {
    Duration::from_micros(random.random_range(0..=usual_us * 5 / 4))
}

async fn hang_up_everywhere(devices: &mut [Device], carmen: &Office, share: u64, seed: u64) {
    let phones = devices.iter_mut().zip(seed * 100..);
    let phones = phones.map(|(device, seed)| phone_hangs_up(device, ABORTED_PER_DEVICE / share, seed));
    futures::join!(futures::future::join_all(phones), office_hangs_up(carmen, ABORTED_BY_THE_OFFICE / share, seed));
}

/// Waits until the server is done with what nobody waits for.
async fn settle(db: &Db) {
    const BUSY: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                        AND pid <> pg_backend_pid() AND state <> 'idle'";
    // Less than Postgres itself takes to end a transaction in which nothing happens.
    let until = Instant::now() + Duration::from_secs(10);
    while state::number(db, BUSY).await > 0 {
        assert!(Instant::now() < until, "a connection is busy, or idle in a transaction, although nobody waits");
        sleep(Duration::from_millis(50)).await;
    }
    const LOCKS: &str = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database \
                         WHERE d.datname = current_database() AND pid <> pg_backend_pid() AND locktype <> 'virtualxid'";
    assert_eq!(state::number(db, LOCKS).await, 0, "a lock is held");
}

/// Every connection of a pool can be had at the same time.
async fn assert_whole(pool: &Db, connections: usize) {
    let mut held = Vec::new();
    for at in 0..connections {
        held.push(pool.conn().await.unwrap_or_else(|error| panic!("{at} of {connections} are left: {error}")));
    }
}

async fn assert_no_connection_is_lost(app: &App) {
    let sizes = &app.config.database;
    assert_whole(&app.sync, sizes.sync_connections).await;
    assert_whole(&app.sign_ins, sizes.sign_in_connections).await;
    assert_whole(&app.office, sizes.interactive_connections).await;
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).map_or(0, |pages| pages * 4_096)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_that_are_hung_up_on_leave_nothing_behind() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let carmen = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        let mut device = Device::enrol(server.address, ANA).await;
        device.sync().await;
        devices.push(device);
    }
    let db = server.db.db();
    hang_up_everywhere(&mut devices, &carmen, 2, 1).await;
    settle(&db).await;
    let before = resident_bytes();
    hang_up_everywhere(&mut devices, &carmen, 2, 2).await;
    settle(&db).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < MOST_GROWTH_BYTES, "{grown} bytes more after the second half");
    assert_no_connection_is_lost(&server.app).await;
    assert_eq!(server.app.metrics.sync.queue_requests.get(), 0, "somebody who left is still in the queue");
    let taken = state::number(&db, "SELECT count(*) FROM mutation").await;
    assert!(taken > 0, "nobody hung up late: this test would not notice a push that counts twice");
    for device in &mut devices {
        device.sync().await;
        assert_eq!(device.confirmed, device.outbox.len() as u64);
    }
    let sent: usize = devices.iter().map(|device| device.outbox.len()).sum();
    // Each half began with a visit.
    let findings = (sent as u64 - 2 * DEVICES) as i64;
    assert_eq!(state::number(&db, "SELECT count(*) FROM mutation WHERE outcome = 'A'").await, sent as i64);
    assert_eq!(state::number(&db, "SELECT count(DISTINCT text) FROM finding").await, findings);
    assert_eq!(state::number(&db, "SELECT count(*) FROM finding").await, findings);
    assert_eq!(carmen.ask(PAGE, json!({})).await["enterprises"]["totalCount"], 3);
}

/// How often everybody hangs up at once.
const ROUNDS: usize = 3;

/// Plans a visit.
async fn plan_visit(carmen: Office) -> serde_json::Value {
    let input = json!({ "enterpriseId": ENTERPRISES[0], "mentorId": ANA, "kind": "ROUTINE", "mode": "ON_SITE",
        "plannedStartAt": "2026-12-01T08:00:00Z" });
    carmen.perform("planVisit", "visit { status }", input).await
}

/// Waits until so many transactions stand still, because someone else holds what they need.
async fn wait_for_stopped(db: &Db, transactions: usize) {
    const STOPPED: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                           AND wait_event_type = 'Lock' AND state = 'active'";
    let until = Instant::now() + Duration::from_secs(4);
    while state::number(db, STOPPED).await < transactions as i64 {
        assert!(Instant::now() < until, "the transactions do not stand still: nobody hangs up within one");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_hang_up_within_a_transaction_leave_none_open() {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let carmen = Office::sign_in(server.address, &email(CARMEN), PASSWORD).await;
    let (db, connections) = (server.db.db(), server.app.config.database.interactive_connections);
    for _ in 0..ROUNDS {
        let mut blocker = db.conn().await.unwrap().write_tx().await.unwrap();
        blocker.batch("LOCK TABLE visit IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let asking: Vec<_> = (0..connections).map(|_| tokio::spawn(plan_visit(carmen.clone()))).collect();
        // One of them holds the programme's lock, and the others wait for that one or for the table.
        wait_for_stopped(&db, connections).await;
        asking.iter().for_each(tokio::task::JoinHandle::abort);
        for asked in asking {
            assert!(asked.await.is_err_and(|error| error.is_cancelled()), "it was answered");
        }
        // The server has to hear of it before the transactions go on.
        sleep(Duration::from_millis(200)).await;
        blocker.rollback().await.unwrap();
        settle(&db).await;
        assert_no_connection_is_lost(&server.app).await;
        assert_eq!(state::number(&db, "SELECT count(*) FROM visit").await, 0, "work that nobody heard of stayed");
    }
    assert_eq!(plan_visit(carmen).await["visit"]["status"], "PLANNED");
}
