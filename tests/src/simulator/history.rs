//! Plays a plan: faults first, then everything is mended and has to come together.

mod faults;
mod messages;
mod waking;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use client_sdk::sync::machine::Event;
use sync_protocol::entity::EntityKind;
use sync_protocol::time::Timestamp;
use tempfile::TempDir;

use super::act::{self, Actor, Done};
use super::backend::{Backend, Backup};
use super::bug::Bug;
use super::check::{self, Violation};
use super::clock::{Clock, START, SimWorld};
use super::deed::{Deed, Deeds, Place};
use super::dice::Dice;
use super::disk;
use super::foreign::Foreign;
use super::network::{LATENCY_MS, Network};
use super::office;
use super::phone::{PUSH_BYTES, Phone, Stop, Want};
use super::plan::{Plan, Step};
use super::promise::Promises;
use super::queue::{Coming, Queue};
use super::tally::{Met, Tally};
use super::trace::Trace;

const SECOND_MS: i64 = 1_000;
/// An application whose files failed starts its sync again after this.
const RESUME_MS: i64 = 5 * SECOND_MS;
/// After the faults, every outbox is empty within this time.
pub const DRAIN_MS: i64 = 30 * SECOND_MS;
/// How often phones are opened after the faults, so that all see what the others had.
const ROUNDS: i64 = 4;

/// How a history is played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The mistake that is planted.
    pub bug: Option<Bug>,
    /// Whether the trace is kept to be read.
    pub keeps_trace: bool,
    /// Whether clocks are right whatever the plan says.
    pub has_right_clocks: bool,
}

/// What came of a history.
#[derive(Debug)]
pub struct Outcome {
    /// What must not be, the first first.
    pub violations: Vec<Violation>,
    /// The hash of everything that happened.
    pub trace_hash: u64,
    /// The lines of the trace, if they were kept.
    pub trace: Vec<String>,
    /// What was met.
    pub tally: Tally,
    /// What the server holds in the end, without what clocks say: equal for equal histories.
    pub state: Vec<String>,
    /// Whether a permission changed where only a right clock tells what was done before.
    pub is_close_call: bool,
}

/// A history under way.
pub struct History<'p> {
    pub(super) plan: &'p Plan,
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) phones: Vec<Option<Phone>>,
    pub(super) foreign: BTreeMap<usize, Foreign>,
    pub(super) server: Backend,
    pub(super) deeds: Deeds,
    pub(super) violations: Vec<Violation>,
    pub(super) promises: Promises,
    pub(super) tally: Tally,
    queue: Queue,
    network: Network,
    trace: Trace,
    dice: Dice,
    folder: TempDir,
    folders: u32,
    is_healed: bool,
    expired: BTreeSet<usize>,
    waiting: Vec<Waiting>,
    server_backup: Option<(Timestamp, Backup)>,
    phone_backups: BTreeMap<usize, (Timestamp, PathBuf)>,
}

struct Waiting {
    phone: usize,
    request: u64,
    body: Bytes,
    wait_ms: u32,
    head: u64,
}

/// Plays a plan.
pub fn play(plan: &Plan, options: Options) -> Outcome {
    let mut history = History::new(plan, options);
    history.run();
    history.conclude()
}

impl<'p> History<'p> {
    fn new(plan: &'p Plan, options: Options) -> Self {
        let clock = Clock::new();
        let phones = plan.cast.phones.len();
        let world = SimWorld::new(&clock, Dice::named(plan.seed, 2));
        Self {
            plan,
            options,
            server: Backend::new(Arc::new(world), &plan.cast, plan.knobs.page_rows, options.bug),
            clock,
            phones: (0..phones).map(|_| None).collect(),
            foreign: BTreeMap::new(),
            deeds: Deeds::default(),
            violations: Vec::new(),
            promises: Promises::default(),
            tally: Tally::default(),
            queue: Queue::default(),
            network: Network::new(plan.knobs, Dice::named(plan.seed, 3), phones),
            trace: Trace::new(options.keeps_trace),
            dice: Dice::named(plan.seed, 4),
            folder: disk::folder(),
            folders: 0,
            is_healed: false,
            expired: BTreeSet::new(),
            waiting: Vec::new(),
            server_backup: None,
            phone_backups: BTreeMap::new(),
        }
    }

    fn run(&mut self) {
        for at in 0..self.plan.cast.phones.len() {
            let is_copy = self.plan.steps.iter().any(|p| matches!(p.step, Step::ClonePhone { to, .. } if to == at));
            if self.plan.cast.phones[at].is_foreign {
                self.foreign.insert(at, Foreign::new(self.dice.bits()));
            } else if !is_copy {
                self.make_phone(at);
            }
        }
        for (at, planned) in self.plan.steps.iter().enumerate() {
            self.queue.push(START.0 + planned.at_ms, Coming::Step(at));
        }
        self.pass(START.0 + self.plan.end_ms());
        self.heal();
    }

    /// Lets everything happen that comes until a time.
    fn pass(&mut self, until_ms: i64) {
        while self.violations.is_empty()
            && let Some((at_ms, coming)) = self.queue.pop(until_ms)
        {
            self.clock.advance_to(Timestamp(at_ms));
            self.happen(coming);
        }
        self.clock.advance_to(Timestamp(until_ms));
    }

    /// The second half: no fault any more, and a bounded time until everything has come together.
    fn heal(&mut self) {
        self.say(format_args!("everything is mended"));
        self.is_healed = true;
        self.network.heal();
        self.server.crash_next = None;
        self.expired.clear();
        let now = self.now_ms();
        for at in 0..self.phones.len() {
            let Some(phone) = &mut self.phones[at] else { continue };
            phone.crash_after = None;
            // What a failing disk let it ask for does not count.
            phone.rounds = 0;
            phone.push_bytes = PUSH_BYTES;
            phone.disk.heal();
            if phone.store.is_none() {
                self.queue.push(now, Coming::Start { phone: at });
            }
            // What is under way may still end as it would have: then the person looks again.
            if phone.heard.is_some() {
                self.queue.push(now + RESUME_MS + at as i64 * 50, Coming::Resume { phone: at });
            }
        }
        for round in 0..ROUNDS {
            for at in 0..self.phones.len() {
                self.queue.push(now + round * DRAIN_MS + at as i64 * 50, Coming::Resume { phone: at });
            }
            self.pass(now + (round + 1) * DRAIN_MS - 1);
            if round == 0 && self.violations.is_empty() {
                check::drained(self);
            }
        }
    }

    fn conclude(mut self) -> Outcome {
        if self.violations.is_empty() {
            check::at_rest(&mut self);
        }
        let state = self.server.state_lines();
        let state_hash = state.iter().fold(0u64, |hash, line| {
            line.bytes().fold(hash.rotate_left(7), |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
        });
        self.say(format_args!("the server holds {} rows, {state_hash:016x}", state.len()));
        for at in 0..self.violations.len() {
            let violation = self.violations[at].clone();
            self.say(format_args!("VIOLATION {violation}"));
        }
        let trace_hash = self.trace.hash();
        let is_close_call = self.is_close_call();
        let mut tally = self.tally;
        tally.add(&self.network.tally, true);
        tally.count_if(is_close_call, Met::CloseCall);
        Outcome { violations: self.violations, trace_hash, trace: self.trace.into_lines(), tally, state, is_close_call }
    }

    /// Whether a permission changed where only a right clock tells what was done before.
    ///
    /// A clock that is wrong by always the same is corrected by the instant at which a request arrives, which is later
    /// than the one at which it was sent: by as much, the work seems younger than it is. One that is set between the
    /// recording and the sending may say something that is false and yet possible: the uptime does not contradict it,
    /// for the device may have been started anew since. And work that nobody can date waits for a person, which
    /// work under a right clock does not.
    fn is_close_call(&self) -> bool {
        let changes =
            || self.deeds.iter().filter(|(_, deed)| deed.kind == EntityKind::ScopeGrant).map(|(_, deed)| deed);
        if self.tally.has(Met::ClockHeld) || self.has_undated() {
            return true;
        }
        let most_ms = LATENCY_MS + self.plan.knobs.reorder_ms;
        let is_close = |work: &Deed, change: &Deed| (0..=most_ms).contains(&(change.at.0 - work.at.0));
        self.deeds.iter().any(|(_, work)| {
            let Place::Phone(phone) = work.place else { return false };
            let may_be_false = self.plan.sets_clock(phone);
            changes().any(|change| work.programme == change.programme && (may_be_false || is_close(work, change)))
        })
    }

    /// Whether nobody could date some work, which only showed when what it waited for had come: no answer tells of it.
    fn has_undated(&self) -> bool {
        (0..self.plan.cast.programmes.len()).any(|programme| {
            let held = self.server.rows(programme, EntityKind::HeldItem);
            held.iter().any(|(row, _)| office::is_undated(row))
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().0
    }

    pub(super) fn say(&mut self, what: std::fmt::Arguments<'_>) {
        let now = self.now();
        self.trace.say(now, what);
    }

    fn happen(&mut self, coming: Coming) {
        match coming {
            Coming::Step(at) => self.step(at),
            Coming::Arrival { phone, request, body, wait_ms } => self.arrive(phone, request, body, wait_ms),
            Coming::WaitIsOver { phone, request } => self.wait_is_over(phone, request),
            Coming::Part { phone, request, bytes } => self.part(phone, request, &bytes),
            Coming::End { phone, request, event } => self.end(phone, request, event),
            Coming::Timer { phone, timer } => {
                let is_due = self.phone(phone).is_some_and(|phone| phone.timer == timer);
                if is_due {
                    self.let_handle(phone, Event::Timer);
                }
            }
            Coming::Tokens { phone, request } => self.tokens(phone, request),
            Coming::Start { phone } => self.start(phone),
            Coming::Silence { phone, request, heard } => self.silence(phone, request, heard),
            Coming::Resume { phone } => self.wake(phone),
            Coming::Sleep { phone, since } => self.sleep(phone, since),
            Coming::DiskHeals { phone, is_full } => self.disk_heals(phone, is_full),
            Coming::SlowCommit { programme, number, salt } => {
                self.tally.count(Met::SlowOffice);
                let head = self.server.head(programme).seq;
                self.office(programme, &mut Dice::new(salt), office::edit);
                if let Some(number) = number.filter(|_| self.server.head(programme).seq > head) {
                    self.server.number_as(programme, number);
                }
            }
        }
    }

    fn phone(&mut self, at: usize) -> Option<&mut Phone> {
        self.phones[at].as_mut().filter(|phone| phone.store.is_some())
    }

    fn new_folder(&mut self, at: usize) -> PathBuf {
        self.folders += 1;
        self.folder.path().join(format!("{at}-{}", self.folders))
    }

    fn make_phone(&mut self, at: usize) {
        let folder = self.new_folder(at);
        disk::prepare(&folder);
        let world = SimWorld::new(&self.clock, Dice::named(self.plan.seed, 100 + at as u64));
        self.phones[at] = Some(self.phone_in(at, folder, world));
        self.start(at);
    }

    fn phone_in(&self, at: usize, folder: PathBuf, world: SimWorld) -> Phone {
        let (cast, push_bytes) = (self.plan.cast.phones[at], self.plan.knobs.push_bytes);
        Phone::new(cast, Arc::new(world), folder, self.options.bug, push_bytes)
    }

    fn start(&mut self, at: usize) {
        let programme = self.plan.cast.programmes[self.plan.cast.phones[at].programme].id;
        let Some(phone) = &mut self.phones[at] else { return };
        if phone.store.is_some() {
            return;
        }
        match phone.open(programme) {
            Ok(()) => {
                let report = phone.store().map(|store| *store.report());
                self.say(format_args!("phone {at} starts, {:?}", report.ok()));
                if self.is_healed {
                    self.wake(at);
                }
            }
            Err(error) => {
                self.say(format_args!("phone {at} does not start: {error}"));
                if self.is_healed {
                    self.violate("open", format!("phone {at} does not start although nothing fails: {error}"));
                } else {
                    let at_ms = self.now_ms() + RESUME_MS;
                    self.queue.push(at_ms, Coming::Start { phone: at });
                }
            }
        }
    }

    pub(super) fn violate(&mut self, invariant: &'static str, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    fn step(&mut self, number: usize) {
        let planned = &self.plan.steps[number];
        let mut dice = Dice::new(planned.salt);
        self.say(format_args!("step {number} {:?}", planned.step));
        match planned.step {
            Step::Record { phone } => self.record(phone, &mut dice, act::record),
            Step::RecordMany { phone, times } => {
                (0..times).for_each(|_| self.record(phone, &mut dice, act::record));
            }
            Step::RecordJob { phone } => self.record(phone, &mut dice, act::record_job),
            Step::Settle { phone } => self.record(phone, &mut dice, act::settle),
            Step::Wake { phone } => self.wake(phone),
            Step::OfficeEdit { programme } => self.office(programme, &mut dice, office::edit),
            Step::OfficeDecide { programme } => self.office(programme, &mut dice, office::decide),
            Step::OfficeMerge { programme } => self.merge(programme, &mut dice),
            Step::OfficeJudge { programme } => self.judge(programme, &mut dice),
            Step::OfficeErase { programme } => self.erase(programme, &mut dice),
            Step::Prune { programme } => self.prune(programme, &mut dice),
            Step::OfficeAssign { programme } => self.assign(programme, &mut dice),
            Step::OfficeBar { programme } => self.bar(programme, &mut dice),
            Step::OfficeSlowEdit { programme, for_ms } => {
                let number = self.server.begin_slow(programme);
                let at_ms = self.now_ms() + for_ms;
                self.queue.push(at_ms, Coming::SlowCommit { programme, number, salt: planned.salt });
            }
            Step::Cut { phone, way, for_ms } => {
                let until = self.now_ms() + for_ms;
                self.network.cut(phone, way, until);
            }
            Step::CrashPhone { phone, after, loses_power, down_ms } => {
                if let Some(phone) = self.phone(phone) {
                    (phone.crash_after, phone.loses_power, phone.down_ms) = (Some(after), loses_power, down_ms);
                }
            }
            Step::RestartPhone { phone, down_ms, offset_ms } => self.restart_phone(phone, down_ms, offset_ms),
            Step::FailDisk { phone, is_full, after, calls } => {
                let stays = calls > 1;
                if let Some(phone) = self.phone(phone) {
                    phone.disk.fail(is_full, after, stays);
                }
                let at_ms = self.now_ms() + i64::from(calls) * 10 * SECOND_MS;
                self.queue.push(at_ms, Coming::DiskHeals { phone, is_full });
            }
            Step::CrashServer { is_after_commit } => self.server.crash_next = Some(is_after_commit),
            Step::BackUpServer => self.server_backup = Some((self.now(), self.server.back_up())),
            Step::RestoreServer => self.restore_server(&mut dice),
            Step::BackUpPhone { phone } => self.back_up_phone(phone),
            Step::RestorePhone { phone } => self.restore_phone(phone),
            Step::ClonePhone { from, to } => self.clone_phone(from, to),
            Step::SetClock { phone, offset_ms } => self.set_clock(phone, offset_ms),
            Step::ExpireToken { phone } => {
                self.tally.count(Met::TokenExpired);
                self.expired.insert(phone);
            }
            Step::Upgrade { phone, versions } => self.upgrade(phone, versions),
            Step::Poison { phone } => self.poison(phone, &mut dice),
        }
    }

    fn record(
        &mut self,
        at: usize,
        dice: &mut Dice,
        act: fn(&client_sdk::store::Store, &mut Deeds, Actor, &mut Dice) -> Done,
    ) {
        let cast = self.plan.cast.phones[at];
        let actor = Actor { phone: at, programme: cast.programme, user: cast.user, now: self.now() };
        let Some(phone) = self.phones[at].as_mut().filter(|phone| phone.store.is_some()) else { return };
        if phone.step().is_err() {
            return self.crash(at);
        }
        let Ok(store) = phone.store() else { return };
        let first = self.deeds.next();
        let done = act(store, &mut self.deeds, actor, dice);
        let deeds: Vec<String> = self.deeds.iter().skip(first).map(|(n, deed)| format!("d{n} {deed}")).collect();
        let is_group = self.deeds.iter().skip(first).any(|(_, deed)| deed.group.is_some());
        self.tally.count_if(is_group, Met::Group);
        self.tally.count_if(matches!(done, Done::Failed(_)), Met::SaveFailed);
        self.say(format_args!("phone {at}: {done:?} {}", deeds.join(", ")));
        self.note_clock(at);
        self.stay_awake(at);
        if matches!(done, Done::Recorded(_)) && cast.is_connected {
            self.let_handle(at, Event::Recorded);
        }
    }

    pub(super) fn office(&mut self, programme: usize, dice: &mut Dice, act: office::Act) {
        let now = self.now();
        let what = act(&mut self.server, &mut self.deeds, &self.plan.cast, programme, now, dice);
        self.say(format_args!("office {programme}: {what}"));
        self.look_for_news();
    }

    fn let_handle(&mut self, at: usize, event: Event) {
        let Some(phone) = self.phone(at) else { return };
        let outcome = phone.handle(event);
        self.follow(at, outcome.map(Some));
    }

    /// Does what a phone wants, or what follows when it stopped.
    fn follow(&mut self, at: usize, outcome: Result<Option<Option<Want>>, Stop>) {
        let now = self.now_ms();
        let (notice, request) = match self.phones[at].as_mut() {
            Some(phone) => (phone.notice.take(), phone.request),
            None => return,
        };
        if let Some(notice) = &notice {
            self.say(format_args!("phone {at}: {notice:?}"));
        }
        match outcome {
            Ok(None | Some(None)) => {}
            Ok(Some(Some(Want::Send { body, wait_ms }))) => self.send(at, body.into(), wait_ms),
            Ok(Some(Some(Want::Refresh))) => {
                let after = self.dice.between(50, 3 * SECOND_MS);
                self.queue.push(now + after, Coming::Tokens { phone: at, request });
            }
            Ok(Some(Some(Want::Timer { after_ms }))) => self.set_timer(at, after_ms),
            Err(Stop::Crashed) => self.crash(at),
            Err(Stop::Failed(error)) => {
                self.say(format_args!("phone {at}: its files fail: {error}"));
                self.check_failed(at, &error.to_string());
                if let Some(phone) = self.phone(at) {
                    phone.restart_sync();
                }
                self.queue.push(now + RESUME_MS, Coming::Resume { phone: at });
            }
        }
    }

    fn check_failed(&mut self, at: usize, error: &str) {
        if self.is_healed {
            self.violate("storage", format!("phone {at}: its files fail although nothing is wrong: {error}"));
        }
    }

    fn crash(&mut self, at: usize) {
        let now = self.now_ms();
        let folder = self.new_folder(at);
        let seed = self.dice.bits();
        let Some(phone) = &mut self.phones[at] else { return };
        let (down_ms, loses_power) = (phone.down_ms, phone.loses_power);
        phone.crash_after = None;
        phone.stop(&folder, loses_power.then_some(seed)).expect("the folder can be copied");
        self.tally.count(if loses_power { Met::PowerLost } else { Met::AppKilled });
        self.say(format_args!("phone {at} stops{}", if loses_power { " and loses its power" } else { "" }));
        self.queue.push(now + down_ms, Coming::Start { phone: at });
    }
}
