//! Each way in which a start can fail: one clear message, its own exit code, no trace of a panic.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;

use server::postgres::{Durability, Lifetime, PrivatePostgres, Settings};
use tests::{Ended, ServerProcess, TestDb, data_folder};

fn assert_fails(command: &mut Command, code: i32, parts: &[&str]) -> Ended {
    let ended = ServerProcess::run(command);
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "`{part}` in: {}", ended.stderr);
    }
    for leak in ["panicked", "backtrace", "hunter2"] {
        assert!(!ended.stderr.contains(leak), "`{leak}` in: {}", ended.stderr);
    }
    ended
}

fn serve_on(url: &str) -> Command {
    let mut command = ServerProcess::command(&["serve"]);
    command.env("DATABASE_URL", url);
    command
}

#[test]
fn a_wrong_command_line() {
    let ended = ServerProcess::run(&mut ServerProcess::command(&["serve", "--lisen", "x"]));
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--listen"), "{}", ended.stderr);
}

#[test]
fn an_unknown_setting_in_a_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[sync]\npage_row = 5\n").unwrap();
    let path = file.path().to_str().unwrap();
    assert_fails(&mut ServerProcess::command(&["serve", "--config", path]), 3, &["page_row", "page_rows", path]);
}

#[test]
fn a_settings_file_that_is_not_there() {
    assert_fails(&mut ServerProcess::command(&["--config", "/nowhere.toml"]), 3, &["/nowhere.toml"]);
}

#[test]
fn a_wrong_setting_in_the_environment() {
    let mut command = ServerProcess::command(&[]);
    assert_fails(command.env("TEREN__SYNC__PAGE_ROWS", "many"), 3, &["sync.page_rows", "TEREN__"]);
    let mut command = ServerProcess::command(&[]);
    assert_fails(command.env("TEREN__LOG__FILTER", "a=b=c"), 3, &["log.filter"]);
}

#[test]
fn production_in_the_open_without_encryption() {
    let mut command = ServerProcess::command(&["serve", "--listen", "0.0.0.0:0"]);
    assert_fails(command.env("TEREN__ENVIRONMENT", "production"), 3, &["behind_tls_proxy", "127.0.0.1"]);
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = format!("port {} is taken", taken.local_addr().unwrap().port());
    assert_fails(&mut ServerProcess::command(&["serve", "--listen", &address]), 4, &[&port, "--listen"]);
}

#[test]
fn no_postgres_where_it_should_be() {
    let (data, empty) = (data_folder(), data_folder());
    let mut command = ServerProcess::command(&[]);
    command.env("TEREN__DATABASE__DATA_DIR", data.path()).env("PG_BINDIR", empty.path());
    assert_fails(&mut command, 5, &["PG_BINDIR", "apt-get install postgresql", "DATABASE_URL"]);
}

#[test]
fn a_database_url_that_is_none() {
    assert_fails(&mut serve_on("my database hunter2"), 6, &["not a database URL", "postgres://"]);
}

#[test]
fn a_database_server_that_does_not_answer() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://me:hunter2@{free}/db");
    assert_fails(&mut serve_on(&url), 6, &["no server answers", &format!("postgres://me@{free}/db")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_exist() {
    let db = TestDb::empty().await;
    let url = db.url.replacen("t_", "no_such_", 1);
    assert_fails(&mut serve_on(&url), 6, &["does not exist", "createdb"]);
}

#[test]
fn a_wrong_password() {
    let data = data_folder();
    let settings = Settings {
        folder: data.path().to_owned(),
        binaries: None,
        durability: Durability::Fast,
        lifetime: Lifetime::ThisProcess,
    };
    drop(PrivatePostgres::start(&settings).unwrap());
    std::fs::write(data.path().join("pg/pg_hba.conf"), "local all all scram-sha-256\n").unwrap();
    let postgres = PrivatePostgres::start(&settings).unwrap();
    let url = format!("{}&password=hunter2", postgres.url("postgres"));
    assert_fails(&mut serve_on(&url), 6, &["password authentication failed", "DATABASE_URL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version() {
    let db = TestDb::new().await;
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')";
    db.db().conn().await.unwrap().batch(newer).await.unwrap();
    assert_fails(&mut serve_on(&db.url), 7, &["newer server", "99991231000000", "restore a backup"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_program() {
    let db = TestDb::empty().await;
    db.db().conn().await.unwrap().batch("CREATE TABLE invoices (id int)").await.unwrap();
    assert_fails(&mut serve_on(&db.url), 7, &["invoices", "createdb"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_half_way() {
    let db = TestDb::new().await;
    // The last migration has yet to run, and the note that it did is refused.
    let half = "DELETE FROM __diesel_schema_migrations WHERE version = \
                    (SELECT max(version) FROM __diesel_schema_migrations); \
                CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no space left''; END'; \
                CREATE TRIGGER refuse BEFORE INSERT ON __diesel_schema_migrations EXECUTE FUNCTION refuse()";
    db.db().conn().await.unwrap().batch(half).await.unwrap();
    assert_fails(&mut serve_on(&db.url), 7, &["a migration failed and was undone", "goes on from there"]);
}

#[test]
fn a_data_folder_that_cannot_be_made() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = ServerProcess::command(&[]);
    let folder = file.path().join("data");
    assert_fails(
        command.env("TEREN__DATABASE__DATA_DIR", &folder),
        8,
        &[folder.to_str().unwrap(), "database.data_dir"],
    );
}

/// Only root hands Postgres to another account, which may not enter every folder.
#[test]
fn a_data_folder_that_the_account_of_postgres_may_not_enter() {
    use std::os::unix::fs::PermissionsExt as _;
    let closed = data_folder();
    let data = closed.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = ServerProcess::command(&[]);
    assert_fails(command.env("TEREN__DATABASE__DATA_DIR", &data), 8, &["cannot use the data folder"]);
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_data_folder_that_another_server_uses() {
    let data = data_folder();
    let mut command = ServerProcess::command(&[]);
    command.env("TEREN__DATABASE__DATA_DIR", data.path());
    let first = ServerProcess::start(&mut command);
    assert_fails(&mut command, 8, &["in use by another server"]);
    assert_eq!(first.get("/health/ready").0, 200);
    first.signal(libc::SIGINT);
    first.wait();
}

#[test]
fn a_data_folder_of_another_major_version() {
    let data = data_folder();
    std::fs::create_dir(data.path().join("pg")).unwrap();
    std::fs::write(data.path().join("pg/PG_VERSION"), "9\n").unwrap();
    let mut command = ServerProcess::command(&[]);
    assert_fails(command.env("TEREN__DATABASE__DATA_DIR", data.path()), 8, &["made by Postgres 9", "PG_BINDIR"]);
}

#[test]
fn postgres_that_does_not_come_up_tells_why() {
    let data = data_folder();
    let settings = Settings {
        folder: data.path().to_owned(),
        binaries: None,
        durability: Durability::Fast,
        lifetime: Lifetime::ThisProcess,
    };
    drop(PrivatePostgres::start(&settings).unwrap());
    std::fs::write(data.path().join("pg/postgresql.conf"), "nonsense = on\n").unwrap();
    let mut command = ServerProcess::command(&[]);
    assert_fails(command.env("TEREN__DATABASE__DATA_DIR", data.path()), 9, &["`postgres` failed", "nonsense"]);
}
