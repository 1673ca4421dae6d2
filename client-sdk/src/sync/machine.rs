//! The decisions of sync: what happened goes in, what to do comes out. No clock, no random, no I/O.

mod backoff;
mod event;
mod run;

pub use event::{Command, Event, Failure, Notice, StateView};

use sync_protocol::wire::{History, Message, PROTOCOL, Welcome};

use run::Run;

/// After so many answers that bring nothing although more was promised, the server counts as failing.
const STALLS: u32 = 3;
/// After so many demands in a row a request brings no changes: whatever is wrong with these, the rows come.
const DEMANDS: u32 = 8;
/// The most rows that may stand before a checkpoint, which bounds the memory.
const PAGE_ROWS: usize = 50_000;
/// A poll that ends sooner than this part of the agreed time, without news, is not repeated at once.
const QUICK_POLL_PART: u64 = 5;

/// The state of sync.
#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    /// How long the server may wait for news; 0 when one complete sync is wanted.
    wait_ms: u32,
    /// Failures in a row.
    failures: u32,
    /// Answers in a row that brought nothing although more was promised.
    stalls: u32,
    /// Answers in a row that demanded something.
    demands: u32,
    /// Whether the request under way is the first one with new tokens: if they are refused too, the person is asked.
    has_refreshed: bool,
    /// Whether everything was on both sides after the last session.
    is_up_to_date: bool,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Running(Run),
    Refreshing,
    Waiting,
    NeedsSignIn,
}

type Commands = Vec<Command>;

impl Machine {
    /// Returns a machine that rests. With `wait_ms` 0 it rests again after one complete sync.
    pub fn new(wait_ms: u32) -> Self {
        let (failures, stalls, demands) = (0, 0, 0);
        Self { phase: Phase::Idle, wait_ms, failures, stalls, demands, has_refreshed: false, is_up_to_date: false }
    }

    /// Returns whether nothing is under way or planned.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::NeedsSignIn)
    }

    /// Returns what to do about an event.
    pub fn handle(&mut self, event: Event, view: &StateView) -> Commands {
        match event {
            Event::Wake if matches!(self.phase, Phase::Running(_) | Phase::Refreshing) => Vec::new(),
            Event::Wake => self.start(view),
            Event::Timer if matches!(self.phase, Phase::Waiting | Phase::Idle) => self.start(view),
            Event::Timer => Vec::new(),
            Event::Recorded => self.recorded(view),
            Event::Frame(message) => self.frame(message, view),
            Event::Ended => self.ended(view),
            Event::Failed(failure) => self.failed(failure, view),
            Event::TokenRefreshed => {
                self.has_refreshed = true;
                self.start(view)
            }
            Event::TokenRefused => self.needs_sign_in(),
            Event::Cancel => {
                (self.phase, self.has_refreshed) = (Phase::Idle, false);
                vec![Command::Abort, Command::Notify(Notice::Stopped)]
            }
        }
    }

    fn start(&mut self, view: &StateView) -> Commands {
        if !view.store.is_signed_in {
            return self.needs_sign_in();
        }
        let push = view.has_pending() && self.demands < DEMANDS;
        let wait_ms = if push || !self.is_up_to_date { 0 } else { self.wait_ms };
        self.phase = Phase::Running(Run { started_ms: view.uptime_ms, wait_ms, ..Run::default() });
        vec![Command::Request { push, wait_ms }]
    }

    fn needs_sign_in(&mut self) -> Commands {
        self.phase = Phase::NeedsSignIn;
        vec![Command::Notify(Notice::NeedsSignIn)]
    }

    /// Waiting for news is given up for a push. Nothing else is: what runs is followed by a push anyway, and
    /// while the server cannot be reached, recording something does not help.
    fn recorded(&mut self, view: &StateView) -> Commands {
        match &self.phase {
            Phase::Idle => self.start(view),
            Phase::Running(run) if run.wait_ms > 0 => {
                let mut commands = vec![Command::Abort];
                commands.extend(self.start(view));
                commands
            }
            _ => Vec::new(),
        }
    }

    fn frame(&mut self, message: Message, view: &StateView) -> Commands {
        let Phase::Running(run) = &mut self.phase else { return Vec::new() };
        match (run.is_welcome, message) {
            (_, Message::Fault(fault)) => {
                let failure = run.failure_of(fault);
                self.failed(failure, view)
            }
            (_, Message::Skipped(_)) => Vec::new(),
            (false, Message::Welcome(welcome)) => self.welcomed(&welcome, view),
            (true, Message::PushResult(result)) => run.answered(result, view),
            (true, Message::Scopes(scopes)) => {
                run.has_advanced = true;
                vec![Command::ApplyScopes(scopes)]
            }
            (true, Message::Rows(rows)) => {
                run.rows.push(rows);
                self.check_page(view)
            }
            (true, Message::Gone(gone)) => {
                run.gone.push(gone);
                self.check_page(view)
            }
            (true, Message::Checkpoint(checkpoint)) => run.page(checkpoint, view),
            (true, Message::Digests(digests)) => {
                run.has_advanced = true;
                vec![Command::Verify(digests)]
            }
            (true, Message::Listing(listing)) => {
                run.has_advanced = true;
                vec![Command::Compare(listing)]
            }
            (true, Message::End(end)) => {
                run.end = Some(end);
                Vec::new()
            }
            (_, unexpected) => {
                let message = format!("{} came at the wrong place", name_of(&unexpected));
                self.failed(Failure::Fault { code: "BAD_ORDER".to_owned(), message }, view)
            }
        }
    }

    fn welcomed(&mut self, welcome: &Welcome, view: &StateView) -> Commands {
        if welcome.protocol != PROTOCOL {
            let message = format!("the server speaks version {}, this application {PROTOCOL}", welcome.protocol);
            return self.failed(Failure::Fault { code: "PROTOCOL_VERSION".to_owned(), message }, view);
        }
        self.has_refreshed = false;
        let Phase::Running(run) = &mut self.phase else { return Vec::new() };
        run.is_welcome = true;
        let mut commands = Vec::new();
        // Before the place that makes the server say so is forgotten.
        commands.extend(doubtful_after(welcome, view).map(|after_seq| Command::AskAgain { after_seq }));
        if !welcome.earlier.is_empty() {
            commands.push(Command::MeetEarlier(welcome.earlier.clone()));
        }
        if welcome.history == History::Other && !view.store.cursor.epoch.is_nil() {
            run.has_advanced = true;
            commands.push(welcome.common.map_or(Command::StartOver, Command::Rebase));
        }
        if welcome.history == History::Same && welcome.floor.is_some() {
            commands.push(Command::ExpectDifference);
        }
        if welcome.common.is_none() && view.store.cursor.epoch != welcome.epoch {
            commands.push(Command::Begin(welcome.epoch));
        }
        if view.store.is_another_day(welcome.now.0) {
            commands.push(Command::NoteDay(welcome.now));
        }
        if let Some(durable_seq) = welcome.durable_seq.filter(|_| welcome.history == History::Same) {
            commands.push(Command::NoteDurable(durable_seq));
        }
        // A number alone does not tell: a copy of this phone may have sent as many changes to a restored server.
        let Welcome { last_no, last_hash, .. } = *welcome;
        if (last_no, last_hash) != (view.store.acked_no, view.store.acked_hash) {
            commands.push(Command::Meet { last_no, last_hash });
        }
        commands
    }

    fn check_page(&mut self, view: &StateView) -> Commands {
        let Phase::Running(run) = &self.phase else { return Vec::new() };
        let rows: usize = run.rows.iter().map(|rows| rows.rows.len()).sum();
        let gone: usize = run.gone.iter().map(|gone| gone.rows.len()).sum();
        if rows + gone <= PAGE_ROWS {
            return Vec::new();
        }
        let message = format!("more than {PAGE_ROWS} rows came without a checkpoint");
        self.failed(Failure::Fault { code: "PAGE_TOO_LARGE".to_owned(), message }, view)
    }

    fn ended(&mut self, view: &StateView) -> Commands {
        let Phase::Running(run) = &mut self.phase else { return Vec::new() };
        let run = std::mem::take(run);
        let Some(end) = &run.end else {
            return self.failed(Failure::Offline("the response broke off".to_owned()), view);
        };
        self.failures = 0;
        self.demands = if run.has_demand { self.demands + 1 } else { 0 };
        let retry_after_ms = run.retry_after_ms.max(u64::from(end.retry_after_ms));
        // A server that does not answer checks is not asked again and again.
        let goes_on_repairing = view.store.is_repairing && run.has_advanced;
        let is_done = run.is_complete && !end.more && !view.has_pending() && !goes_on_repairing;
        self.is_up_to_date = is_done;
        if run.has_advanced || is_done {
            self.stalls = 0;
        } else {
            self.stalls += 1;
        }
        if retry_after_ms > 0 {
            return self.wait(retry_after_ms, Failure::Busy { after_ms: retry_after_ms });
        }
        if !is_done && self.stalls >= STALLS {
            self.stalls = 0;
            return self.failed(Failure::Offline("the server promises more and sends nothing".to_owned()), view);
        }
        if is_done { self.rest(&run, view) } else { self.start(view) }
    }

    /// Everything is on both sides: wait for news, or rest.
    fn rest(&mut self, run: &Run, view: &StateView) -> Commands {
        let mut commands = vec![Command::Notify(Notice::Complete)];
        let quick_ms = u64::from(run.wait_ms) / QUICK_POLL_PART;
        let took_ms = view.uptime_ms.saturating_sub(run.started_ms);
        if self.wait_ms == 0 {
            self.phase = Phase::Idle;
        } else if run.wait_ms > 0 && !run.has_advanced && took_ms < quick_ms {
            // A server or proxy that does not wait would otherwise be asked without a pause.
            self.phase = Phase::Waiting;
            commands.push(Command::Schedule { after_ms: quick_ms });
        } else {
            commands.extend(self.start(view));
        }
        commands
    }

    fn failed(&mut self, failure: Failure, view: &StateView) -> Commands {
        if matches!(self.phase, Phase::Idle | Phase::NeedsSignIn) {
            return Vec::new();
        }
        if failure == Failure::Unauthorised {
            return self.unauthorised();
        }
        // Whatever time passes until the next request, the tokens may run out in it.
        self.has_refreshed = false;
        self.failures = self.failures.saturating_add(1);
        self.is_up_to_date = false;
        let after_ms = backoff::delay_ms(&failure, self.failures, view.random);
        self.wait(after_ms, failure)
    }

    fn unauthorised(&mut self) -> Commands {
        if self.has_refreshed {
            return self.needs_sign_in();
        }
        self.phase = Phase::Refreshing;
        vec![Command::RefreshToken]
    }

    fn wait(&mut self, after_ms: u64, failure: Failure) -> Commands {
        self.phase = Phase::Waiting;
        vec![Command::Abort, Command::Notify(Notice::Waiting { failure, after_ms }), Command::Schedule { after_ms }]
    }
}

/// Returns the number after which answers are of a history that the server has left; `None` when it left none. A cache
/// that was made anew, or lost all with the power, does not know its place: there, all are when the server lacks changes
/// that it had.
fn doubtful_after(welcome: &Welcome, view: &StateView) -> Option<u64> {
    let own = &view.store.cursor;
    match (welcome.history, welcome.common) {
        _ if own.epoch.is_nil() => (welcome.last_no < view.store.acked_no).then_some(0),
        (History::Same, _) => (own.epoch != welcome.epoch).then_some(own.seq),
        // The device was away for too long, which is no other history.
        (History::Other, Some(common)) => (common != *own).then_some(common.seq),
        (History::Other, None) => Some(0),
    }
}

fn name_of(message: &Message) -> &'static str {
    match message {
        Message::Hello(_) => "a greeting",
        Message::Push(_) => "a push",
        Message::Welcome(_) => "a second welcome",
        Message::PushResult(_) => "a result",
        Message::Scopes(_) => "a list of scopes",
        Message::Rows(_) | Message::Gone(_) => "a row",
        Message::Checkpoint(_) => "a checkpoint",
        Message::End(_) => "the end",
        Message::Fault(_) => "a fault",
        Message::Sums(_) | Message::Want(_) => "a question",
        Message::Digests(_) | Message::Listing(_) => "an answer to a check",
        Message::Skipped(_) => "an unknown frame",
    }
}

#[cfg(test)]
mod tests;
