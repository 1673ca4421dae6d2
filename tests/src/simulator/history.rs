//! Plays a plan: faults first, then everything is mended and has to come together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use client_sdk::sync::machine::Event;
use client_sdk::sync::{Failure, Notice};
use sync_protocol::time::Timestamp;
use tempfile::TempDir;

use super::act::{self, Actor, Done};
use super::backend::{Backend, Backup};
use super::bug::Bug;
use super::check::{self, Violation};
use super::clock::{Clock, START, SimWorld};
use super::deed::Deeds;
use super::dice::Dice;
use super::disk;
use super::foreign::Foreign;
use super::network::Network;
use super::office;
use super::phone::{Phone, Stop, Want};
use super::plan::{Plan, Step};
use super::promise::Promises;
use super::queue::{Coming, Queue};
use super::trace::Trace;

const SECOND_MS: i64 = 1_000;
/// How long a person looks at the phone after doing something.
const AWAKE_MS: i64 = 120 * SECOND_MS;
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
    /// What the server holds in the end, without what clocks say: equal for equal histories.
    pub state: Vec<String>,
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
            phone.disk.heal();
            if phone.store.is_none() {
                self.queue.push(now, Coming::Start { phone: at });
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
        Outcome { violations: self.violations, trace_hash, trace: self.trace.into_lines(), state }
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
            Coming::Resume { phone } => self.wake(phone),
            Coming::Sleep { phone, since } => self.sleep(phone, since),
            Coming::DiskHeals { phone } => {
                if let Some(phone) = &mut self.phones[phone] {
                    phone.disk.heal();
                }
            }
            Coming::SlowCommit { programme, number, salt } => {
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
        let phone = Phone::new(self.plan.cast.phones[at], Arc::new(world), folder, self.options.bug);
        self.phones[at] = Some(phone);
        self.start(at);
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
            Step::Settle { phone } => self.record(phone, &mut dice, act::settle),
            Step::Wake { phone } => self.wake(phone),
            Step::OfficeEdit { programme } => self.office(programme, &mut dice, office::edit),
            Step::OfficeDecide { programme } => self.office(programme, &mut dice, office::decide),
            Step::OfficeAssign { programme } => self.office(programme, &mut dice, office::assign),
            Step::OfficeBar { programme } => self.office(programme, &mut dice, office::bar),
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
            Step::FailDisk { phone, is_full, after, calls } => {
                let stays = calls > 1;
                if let Some(phone) = self.phone(phone) {
                    phone.disk.fail(is_full, after, stays);
                }
                let at_ms = self.now_ms() + i64::from(calls) * 10 * SECOND_MS;
                self.queue.push(at_ms, Coming::DiskHeals { phone });
            }
            Step::CrashServer { is_after_commit } => self.server.crash_next = Some(is_after_commit),
            Step::BackUpServer => self.server_backup = Some((self.now(), self.server.back_up())),
            Step::RestoreServer => self.restore_server(),
            Step::BackUpPhone { phone } => self.back_up_phone(phone),
            Step::RestorePhone { phone } => self.restore_phone(phone),
            Step::ClonePhone { from, to } => self.clone_phone(from, to),
            Step::SetClock { phone, offset_ms } => {
                let is_right = self.options.has_right_clocks;
                if let Some(phone) = &mut self.phones[phone] {
                    phone.world.set_offset_ms(if is_right { 0 } else { offset_ms });
                }
            }
            Step::ExpireToken { phone } => drop(self.expired.insert(phone)),
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
        self.say(format_args!("phone {at}: {done:?} {}", deeds.join(", ")));
        self.stay_awake(at);
        if matches!(done, Done::Recorded(_)) && cast.is_connected {
            self.let_handle(at, Event::Recorded);
        }
    }

    fn office(&mut self, programme: usize, dice: &mut Dice, act: office::Act) {
        let now = self.now();
        let what = act(&mut self.server, &mut self.deeds, &self.plan.cast, programme, now, dice);
        self.say(format_args!("office {programme}: {what}"));
        self.look_for_news();
    }

    /// Someone opens the application.
    fn wake(&mut self, at: usize) {
        self.stay_awake(at);
        self.let_handle(at, Event::Wake);
        if let Some(foreign) = self.foreign.get_mut(&at) {
            let body = foreign.request(self.clock.now());
            self.send(at, body, 0);
        }
    }

    /// A connected application runs as long as someone looks at it.
    fn stay_awake(&mut self, at: usize) {
        let now = self.now_ms();
        if let Some(phone) = self.phone(at).filter(|phone| phone.cast.is_connected) {
            phone.awake += 1;
            let since = phone.awake;
            self.queue.push(now + AWAKE_MS, Coming::Sleep { phone: at, since });
        }
    }

    fn sleep(&mut self, at: usize, since: u64) {
        let is_healed = self.is_healed;
        if self.phone(at).is_some_and(|phone| phone.awake == since) && !is_healed {
            self.let_handle(at, Event::Cancel);
        }
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

    /// A connected application tries again by itself; otherwise the person does, at the next look.
    fn set_timer(&mut self, at: usize, after_ms: u64) {
        let now = self.now_ms();
        let is_healed = self.is_healed;
        let Some(phone) = self.phone(at) else { return };
        if phone.cast.is_connected {
            phone.timer += 1;
            let timer = phone.timer;
            self.queue.push(now + after_ms as i64, Coming::Timer { phone: at, timer });
            return;
        }
        if !phone.is_stuck() {
            phone.restart_sync();
        }
        if is_healed {
            self.queue.push(now + RESUME_MS.min(after_ms as i64), Coming::Resume { phone: at });
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
        self.say(format_args!("phone {at} stops{}", if loses_power { " and loses its power" } else { "" }));
        self.queue.push(now + down_ms, Coming::Start { phone: at });
    }

    fn send(&mut self, at: usize, body: Bytes, wait_ms: u32) {
        let now = self.now_ms();
        let request = self.request_of(at);
        if self.expired.contains(&at) {
            let event = Event::Failed(Failure::Unauthorised);
            return self.queue.push(now + 100, Coming::End { phone: at, request, event });
        }
        let sending = self.network.request(at, now, wait_ms);
        self.say(format_args!("phone {at} sends {} bytes, request {request}, {sending:?}", body.len()));
        if let Some(after) = sending.arrives_after_ms {
            let arrival = Coming::Arrival { phone: at, request: Some(request), body: body.clone(), wait_ms };
            self.queue.push(now + after, arrival);
        }
        if let Some(after) = sending.copy_after_ms {
            self.queue.push(now + after, Coming::Arrival { phone: at, request: None, body, wait_ms: 0 });
        }
        if let Some((after, failure)) = sending.failure {
            self.queue.push(now + after, Coming::End { phone: at, request, event: Event::Failed(failure) });
        }
    }

    fn request_of(&self, at: usize) -> u64 {
        self.phones[at].as_ref().map_or_else(|| self.foreign.get(&at).map_or(0, |f| f.request), |phone| phone.request)
    }

    fn tokens(&mut self, at: usize, request: u64) {
        let is_current = self.request_of(at) == request;
        if !is_current || self.phone(at).is_none() {
            return;
        }
        let user = self.plan.cast.phones[at].user;
        let is_lost = !self.is_healed && self.dice.per_mille(50);
        let event = if self.server.is_barred(user) {
            Event::TokenRefused
        } else if is_lost {
            Event::Failed(Failure::Offline("the tokens did not arrive".to_owned()))
        } else {
            self.expired.remove(&at);
            Event::TokenRefreshed
        };
        self.let_handle(at, event);
    }

    fn arrive(&mut self, at: usize, request: Option<u64>, body: Bytes, wait_ms: u32) {
        let programme = self.plan.cast.phones[at].programme;
        if let Some(request) = request.filter(|_| wait_ms > 0)
            && let Some(head) = self.server.head_to_wait_at(programme, &body)
        {
            let until = self.now_ms() + i64::from(wait_ms);
            self.queue.push(until, Coming::WaitIsOver { phone: at, request });
            self.waiting.push(Waiting { phone: at, request, body, wait_ms, head });
            return;
        }
        self.serve(at, request, &body, wait_ms);
    }

    fn wait_is_over(&mut self, at: usize, request: u64) {
        let found = self.waiting.iter().position(|waiting| (waiting.phone, waiting.request) == (at, request));
        if let Some(found) = found {
            let waiting = self.waiting.remove(found);
            self.serve(at, Some(request), &waiting.body, waiting.wait_ms);
        }
    }

    /// Answers who waits for news, when there are some.
    fn look_for_news(&mut self) {
        while let Some(found) = self.waiting.iter().position(|waiting| {
            let programme = self.plan.cast.phones[waiting.phone].programme;
            self.server.head(programme).seq != waiting.head
        }) {
            let waiting = self.waiting.remove(found);
            self.serve(waiting.phone, Some(waiting.request), &waiting.body, waiting.wait_ms);
        }
    }

    /// Lets the server answer a request. A copy of a request is answered too, but nobody is there any more.
    fn serve(&mut self, at: usize, request: Option<u64>, body: &Bytes, wait_ms: u32) {
        let now = self.now_ms();
        let cast = self.plan.cast.phones[at];
        let head = self.server.head(cast.programme).seq;
        let answer = self.server.exchange(cast.programme, cast.user, body);
        check::delivered(self, at, &answer.chunks);
        self.say(format_args!(
            "the server answers phone {at}, request {request:?}: {}{}",
            answer.chunks.iter().map(|chunk| super::backend::describe(chunk)).collect::<Vec<_>>().join(" | "),
            if answer.is_whole { "" } else { ", and stops" }
        ));
        if let Some(request) = request {
            self.promises.note(&self.server, cast.programme, cast.user, (at, request), body, &answer);
            let chunks = self.server.with_newer_frames(answer.chunks, self.plan.knobs.newer_frames, &mut self.dice);
            let reply = self.network.reply(at, now, wait_ms, chunks, answer.is_whole);
            for part in reply.parts {
                self.queue.push(now + part.after_ms, Coming::Part { phone: at, request, bytes: part.bytes });
            }
            let (after, failure) = reply.end;
            let event = failure.map_or(Event::Ended, Event::Failed);
            self.queue.push(now + after, Coming::End { phone: at, request, event });
        }
        if self.server.head(cast.programme).seq != head {
            self.look_for_news();
        }
    }

    fn part(&mut self, at: usize, request: u64, bytes: &Bytes) {
        if self.request_of(at) != request {
            return;
        }
        if let Some(foreign) = self.foreign.get_mut(&at) {
            return foreign.receive(bytes);
        }
        let Some(phone) = self.phone(at) else { return };
        let outcome = phone.receive(bytes);
        if matches!(outcome, Ok(Some(_))) && self.request_of(at) == request {
            // The rest of a reply that was given up comes too late.
            if let Some(phone) = self.phone(at) {
                phone.request += 1;
            }
        }
        self.follow(at, outcome);
    }

    fn end(&mut self, at: usize, request: u64, event: Event) {
        if self.request_of(at) != request {
            return;
        }
        if let Some(foreign) = self.foreign.get_mut(&at) {
            foreign.end();
            if self.is_healed && !foreign.is_drained() {
                self.wake(at);
            }
            return;
        }
        let Some(phone) = self.phone(at) else { return };
        let outcome = phone.end(event);
        let is_alive = outcome.is_ok();
        if is_alive {
            check::promised(self, at, request);
        }
        self.follow(at, outcome.map(Some));
    }

    fn restore_server(&mut self) {
        let Some((since, backup)) = &self.server_backup else { return };
        self.server.restore(backup);
        let since = *since;
        self.deeds.forget_office(since);
        self.say(format_args!("the server is as it was at {}", since.0 - START.0));
        self.look_for_news();
    }

    fn back_up_phone(&mut self, at: usize) {
        let folder = self.new_folder(at);
        let now = self.now();
        let Some(phone) = self.phone(at) else { return };
        disk::copy_folder(&phone.folder, &folder).expect("the folder can be copied");
        self.phone_backups.insert(at, (now, folder));
    }

    fn restore_phone(&mut self, at: usize) {
        let Some((since, backup)) = self.phone_backups.remove(&at) else { return };
        let Some(phone) = &mut self.phones[at] else { return };
        phone.move_to(&backup).expect("the folder can be removed");
        self.deeds.forget_phone(at, since);
        self.start(at);
    }

    fn clone_phone(&mut self, from: usize, to: usize) {
        let folder = self.new_folder(to);
        let Some(phone) = self.phone(from) else { return };
        disk::copy_folder(&phone.folder, &folder).expect("the folder can be copied");
        let world = SimWorld::new(&self.clock, Dice::named(self.plan.seed, 100 + to as u64));
        self.phones[to] = Some(Phone::new(self.plan.cast.phones[to], Arc::new(world), folder, self.options.bug));
        self.start(to);
    }

    fn poison(&mut self, at: usize, dice: &mut Dice) {
        let cast = self.plan.cast.phones[at];
        let now = self.now();
        let enterprise = self.plan.cast.programmes[cast.programme].enterprises[0];
        let Some(foreign) = self.foreign.get_mut(&at) else { return };
        let what = foreign.record(cast.user, enterprise, now, dice);
        self.say(format_args!("phone {at} records {what}"));
        self.wake(at);
    }
}

/// Returns whether a notice says that a device has everything.
pub fn is_complete(notice: &Notice) -> bool {
    *notice == Notice::Complete
}
