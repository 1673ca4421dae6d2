//! The always-on signals: each thing that should be noticed moves its measurement, and nothing else does.

use sync_protocol::cursor::Cursor;
use sync_protocol::mutation::Mutation;
use sync_protocol::wire::Hello;
use tests::programme::{self, ANA, ENTERPRISES};
use tests::{Device, TestServer, get, sample};
use uuid::Uuid;

async fn started() -> (TestServer, Device) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    (server, device)
}

/// Returns the value of a series as `/metrics` tells it, 0 for one that has not begun.
fn value(server: &TestServer, series: &str) -> f64 {
    let text = get(server.address, "/metrics").1;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_forks_and_repeats_are_counted() {
    let (server, mut device) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    device.create(&sample::finding(&visit, "unu"));
    device.create(&sample::finding(&visit, "doi"));
    device.send(&[device.push(2, 3)]).await;
    assert_eq!(value(&server, "sync_push_gaps_total"), 1.0);
    device.send(&[device.push(1, 2)]).await;
    assert_eq!(value(&server, "sync_repeated_mutations_total"), 0.0);
    device.send(&[device.push(1, 3)]).await;
    assert_eq!(value(&server, "sync_repeated_mutations_total"), 2.0);
    let other = Mutation::decode(&device.outbox[2]).unwrap();
    device.outbox[2] = Mutation { uptime_ms: 77, ..other }.encode();
    device.send(&[device.push(3, 3)]).await;
    assert_eq!((value(&server, "sync_forks_total"), value(&server, "sync_push_gaps_total")), (1.0, 1.0));
    assert!(value(&server, "sync_seal_seconds_count") >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_simply_apply_is_counted_by_its_code() {
    let (server, mut device) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&sample::finding(&visit, "înainte de vizită"));
    device.sync().await;
    let held = "sync_results_total{code=\"HELD_PARENT_MISSING\",outcome=\"held\"}";
    assert_eq!(value(&server, held), 1.0);
    device.create(&sample::visit(ENTERPRISES[2], ANA));
    let answer = device.sync().await;
    let code = answer.code(2).to_owned();
    let rejected = format!("sync_results_total{{code=\"{code}\",outcome=\"rejected\"}}");
    assert_eq!((code.as_str(), value(&server, &rejected)), ("REJECT_SCOPE", 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_clocks_and_devices_that_start_over_are_counted() {
    let (server, mut device) = started().await;
    assert_eq!(value(&server, "sync_refetches_total{reason=\"first\"}"), 1.0);
    let (within, all) =
        ("sync_clock_offset_seconds_bucket{le=\"86400\"}", "sync_clock_offset_seconds_bucket{le=\"2592000\"}");
    let right = value(&server, within);
    device.clock_ahead_ms = 3 * 86_400_000;
    device.send(&[]).await;
    assert_eq!((value(&server, within), value(&server, all)), (right, right + 1.0));
    let cursor = Cursor { epoch: Uuid::new_v4(), ..device.cache.cursor };
    device.exchange(Hello { cursor, ..device.hello() }, &[]).await;
    assert_eq!(value(&server, "sync_refetches_total{reason=\"other_history\"}"), 1.0);
    assert_eq!(value(&server, "sync_failures_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_did_not_come_in_time_is_counted_and_the_device_is_told_when_to_come_back() {
    let (server, device) = started().await;
    let mut held = Vec::new();
    for _ in 0..server.app.config.database.sync_connections {
        held.push(server.app.sync.conn().await.unwrap());
    }
    let answer = device.send(&[]).await;
    assert_eq!(answer.faults().first().map(|fault| fault.code.as_str()), Some("UNAVAILABLE"));
    assert!(answer.end().is_some_and(|end| end.retry_after_ms > 0 && !end.more));
    drop(held);
    assert_eq!(value(&server, "database_pool_timeouts_total{pool=\"sync\"}"), 1.0);
    assert_eq!(value(&server, "sync_failures_total"), 1.0);
    assert_eq!(value(&server, "sync_refusals_total{reason=\"trouble\"}"), 1.0);
}
