//! The door under load: a herd is let in bit by bit, the office never waits behind it, and nothing is read that was
//! not set aside for.

use std::time::{Duration, Instant};

use serde_json::json;
use server::config::Config;
use server::store::Sql;
use sync_protocol::wire::MEDIA_TYPE;
use tests::herd::{gather, return_at_once};
use tests::programme::{self, ANA, CARMEN, PASSWORD, email};
use tests::state::number;
use tests::{Device, Office, TestServer, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DEVICES: usize = 200;
const EDITS: usize = 20;
const PAGE: &str =
    "{ enterprises(first: 50) { totalCount nodes { id name visits(last: 5) { nodes { id status } } } } }";

/// A server whose queue is too short for the herd.
async fn started() -> TestServer {
    let mut config = Config::default();
    config.sync.queued_requests = 24;
    let server = TestServer::with(config, std::sync::Arc::new(server::world::SystemWorld)).await;
    programme::load(&server.app).await;
    server
}

async fn carmen(server: &TestServer) -> Office {
    Office::sign_in(server.address, &email(CARMEN), PASSWORD).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_comes_back_and_every_edit_arrives_once_while_the_office_works() {
    let server = started().await;
    let herd = gather(&server.app.reports, 0, DEVICES, EDITS).await;
    let carmen = carmen(&server).await;
    let returning = tokio::spawn(return_at_once(server.address, herd, None));
    let mut pages = 0;
    while !returning.is_finished() {
        assert_eq!(carmen.ask(PAGE, json!({})).await["enterprises"]["totalCount"], 3 + DEVICES as i64);
        pages += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let returned = returning.await.unwrap();
    assert_eq!((returned.devices, returned.broken), (DEVICES, 0));
    assert!(returned.refused > 0, "the queue was never full: this test would not notice a herd that is not spread");
    assert!(returned.most_refused <= 12, "a device was told to come back {} times", returned.most_refused);
    assert!(pages > 5, "the office got {pages} pages while the herd came back");
    let office = &server.app.office;
    assert_eq!(number(office, "SELECT count(*) FROM mutation WHERE outcome = 'A'").await, (DEVICES * EDITS) as i64);
    assert_eq!(number(office, "SELECT count(*) FROM finding").await, (DEVICES * EDITS) as i64);
    assert_eq!(number(office, "SELECT count(DISTINCT device_id) FROM device_state").await, DEVICES as i64);
    let counted = &server.app.metrics.sync;
    let told =
        ["queue", "patience", "sign_in", "trouble"].map(|reason| counted.refusals.with_label_values(&[reason]).get());
    assert_eq!(told.iter().sum::<u64>(), returned.refused, "{told:?}");
    assert_eq!(counted.queue_requests.get(), 0, "nobody is left in the queue");
    let health = carmen.ask("{ syncHealth { upToDate } }", json!({})).await;
    assert_eq!(health["syncHealth"]["upToDate"], DEVICES as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_office_is_answered_while_phones_hold_every_connection_of_theirs() {
    let server = started().await;
    let carmen = carmen(&server).await;
    let mut phones = Vec::new();
    for _ in 0..4 {
        phones.push(Device::enrol(server.address, ANA).await);
    }
    let mut held = Vec::new();
    for _ in 0..server.app.config.database.sync_connections {
        held.push(server.app.sync.conn().await.unwrap());
    }
    for _ in 0..server.app.config.database.sign_in_connections {
        held.push(server.app.sign_ins.conn().await.unwrap());
    }
    let waiting: Vec<_> = phones.into_iter().map(|phone| tokio::spawn(async move { phone.send(&[]).await })).collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(waiting.iter().all(|phone| !phone.is_finished()), "the phones do not wait: this test would not notice");
    for _ in 0..10 {
        assert_eq!(carmen.ask(PAGE, json!({})).await["enterprises"]["totalCount"], 3);
    }
    // A person who signs in anew is not behind the phones either.
    self::carmen(&server).await.ask("{ viewer { role } }", json!({})).await;
    drop(held);
    for phone in waiting {
        let answer = phone.await.unwrap();
        assert!(answer.status == Some(200) || answer.retry_after_s.is_some(), "{answer:?}");
    }
    let timeouts = server.app.metrics.sync.pool_timeouts.with_label_values(&["office"]).get();
    assert_eq!(timeouts, 0, "someone in the office waited in vain for a connection");
}

/// Sends the head of a request and what there is of its body, and returns the status line of the answer.
async fn raw(server: &TestServer, token: &str, length: Option<usize>, body: &[u8]) -> String {
    let length = length.map_or("transfer-encoding: chunked".to_owned(), |bytes| format!("content-length: {bytes}"));
    let head = format!(
        "POST /sync/v1 HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: {MEDIA_TYPE}\r\n{length}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

async fn token(server: &TestServer) -> String {
    Device::enrol(server.address, ANA).await.token().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_refused_by_its_announcement_and_given_up_when_it_does_not_come() {
    let mut config = Config::default();
    config.sync.body_idle_timeout_ms = 300;
    config.sync.max_bodies_bytes = config.sync.max_request_bytes;
    let server = TestServer::with(config, std::sync::Arc::new(server::world::SystemWorld)).await;
    programme::load(&server.app).await;
    let token = token(&server).await;
    // Not a byte of these bodies is sent.
    let started = Instant::now();
    assert!(raw(&server, &token, Some(17_000_000), b"").await.contains(" 413 "));
    assert!(raw(&server, "unknown", Some(17_000_000), b"").await.contains(" 413 "), "before anyone is looked up");
    assert!(started.elapsed() < Duration::from_millis(250), "it was waited for");
    assert!(raw(&server, &token, Some(100), b"half").await.contains(" 408 "));
    assert!(raw(&server, &token, None, b"4\r\nhalf\r\n").await.contains(" 408 "));
    // One announced body takes all the memory there is: the next is told to come back.
    let (first, second) = tokio::join!(raw(&server, &token, Some(16_777_216), b"slow"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        raw(&server, &token, Some(16_777_216), b"").await
    });
    assert!(first.contains(" 408 ") && second.contains(" 503 "), "{first} / {second}");
    let refusals = |reason| server.app.metrics.sync.refusals.with_label_values(&[reason]).get();
    assert_eq!((refusals("slow_body"), refusals("memory")), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_unpack_to_more_than_allowed_are_refused_before_they_are_all_unpacked() {
    let server = started().await;
    let token = token(&server).await;
    let mut body = Vec::new();
    // Skippable frames of zeros: 40 of 1 MiB each, in a few kilobytes.
    for _ in 0..40 {
        sync_protocol::frame::write(&mut body, 0x80, &vec![0; 1 << 20]);
    }
    assert!(body.len() < 100_000, "{} bytes", body.len());
    assert!(raw(&server, &token, Some(body.len()), &body).await.contains(" 413 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_is_scraped() {
    let server = started().await;
    let mut device = Device::enrol(server.address, ANA).await;
    device.sync().await;
    let text = get(server.address, "/metrics").1;
    for metric in [
        "sync_queue_wait_seconds_count",
        "sync_seal_seconds_count",
        "database_pool_wait_seconds_count{pool=\"sync\"}",
        "database_pool_wait_seconds_count{pool=\"sign_ins\"}",
        "sync_clock_offset_seconds_count 1",
        "sync_refetches_total{reason=\"first\"} 1",
    ] {
        assert!(text.contains(metric), "{metric} is not in\n{text}");
    }
    // The statement of the seal is measured where it is sent.
    let conn = &mut server.app.office.conn().await.unwrap();
    assert!(conn.query_opt(Sql::new("SELECT 1")).await.unwrap().is_some());
}
