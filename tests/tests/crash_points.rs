//! A push is stopped before and after every step that it takes, in every way in which it can be; then the device sends
//! again. Whatever stopped it, each change has one effect and none is lost.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex};

use server::store::{Db, StoreError, epochs};
use server::sync::Caller;
use sync_protocol::entity::{EntityKind, Finding, Position, Visit};
use sync_protocol::mutation::Op;
use sync_protocol::wire::{Message, Push};
use tests::crash_points::{Hook, Point, STEPS, Stepped, answer};
use tests::programme::{self, ANA, CARMEN, ENTERPRISES, PROGRAMME};
use tests::{Device, TestServer, program, request_body, sample, state};
use tokio::sync::Notify;
use uuid::Uuid;

/// Steps that only the office takes, whose batches have one change and are not sent again by a device.
const OFFICE_STEPS: [&str; 4] = ["target_of", "held_between", "purge", "refused"];
/// A batch has up to so many changes more than it needs, so that what is stopped stands at every position.
const POSITIONS: u64 = 50;

/// How a push is stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// The process gets SIGKILL.
    Process,
    /// Postgres ends the connection.
    Backend,
    /// The connection to the device is reset: the request is dropped where it is.
    Request,
}

/// What happens at a point.
#[derive(Clone)]
struct StopAt {
    seen: Arc<Mutex<Vec<Point>>>,
    /// The number of the point; 0 for none.
    at: usize,
    stop: Stop,
    db: Db,
    stopped: Arc<Notify>,
}

impl Hook for StopAt {
    async fn at(&self, point: Point) -> Result<(), StoreError> {
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(point);
            seen.len()
        };
        if number == self.at {
            match self.stop {
                Stop::Backend => end_backends(&self.db).await,
                Stop::Request => {
                    self.stopped.notify_one();
                    std::future::pending::<()>().await;
                }
                Stop::Process => unreachable!("another process does that"),
            }
        }
        Ok(())
    }
}

/// Ends every connection that is within a transaction and waits for its next statement.
async fn end_backends(db: &Db) {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
               AND state LIKE 'idle in transaction%'";
    state::number(db, end).await;
}

/// Lets the office delete a finding and returns it.
async fn deleted_finding(server: &TestServer) -> Finding {
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let finding = sample::finding(&visit, "de la birou");
    programme::import(&server.app.office, std::slice::from_ref(&visit)).await;
    programme::import(&server.app.office, std::slice::from_ref(&finding)).await;
    state::psql(&server.app.office, &format!("DELETE FROM finding WHERE id = '{}'", finding.id.0)).await;
    finding
}

/// A device that sends, another one whose work waits for it, and what was sent.
struct Story {
    server: TestServer,
    phone: Device,
    other: Device,
    /// Of the phone: the outcomes of one round, as they are when nothing stops it.
    outcomes: String,
    rounds: u64,
    /// A number of a history that was left.
    lost_seq: u64,
}

/// Begins a new history without the newest commit, and returns the number of that one.
async fn lose_newest(db: &Db) -> u64 {
    let newest = epochs::heads(db).await.unwrap().iter().find(|head| head.0 == PROGRAMME).unwrap().1.seq;
    epochs::begin(db, PROGRAMME, &[], newest - 1, newest + 1, Uuid::new_v4()).await.unwrap().unwrap();
    newest
}

impl Story {
    async fn start() -> Self {
        let server = TestServer::new().await;
        programme::load(&server.app).await;
        deleted_finding(&server).await;
        let lost_seq = lose_newest(&server.app.office).await;
        let (phone, other) = (Device::enrol(server.address, ANA).await, Device::enrol(server.address, CARMEN).await);
        let mut story = Self { server, phone, other, outcomes: String::new(), rounds: 0, lost_seq };
        story.phone.sync().await;
        story.other.sync().await;
        story
    }

    /// Records a day with everything that a push may meet, and returns the pushes: a visit and a finding that others'
    /// work waits for, with findings; a position that is registered twice; a change made in the office meanwhile; a
    /// finding that has to wait; one that is deleted; one that the office has deleted meanwhile; one that is brought
    /// back with a change of it after a restore. Each repeats a part of what the server has.
    async fn record(&mut self) -> Vec<Push> {
        let phone = &mut self.phone;
        let first = phone.confirmed + 1;
        let visit = sample::visit(ENTERPRISES[0], ANA);
        self.other.create(&sample::finding(&visit, "a colegei"));
        let noted = sample::finding(&visit, "notată");
        self.other.change(&noted, &Finding { rule_ref: Some("I19".to_owned()), ..noted.clone() }, 0);
        self.other.sync().await;
        let gone = deleted_finding(&self.server).await;
        phone.create(&visit);
        phone.create(&noted);
        let doomed = sample::finding(&visit, &format!("de șters {}", Uuid::new_v4()));
        phone.create(&doomed);
        for _ in 0..2 {
            phone.create(&Position { code: format!("P-{}", self.rounds), ..sample::position(ENTERPRISES[0]) });
        }
        for _ in 0..self.rounds % POSITIONS {
            phone.create(&sample::finding(&visit, &format!("constatare {}", Uuid::new_v4())));
        }
        let middle = phone.outbox.len() as u64;
        let summary = Some(format!("Rezumat {}", self.rounds));
        phone.change(&visit, &Visit { summary, ..visit.clone() }, 1);
        phone.create(&sample::finding(&sample::visit(ENTERPRISES[0], ANA), "fără vizită"));
        let void = phone.draft(Op::Delete, EntityKind::Finding, doomed.id.0, Vec::new());
        phone.record(void);
        phone.change(&gone, &Finding { text: "schimbată".to_owned(), ..gone.clone() }, 1);
        let back = sample::finding(&visit, "adusă înapoi");
        phone.create(&back);
        phone.change(&back, &Finding { text: "și schimbată".to_owned(), ..back.clone() }, self.lost_seq);
        let last = phone.outbox.len() as u64;
        self.rounds += 1;
        let overlap = |no: u64| no.saturating_sub(2).max(1);
        vec![phone.push(overlap(first), middle), phone.push(overlap(first), middle), phone.push(overlap(middle), last)]
    }

    fn body(&self, pushes: &[Push]) -> Vec<u8> {
        request_body(self.phone.hello(), &pushes.iter().cloned().map(Message::Push).collect::<Vec<_>>())
    }

    fn caller(&self) -> Caller {
        Caller { programme: PROGRAMME, user: ANA.0, session: Uuid::nil() }
    }

    /// Works on a request and stops it at a point. Returns whether it came there.
    async fn stop(&self, body: &[u8], at: usize, stop: Stop) -> bool {
        match stop {
            Stop::Process => self.run_and_kill(body, at),
            Stop::Backend | Stop::Request => self.run(body, at, stop).await.len() >= at,
        }
    }

    /// Works on a request inside this process and returns the points that it came to.
    async fn run(&self, body: &[u8], at: usize, stop: Stop) -> Vec<Point> {
        let (db, stopped) = (self.server.app.office.clone(), Arc::new(Notify::new()));
        let hook = StopAt { seen: Arc::default(), at, stop, db, stopped: stopped.clone() };
        let store = Stepped { store: self.server.app.sync.clone(), hook: hook.clone() };
        tokio::select! {
            _ = answer(store, self.caller(), body) => {}
            () = stopped.notified() => {}
        }
        let seen = hook.seen.lock().unwrap();
        seen.clone()
    }

    /// Works on a request in a process of its own, which kills itself at the point. Returns whether it did.
    fn run_and_kill(&self, body: &[u8], at: usize) -> bool {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), body).unwrap();
        let mut command = Command::new(program("push-under-test"));
        command.arg(&self.server.db.url).arg(file.path());
        command.args([PROGRAMME.to_string(), ANA.0.to_string(), at.to_string()]);
        let ended = command.status().expect("the process can be run");
        let is_killed = ended.signal() == Some(libc::SIGKILL);
        assert!(is_killed || ended.success(), "{ended:?}");
        is_killed
    }

    /// Sends everything again and asserts that every change of the round has the effect that it always has, once.
    async fn assert_one_effect(&mut self, first: u64, what: &str) {
        self.phone.sync().await;
        let (sent, db) = (self.phone.outbox.len() as u64, &self.server.app.office);
        assert_eq!(self.phone.confirmed, sent, "{what}: changes were lost");
        let device = self.phone.id;
        let counted = format!("SELECT count(*) FROM mutation WHERE device_id = '{device}'");
        assert_eq!(state::number(db, &counted).await as u64, sent, "{what}: changes were lost or came twice");
        let outcomes = format!(
            "SELECT string_agg(outcome::text, '' ORDER BY no) FROM mutation WHERE device_id = '{device}' AND no >= {first}"
        );
        let found = state::texts(db, &outcomes).await.concat();
        let (head, tail) = self.outcomes.split_at(2);
        assert!(found.starts_with(head) && found.ends_with(tail), "{what}: {found} instead of {}", self.outcomes);
        let findings = "SELECT count(*) FROM finding WHERE text LIKE 'constatare %'";
        let expected: u64 = (0..self.rounds).map(|round| round % POSITIONS).sum();
        assert_eq!(state::number(db, findings).await as u64, expected, "{what}");
        let proposals = "SELECT count(*) FROM merge_proposal";
        assert_eq!(state::number(db, proposals).await as u64, self.rounds, "{what}: one for each pair");
        let gaps = "SELECT max(seq) - count(*) FROM seal_log";
        assert_eq!(state::number(db, gaps).await, 0, "{what}: a hole in the numbers");
    }

    /// Learns the points and the outcomes of a round that nothing stops.
    async fn rehearse(&mut self) -> Vec<Point> {
        let pushes = self.record().await;
        let points = self.run(&self.body(&pushes), 0, Stop::Request).await;
        let device = self.phone.id;
        let outcomes =
            format!("SELECT string_agg(outcome::text, '' ORDER BY no) FROM mutation WHERE device_id = '{device}'");
        self.outcomes = state::texts(&self.server.app.office, &outcomes).await.concat();
        self.assert_one_effect(1, "the rehearsal").await;
        points
    }
}

/// Stops a round at each of its points.
async fn stop_at_every_point(stop: Stop) {
    let mut story = Story::start().await;
    let points = story.rehearse().await;
    let mut at = 1;
    loop {
        let first = story.phone.confirmed + 1;
        let pushes = story.record().await;
        let is_stopped = story.stop(&story.body(&pushes), at, stop).await;
        story.assert_one_effect(first, &format!("{stop:?} at point {at}")).await;
        if !is_stopped {
            break;
        }
        at += 1;
    }
    eprintln!("{stop:?}: {} stops", at - 1);
    assert!(at > points.len() / 2, "{} stops, where a round has {} points", at - 1, points.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_point_loses_nothing_and_repeats_nothing() {
    stop_at_every_point(Stop::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_postgres_ended_at_any_point_loses_nothing_and_repeats_nothing() {
    stop_at_every_point(Stop::Backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_dropped_at_any_point_loses_nothing_and_repeats_nothing() {
    stop_at_every_point(Stop::Request).await;
}

/// The compiler asks for the points of a step; this asks that a push in these tests comes to them.
#[tokio::test(flavor = "multi_thread")]
async fn the_tests_come_to_every_point() {
    let points: BTreeSet<Point> = Story::start().await.rehearse().await.into_iter().collect();
    let steps = STEPS.iter().filter(|step| !OFFICE_STEPS.contains(step));
    let missing: Vec<_> =
        steps.flat_map(|step| [Point::Before(step), Point::After(step)]).filter(|p| !points.contains(p)).collect();
    assert!(missing.is_empty(), "no push of these tests comes to {missing:?}: add to `record` what leads there");
}

/// A step with a body of its own in the trait would need no point to compile.
#[test]
fn every_step_of_a_push_has_its_points() {
    let source = include_str!("../../server/src/store/synced.rs");
    let (_, write) = source.split_once("pub trait WriteTx").expect("the trait is there");
    let (write, _) = write.split_once("\n}\n").expect("the trait ends");
    let declared: Vec<&str> = write.split("    fn ").skip(1).filter_map(|text| text.split('(').next()).collect();
    let lacking: Vec<_> = declared.iter().filter(|step| !STEPS.contains(step)).collect();
    assert!(declared.len() > 15 && lacking.is_empty(), "{lacking:?} have no points: add them to `crash_points.rs`");
}
