//! A server that starts, serves and stops.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::{ServerProcess, TestDb, TestServer, data_folder, get};

const READY: &str = "/health/ready";

fn on(data: &Path) -> Command {
    let mut command = ServerProcess::command(&["serve"]);
    command.env("TEREN__DATABASE__DATA_DIR", data);
    command
}

#[test]
fn starts_from_nothing_stops_cleanly_and_starts_again() {
    let data = data_folder();
    for _ in 0..2 {
        let server = ServerProcess::start(&mut on(data.path()));
        assert_eq!(server.get(READY).0, 200);
        assert!(data.path().join("pg/postmaster.pid").exists());
        server.signal(libc::SIGINT);
        let ended = server.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!data.path().join("pg/postmaster.pid").exists(), "Postgres still runs");
    }
}

#[test]
fn a_killed_server_leaves_no_postgres_in_the_way_of_the_next() {
    let data = data_folder();
    let server = ServerProcess::start(&mut on(data.path()));
    server.signal(libc::SIGKILL);
    assert_eq!(server.wait().code, None);
    let next = ServerProcess::start(&mut on(data.path()));
    assert_eq!(next.get(READY).0, 200);
    next.signal(libc::SIGTERM);
    assert_eq!(next.wait().code, Some(0));
}

/// Opens a connection whose request never ends.
fn open_request(server: &ServerProcess) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"POST /graphql HTTP/1.1\r\nHost: test\r\n").unwrap();
    // Long enough for the server to have taken the connection.
    assert_eq!(server.get("/health/live").0, 200);
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_does_not_hold_up_the_stop() {
    let db = TestDb::new().await;
    let mut command = ServerProcess::command(&["serve"]);
    command.env("DATABASE_URL", &db.url).env("TEREN__HTTP__DRAIN_TIMEOUT_MS", "300");
    let server = ServerProcess::start(&mut command);
    let _open = open_request(&server);
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_ends_at_once() {
    let db = TestDb::new().await;
    let mut command = ServerProcess::command(&["serve"]);
    command.env("DATABASE_URL", &db.url).env("TEREN__HTTP__DRAIN_TIMEOUT_MS", "600000");
    let server = ServerProcess::start(&mut command);
    let _open = open_request(&server);
    server.signal(libc::SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    server.signal(libc::SIGINT);
    assert_eq!(server.wait().code, Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_nobody_reads_still_answers_and_stops() {
    let db = TestDb::new().await;
    let mut server = ServerProcess::start(ServerProcess::command(&["serve"]).env("DATABASE_URL", &db.url));
    server.close_log();
    assert_eq!(server.get("/nowhere").0, 404);
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_its_request_and_errors_have_one_shape() {
    let db = TestDb::new().await;
    let server = ServerProcess::start(ServerProcess::command(&["serve"]).env("DATABASE_URL", &db.url));
    let (status, answer) = server.get("/nowhere");
    assert_eq!(status, 404);
    for part in ["x-request-id: ", "nosniff", "no-store", r#""code":"NOT_FOUND""#, r#""requestId":""#] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    let (_, answer) = server.get("/graphql/nowhere");
    assert!(answer.contains(r#"{"errors":[{"extensions":{"code":"NOT_FOUND""#), "{answer}");
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.contains(r#"route="unmatched",status="404"} 2"#), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_database_is_gone_is_live_but_not_ready() {
    let db = TestDb::new().await;
    let server = ServerProcess::start(ServerProcess::command(&["serve"]).env("DATABASE_URL", &db.url));
    assert_eq!(server.get(READY).0, 200);
    drop(db);
    assert_eq!(server.get(READY).0, 503);
    assert_eq!(server.get("/health/live").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lacks_a_migration_is_not_ready() {
    let server = TestServer::new().await;
    assert_eq!(get(server.address, READY).0, 200);
    let forget = "DELETE FROM __diesel_schema_migrations";
    server.db.db().conn().await.unwrap().batch(forget).await.unwrap();
    let (status, answer) = get(server.address, READY);
    assert_eq!(status, 503);
    assert!(answer.contains("a migration is missing"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_test_has_a_database_of_its_own() {
    let (one, other) = (TestDb::new().await, TestDb::new().await);
    one.db().conn().await.unwrap().batch("CREATE TABLE mine (id int)").await.unwrap();
    assert!(other.db().conn().await.unwrap().batch("SELECT * FROM mine").await.is_err());
}

#[test]
fn the_settings_in_force_are_printed_without_secrets() {
    let mut command = ServerProcess::command(&["print-config"]);
    command.env("DATABASE_URL", "postgres://me:hunter2@there/db").env("TEREN__GRAPHQL__MAX_DEPTH", "5");
    let ended = ServerProcess::run(&mut command);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("max_depth = 5") && ended.stdout.contains("***"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("hunter2"), "{}", ended.stdout);
}
