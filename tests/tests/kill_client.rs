//! An application that is killed at any moment: what it said to be recorded is recorded, and is sent once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sync_protocol::code::VisitStatus;
use sync_protocol::entity::{EntityKind, Row};
use tests::demo::{self, ANA, DEMO_PASSWORD};
use tests::phone::assert_equal;
use tests::visit::{Step, next_step};
use tests::{Phone, TestServer, program, state};
use uuid::Uuid;

const KILLS: u32 = 26;
/// Longer than a visit takes, so that kills meet every part of one.
const LONGEST_LIFE_MS: u64 = 250;

/// Runs the application on the phone's files, kills it after `life`, and returns the steps that it told of.
fn run_and_kill(phone: &Phone, server: &str, life: Duration) -> Vec<Step> {
    let mut command = Command::new(program("scripted-visits"));
    command.arg(phone.folder()).args([server, "ENT-012"]).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("the application can be run");
    let mut told = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let mut first = String::new();
    told.read_line(&mut first).expect("the output is text");
    assert_eq!(first, "open\n");
    std::thread::sleep(life);
    // SIGKILL: the application can do nothing more.
    child.kill().expect("it still runs");
    child.wait().expect("the child is ours");
    let mut rest = String::new();
    told.read_to_string(&mut rest).expect("the output is text");
    let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
    whole.lines().map(|line| Step::of_line(line).expect("a line is a step")).collect()
}

/// Asserts that every step is shown. One more may have been recorded, of which nobody was told; from then on it is
/// expected too.
fn assert_shown(phone: &Phone, told: &mut BTreeMap<(EntityKind, Uuid), Row>) {
    let shown = |key: &(EntityKind, Uuid)| phone.store().get(key.0, key.1).unwrap().map(|shown| shown.row);
    let other: Vec<_> = told.iter().filter(|(key, row)| shown(key).as_ref() != Some(*row)).collect();
    let only_ahead = other.iter().all(|((kind, _), _)| *kind == EntityKind::Visit);
    assert!(other.len() <= 1 && only_ahead, "lost: {other:?}");
    if let Some(key) = other.first().map(|(key, _)| **key) {
        let ahead = shown(&key).expect("a visit that was told of is shown");
        told.insert(key, ahead);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_application_lose_no_step_that_it_told_of() {
    let server = TestServer::new().await;
    let programme = demo::load(&server.app).await;
    let mut phone = Phone::new(server.address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (mut told, mut steps) = (BTreeMap::new(), 0);
    for _ in 0..KILLS {
        phone.close();
        let life = Duration::from_millis(random.random_range(0..LONGEST_LIFE_MS));
        let done = run_and_kill(&phone, &server.address.to_string(), life);
        steps += done.len() as u64;
        told.extend(done.into_iter().map(|step| ((step.kind, step.row.id), step.row)));
        phone.reopen();
        assert_shown(&phone, &mut told);
    }
    let pending = phone.status().unwrap().sync.pending;
    eprintln!("{steps} steps were told, {pending} changes wait");
    assert!(pending >= steps && pending <= steps + 2 * u64::from(KILLS) + 20, "{pending} changes for {steps} steps");
    finish_visits(&phone);
    assert_delivered_once(&phone, &server, demo::id(&programme), demo::user(&programme, ANA).0).await;
}

fn finish_visits(phone: &Phone) {
    let begun = phone.visits().drafts().unwrap();
    for draft in begun.iter().filter(|draft| draft.status == VisitStatus::InProgress) {
        while next_step(phone, draft.id).unwrap().is_some() {}
    }
}

async fn assert_delivered_once(phone: &Phone, server: &TestServer, programme: Uuid, mentor: Uuid) {
    let pending = phone.status().unwrap().sync.pending;
    let report = phone.sync().await;
    assert_eq!((report.pushed, report.applied), (pending, pending), "{report:?}");
    let db = &server.app.office;
    assert_eq!(state::number(db, "SELECT count(*) FROM mutation WHERE outcome = 'A'").await as u64, pending);
    assert_eq!(state::number(db, "SELECT count(DISTINCT no) FROM mutation").await as u64, pending);
    let expected = state::rows_for_mentor(db, programme, mentor).await;
    assert_equal(&phone.rows(), &expected);
}
