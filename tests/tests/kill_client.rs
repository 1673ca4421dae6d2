//! An application that is killed at any moment: what it said to be recorded is recorded, and is sent once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
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

const PHONES: u64 = 4;
/// Kills of each phone's application.
const KILLS: u32 = 144;
/// A visit takes some lives, each of which goes on where the one before was ended.
const LONGEST_LIFE_MS: u64 = 60;

/// Runs the application on the phone's files, kills it after `life`, and returns the steps that it told of.
fn run_and_kill(phone: &Phone, server: &str, life: Duration) -> Vec<Step> {
    let mut command = Command::new(program("scripted-visits"));
    command.arg(phone.folder()).args([server, "ENT-012"]).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let (mut child, mut told) = start(&mut command);
    std::thread::sleep(life);
    // SIGKILL: the application can do nothing more.
    child.kill().expect("it still runs");
    child.wait().expect("the child is ours");
    let mut rest = String::new();
    told.read_to_string(&mut rest).expect("the output is text");
    let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
    whole.lines().map(|line| Step::of_line(line).expect("a line is a step")).collect()
}

/// Starts the application and waits until it has opened the files; one at a time, because a process that is only just
/// being made still holds the files of every phone that is open in this one.
fn start(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let mut child = command.spawn().expect("the application can be run");
    let mut told = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let mut first = String::new();
    told.read_line(&mut first).expect("the output is text");
    assert_eq!(first, "open\n");
    (child, told)
}

/// Asserts that every step is shown. One more may have been recorded, of which nobody was told; from then on it is
/// expected too.
fn assert_shown(
    phone: &Phone,
    told: &mut BTreeMap<(EntityKind, Uuid), Row>,
    is_asked: impl Fn(&(EntityKind, Uuid)) -> bool,
) {
    let shown = |key: &(EntityKind, Uuid)| phone.store().get(key.0, key.1).unwrap().map(|shown| shown.row);
    let other: Vec<_> = told.iter().filter(|(key, row)| is_asked(key) && shown(key).as_ref() != Some(*row)).collect();
    let only_ahead = other.iter().all(|((kind, _), _)| *kind == EntityKind::Visit);
    assert!(other.len() <= 1 && only_ahead, "lost: {other:?}");
    if let Some(key) = other.first().map(|(key, _)| **key) {
        let ahead = shown(&key).expect("a visit that was told of is shown");
        told.insert(key, ahead);
    }
}

/// A phone whose application was killed, and what it told of.
struct Survivor {
    phone: Phone,
    told: BTreeMap<(EntityKind, Uuid), Row>,
    steps: u64,
}

/// Kills the application again and again.
fn live_and_die(mut phone: Phone, server: &str, seed: u64) -> Survivor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut told, mut steps) = (BTreeMap::new(), 0);
    for _ in 0..KILLS {
        phone.close();
        let life = Duration::from_millis(random.random_range(0..LONGEST_LIFE_MS));
        let done = run_and_kill(&phone, server, life);
        steps += done.len() as u64;
        let done: BTreeMap<_, _> = done.into_iter().map(|step| ((step.kind, step.row.id), step.row)).collect();
        let recent: Vec<_> = done.keys().copied().collect();
        told.extend(done);
        phone.reopen();
        // A visit grows with what is recorded of it; everything else is looked at once more in the end.
        assert_shown(&phone, &mut told, |key| key.0 == EntityKind::Visit || recent.contains(key));
    }
    assert_shown(&phone, &mut told, |_| true);
    Survivor { phone, told, steps }
}

async fn enrolled(server: &TestServer) -> Phone {
    let phone = Phone::new(server.address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;
    phone
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_application_lose_no_step_that_it_told_of() {
    let server = TestServer::new().await;
    let programme = demo::load(&server.app).await;
    let mut lives = Vec::new();
    for seed in 0..PHONES {
        let (phone, address) = (enrolled(&server).await, server.address.to_string());
        lives.push(tokio::task::spawn_blocking(move || live_and_die(phone, &address, seed)));
    }
    let mut delivered = 0;
    let mut survivors = Vec::new();
    for life in lives {
        let survivor = life.await.unwrap();
        delivered += deliver(&survivor).await;
        survivors.push(survivor);
    }
    let db = &server.app.office;
    assert_eq!(state::number(db, "SELECT count(*) FROM mutation WHERE outcome = 'A'").await as u64, delivered);
    assert_eq!(state::number(db, "SELECT count(DISTINCT (device_id, no)) FROM mutation").await as u64, delivered);
    let mentor = demo::user(&programme, ANA).0;
    let expected = state::rows_for_mentor(db, demo::id(&programme), mentor).await;
    for Survivor { phone, .. } in &survivors {
        phone.sync().await;
        assert_equal(&phone.rows(), &expected);
    }
}

/// Finishes what was begun and sends everything. Returns how many changes.
async fn deliver(Survivor { phone, told, steps }: &Survivor) -> u64 {
    let pending = phone.status().unwrap().sync.pending;
    eprintln!("{steps} steps of {} rows were told, {pending} changes wait", told.len());
    assert!(pending >= *steps && pending <= steps + 2 * u64::from(KILLS) + 20, "{pending} changes for {steps} steps");
    finish_visits(phone);
    let pending = phone.status().unwrap().sync.pending;
    let report = phone.sync().await;
    assert_eq!((report.pushed, report.applied), (pending, pending), "{report:?}");
    pending
}

fn finish_visits(phone: &Phone) {
    let begun = phone.visits().drafts().unwrap();
    for draft in begun.iter().filter(|draft| draft.status == VisitStatus::InProgress) {
        while next_step(phone, draft.id).unwrap().is_some() {}
    }
}
