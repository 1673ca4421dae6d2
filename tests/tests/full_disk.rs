//! A phone whose disk is full: a real file system where the machine lets a test mount one, and on every machine a disk
//! beneath the files that lets them grow only so far.

use std::process::{Command, Output};
use std::time::Duration;

use server::store::{Db, Sql};
use tests::demo;
use tests::folder::memory_folder;
use tests::full_disk::{Endured, SmallDisk, Story};
use tests::{FaultDisk, TestServer, program, state};

const ROUNDS: u32 = 12;
/// Room for the files, the ballast of 4 MiB and their journals.
const DISK: &str = "size=16m";

/// The office changes a row of the phone's until the test ends, so that a sync also has something to write to the cache.
async fn change_rows(db: Db) {
    const CHANGE: &str = "UPDATE enterprise SET name = 'Atelier ' || clock_timestamp() WHERE code = 'ENT-012'";
    while let Ok(mut conn) = db.conn().await
        && conn.execute(Sql::new(CHANGE)).await.is_ok()
    {
        drop(conn);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn started() -> TestServer {
    let server = TestServer::new().await;
    demo::load(&server.app).await;
    tokio::spawn(change_rows(server.app.office.clone()));
    server
}

/// Everything that was said to be recorded is on the server, once.
async fn assert_sound(server: &TestServer, endured: Endured) {
    eprintln!("{endured:?}");
    assert!(endured.refused >= 3 * ROUNDS, "the disk was not full: {endured:?}");
    let count = async |what| state::number(&server.app.office, &format!("SELECT {what} FROM mutation")).await as u64;
    assert_eq!((count("count(*)").await, count("count(DISTINCT no)").await), (endured.recorded, endured.recorded));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_refuses_what_it_cannot_record_and_sends_what_it_has() {
    let server = started().await;
    let folder = memory_folder();
    let disk = SmallDisk::Simulated(FaultDisk::new());
    let endured = Story::begin(disk, folder.path().to_owned(), server.address).await.run(ROUNDS).await;
    assert_sound(&server, endured).await;
}

/// Runs the phone in a mount namespace of its own, with a small file system on the folder; `None` where the machine does
/// not allow that.
fn run_on_a_small_file_system(namespace: &[&str], server: &TestServer) -> Option<Output> {
    let folder = memory_folder();
    let mut command = Command::new("unshare");
    command.args(namespace).args([
        "sh",
        "-c",
        "mount -t tmpfs -o \"$0\" teren \"$1\" && exec \"$2\" \"$1\" \"$3\" \"$4\"",
    ]);
    command.arg(DISK).arg(folder.path()).arg(program("full-disk-under-test"));
    let output = command.args([server.address.to_string(), ROUNDS.to_string()]).output().ok()?;
    output.stdout.starts_with(b"started").then_some(output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_on_a_full_file_system_refuses_what_it_cannot_record_and_sends_what_it_has() {
    let server = started().await;
    let run = tokio::task::block_in_place(|| {
        let namespaces = [&["--mount"][..], &["--user", "--map-root-user", "--mount"]];
        namespaces.iter().find_map(|namespace| run_on_a_small_file_system(namespace, &server))
    });
    let Some(output) = run else {
        return eprintln!("this machine lets nobody mount a file system: only the simulated disk was full");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let numbers: Vec<u64> = text.split_whitespace().skip(1).map(|word| word.parse().unwrap()).collect();
    let (refused, by_ballast) = (numbers[1] as u32, numbers[2] as u32);
    assert!(by_ballast > 0, "the ballast was never needed: {text}");
    assert_sound(&server, Endured { rounds: ROUNDS, recorded: numbers[0], refused, by_ballast }).await;
}
