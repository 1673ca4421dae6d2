//! A phone of a history: the SDK's own store on real files, and its own sync machine, driven by hand.
//!
//! What the asynchronous driver of the SDK does over time is done here step by step: between any two of them the
//! history may let time pass, lose a message, or stop the phone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use client_sdk::api::Rules;
use client_sdk::error::{Error, Result};
use client_sdk::key::FixedKeyProvider;
use client_sdk::store::{AcceptAll, Account, Page, PushBytes, Store, StoreOptions, Tokens, Validator};
use client_sdk::sync::machine::{Command, Event, Machine, StateView};
use client_sdk::sync::{Failure, Notice, perform};
use client_sdk::world::World as _;
use sync_protocol::code::Locale;
use sync_protocol::cursor::Cursor;
use sync_protocol::frame::Reader;
use sync_protocol::id::UserId;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::Message;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::bug::Bug;
use super::cast::PhoneCast;
use super::clock::SimWorld;
use super::disk::{self, PhoneDisk};

/// As in the SDK's driver.
const MAX_FRAME_BYTES: usize = 8 << 20;
/// What a phone pushes in one request on a good network.
pub const PUSH_BYTES: usize = 1 << 20;
/// How long a connected phone lets the server wait for news.
pub const WAIT_MS: u32 = 25_000;
/// As in the SDK's driver: a request of which nothing was heard for so long gives way to a wake.
pub const SILENT_MS: i64 = 5_000;
/// A device with the planted mistake gives up after so many failures.
const STUCK_AFTER: u32 = 3;

/// What a phone wants of its surroundings next.
#[derive(Debug)]
pub enum Want {
    /// Send a request.
    Send { body: Vec<u8>, wait_ms: u32 },
    /// Be called again after a time.
    Timer { after_ms: u64 },
    /// New tokens.
    Refresh,
}

/// Why work on a phone came to an end early.
#[derive(Debug)]
pub enum Stop {
    /// The phone stopped at this point.
    Crashed,
    /// The files failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A phone.
pub struct Phone {
    /// Who works on it.
    pub cast: PhoneCast,
    /// Its clocks and randomness.
    pub world: Arc<SimWorld>,
    /// Where its files are.
    pub folder: PathBuf,
    /// The open store; `None` while the phone is off. Before the disk: a disk that goes while files on it are open stays
    /// in memory, with every file that it knows.
    pub store: Option<Store>,
    /// The disk under them.
    pub disk: PhoneDisk,
    /// The request that is under way; replies to others come too late.
    pub request: u64,
    /// When something was last heard of the request that is under way, or when it was sent.
    pub heard: Option<Timestamp>,
    /// The timer that counts.
    pub timer: u64,
    /// After how many steps it stops.
    pub crash_after: Option<u32>,
    /// Whether it loses its power then, and with it what was not synced.
    pub loses_power: bool,
    /// How long it stays off then.
    pub down_ms: i64,
    /// How often someone has looked at it.
    pub awake: u64,
    /// The last cursor that it said to have everything up to.
    pub complete: Option<Cursor>,
    /// The last notice of the machine.
    pub notice: Option<Notice>,
    /// Requests since the last notice that everything is on both sides.
    pub rounds: u32,
    machine: Machine,
    reader: Reader,
    view: Option<StateView>,
    prepared: Option<PushBytes>,
    failure: Option<Failure>,
    failures: u32,
    bug: Option<Bug>,
    /// What it pushes in one request: little on a slow network.
    pub push_bytes: usize,
}

impl Phone {
    /// Returns a phone that is off, with what was prepared for its folder.
    pub fn new(cast: PhoneCast, world: Arc<SimWorld>, folder: PathBuf, bug: Option<Bug>, push_bytes: usize) -> Self {
        Self {
            cast,
            world,
            folder,
            disk: PhoneDisk::new(bug),
            store: None,
            request: 0,
            heard: None,
            timer: 0,
            crash_after: None,
            loses_power: false,
            down_ms: 0,
            awake: 0,
            complete: None,
            notice: None,
            rounds: 0,
            machine: machine(cast),
            reader: Reader::new(MAX_FRAME_BYTES),
            view: None,
            prepared: None,
            failure: None,
            failures: 0,
            bug,
            push_bytes,
        }
    }

    /// Opens the application.
    pub fn open(&mut self, programme: Uuid) -> Result<()> {
        let validator: Arc<dyn Validator> =
            if self.cast.has_rules { Arc::new(Rules::new(Locale::Ro)) } else { Arc::new(AcceptAll) };
        let store = Store::open(StoreOptions {
            folder: self.folder.clone(),
            keys: Arc::new(FixedKeyProvider(disk::KEY)),
            world: self.world.clone(),
            validator,
            vfs: Some(self.disk.name()),
            ballast_bytes: 0,
        })?;
        if store.account()?.is_none() {
            store.set_account(Account { user: UserId(self.cast.user), programme }, &tokens())?;
        }
        self.store = Some(store);
        self.restart_sync();
        Ok(())
    }

    /// Starts the sync part of the application anew, as an application does when it fails.
    pub fn restart_sync(&mut self) {
        self.machine = machine(self.cast);
        self.request += 1;
        self.timer += 1;
        self.heard = None;
        (self.view, self.prepared, self.failure, self.failures) = (None, None, None, 0);
    }

    /// Ends the application without a word, at this very point: by the operating system, which leaves the files as
    /// they are, or because the power goes, and with it what was not synced.
    pub fn stop(&mut self, to: &Path, power: Option<u64>) -> std::io::Result<()> {
        if let Some(seed) = power {
            self.disk.lose_power(seed);
            self.store = None;
            self.restart_sync();
            (self.crash_after, self.complete) = (None, None);
            return Ok(());
        }
        disk::copy_folder(&self.folder, to)?;
        self.move_to(to)
    }

    /// Leaves its files for those of another folder. What is there counts as synced.
    pub fn move_to(&mut self, folder: &Path) -> std::io::Result<()> {
        self.disk.take_out();
        self.store = None;
        std::fs::remove_dir_all(&self.folder)?;
        self.folder = folder.to_owned();
        self.disk = PhoneDisk::new(self.bug);
        self.restart_sync();
        (self.crash_after, self.complete) = (None, None);
        Ok(())
    }

    /// Returns the open store.
    pub fn store(&self) -> Result<&Store> {
        self.store.as_ref().ok_or(Error::Cancelled)
    }

    /// Counts one step of work.
    pub fn step(&mut self) -> std::result::Result<(), Stop> {
        match &mut self.crash_after {
            Some(0) => Err(Stop::Crashed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Lets the machine decide between two requests.
    pub fn handle(&mut self, event: Event) -> std::result::Result<Option<Want>, Stop> {
        if self.is_stuck() {
            return Ok(None);
        }
        if matches!(event, Event::Failed(_)) {
            self.failures += 1;
        }
        let view = self.read_view()?;
        let commands = self.machine.handle(event, &view);
        self.plan(commands)
    }

    /// Returns whether the planted mistake has struck.
    pub fn is_stuck(&self) -> bool {
        self.bug == Some(Bug::StuckBackoff) && self.failures >= STUCK_AFTER
    }

    fn plan(&mut self, commands: Vec<Command>) -> std::result::Result<Option<Want>, Stop> {
        let mut want = None;
        for command in commands {
            match command {
                Command::Request { push, wait_ms } => want = Some(self.ask(push, wait_ms)?),
                Command::Schedule { after_ms } => want = Some(Want::Timer { after_ms }),
                Command::RefreshToken => want = Some(Want::Refresh),
                Command::Abort => {
                    self.request += 1;
                    self.heard = None;
                }
                Command::Notify(notice) => self.note(notice),
                _ => {}
            }
        }
        Ok(want)
    }

    fn note(&mut self, notice: Notice) {
        if notice == Notice::Complete {
            (self.failures, self.rounds) = (0, 0);
        }
        if !matches!(notice, Notice::Received { .. }) {
            self.notice = Some(notice);
        }
    }

    /// Builds a request, and begins with the pushes of the one after it.
    fn ask(&mut self, push: bool, wait_ms: u32) -> std::result::Result<Want, Stop> {
        self.step()?;
        self.request += 1;
        self.heard = Some(self.world.true_now());
        self.rounds += 1;
        (self.view, self.failure) = (None, None);
        self.reader = Reader::new(MAX_FRAME_BYTES);
        let ready = self.prepared.take();
        let store = self.store()?;
        let mut hello = store.hello("teren-sim/1", wait_ms)?;
        let pushed = if push { Some(store.push_bytes(ready, self.push_bytes)?) } else { None };
        let checks = store.checks()?;
        hello.more = checks.is_empty() && pushed.as_ref().is_some_and(|pushed| store.has_more(pushed));
        let mut body = Vec::new();
        Message::Hello(hello).write(&mut body);
        let mut prepared = None;
        if let Some(pushed) = pushed {
            body.extend(&pushed.frames);
            prepared = store.push_bytes_after(&pushed, self.push_bytes)?;
        }
        checks.iter().for_each(|check| check.write(&mut body));
        self.prepared = prepared;
        Ok(Want::Send { body, wait_ms })
    }

    /// Takes a part of a response. Returns what is wanted when the machine gives the response up.
    pub fn receive(&mut self, chunk: &Bytes) -> std::result::Result<Option<Option<Want>>, Stop> {
        self.heard = Some(self.world.true_now());
        let view = match self.view {
            Some(view) => view,
            None => *self.view.insert(self.read_view()?),
        };
        self.reader.push(chunk);
        loop {
            let frame = self.reader.next_frame();
            let message = match frame.and_then(|frame| frame.map(|frame| Message::read(&frame)).transpose()) {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(None),
                Err(error) => return self.end(Event::Failed(Failure::NotOurServer(error.to_string()))).map(Some),
            };
            let commands = self.machine.handle(Event::Frame(message), &view);
            let gives_up = commands.iter().any(Command::ends_request);
            let want = self.take(commands)?;
            if gives_up {
                self.finish()?;
                return Ok(Some(want));
            }
        }
    }

    fn take(&mut self, commands: Vec<Command>) -> std::result::Result<Option<Want>, Stop> {
        let (work, other): (Vec<Command>, Vec<Command>) = commands.into_iter().partition(Command::is_for_store);
        for command in work {
            self.step()?;
            if self.failure.is_none()
                && let Err(error) = self.work(command)
            {
                match error {
                    Stop::Crashed => return Err(Stop::Crashed),
                    Stop::Failed(error) => self.failure = Some(Failure::Storage(error.to_string())),
                }
            }
        }
        self.plan(other)
    }

    /// Lets the store do what the machine asks for, with the planted mistakes of a device.
    fn work(&mut self, command: Command) -> std::result::Result<(), Stop> {
        let complete = match &command {
            Command::ApplyPage(page) => page.checkpoint.cursor,
            Command::StartOver => {
                self.complete = None;
                None
            }
            _ => None,
        };
        match (self.bug, command) {
            (Some(Bug::PageWithoutCursor), Command::ApplyPage(page)) => {
                let place = Page { rows: Vec::new(), gone: Vec::new(), checkpoint: page.checkpoint.clone() };
                perform(self.store()?, Command::ApplyPage(place))?;
                self.store()?.flush()?;
                self.step()?;
                let mut rest = page;
                (rest.checkpoint.cursor, rest.checkpoint.behind) = (None, self.behind()?);
                perform(self.store()?, Command::ApplyPage(rest))?;
            }
            (Some(Bug::DropOnReject), Command::ApplyResult(result)) => {
                perform(self.store()?, Command::ApplyResult(result))?;
                for change in self.store()?.rejected(u32::MAX)? {
                    self.store()?.discard(change.change_id)?;
                }
            }
            (Some(Bug::NoResend), Command::Rewind(_) | Command::Meet { .. } | Command::AskAgain { .. }) => {}
            (_, command) => drop(perform(self.store()?, command)?),
        }
        if complete.is_some() {
            self.complete = complete;
        }
        Ok(())
    }

    fn behind(&self) -> Result<Vec<(Uuid, sync_protocol::cursor::Position)>> {
        Ok(self.store()?.hello("", 0)?.behind)
    }

    /// Takes the end of a response.
    pub fn end(&mut self, event: Event) -> std::result::Result<Option<Want>, Stop> {
        self.heard = None;
        let event = match self.finish()? {
            Some(failure) => Event::Failed(failure),
            None if event == Event::Ended && !self.reader.is_empty() => {
                Event::Failed(Failure::Offline("the response broke off".to_owned()))
            }
            None => event,
        };
        self.handle(event)
    }

    fn finish(&mut self) -> std::result::Result<Option<Failure>, Stop> {
        self.step()?;
        if self.failure.is_none()
            && let Err(error) = self.store()?.flush()
        {
            self.failure = Some(Failure::Storage(error.to_string()));
        }
        if self.failure.is_some() {
            self.complete = None;
        }
        Ok(self.failure.take())
    }

    fn read_view(&self) -> Result<StateView> {
        let store = self.store()?.sync_view()?;
        Ok(StateView { store, random: self.world.random_below(u64::MAX), uptime_ms: self.world.uptime_ms() })
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // Nobody reads the files any more.
        self.disk.take_out();
    }
}

fn machine(cast: PhoneCast) -> Machine {
    Machine::new(if cast.is_connected { WAIT_MS } else { 0 })
}

/// Returns tokens; who they belong to is known to the network of the history.
pub fn tokens() -> Tokens {
    let token = || Zeroizing::new("token".to_owned());
    Tokens { access: token(), refresh: token() }
}
