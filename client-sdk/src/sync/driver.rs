//! Does what the machine says: one request at a time, the network and the store side by side.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use sync_protocol::frame::Reader;
use sync_protocol::wire::Message;

use super::machine::{Command, Event, Failure, Machine, Notice, StateView};
use super::transport::{Exchange, Response, TokenKeeper, Transport};
use super::worker::{Done, Worker};
use crate::error::{Error, Result};
use crate::store::Store;

/// The largest frame that is accepted, before and after decompression.
const MAX_FRAME_BYTES: usize = 8 << 20;

/// How far a sync is, for a progress bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows received in the request that runs.
    pub rows: u64,
    /// Rows expected in it; 0 when it is not known.
    pub rows_expected: u64,
    /// Changes that the server has got in this sync.
    pub pushed: u64,
    /// Changes that waited at its start.
    pub to_push: u64,
}

/// Is told how far a sync is. Called on the task that syncs: it must not block.
pub type Watcher = Arc<dyn Fn(Progress) + Send + Sync>;

/// How to sync.
#[derive(Clone, Default)]
pub struct SyncOptions {
    /// Is told how far the sync is.
    pub watcher: Option<Watcher>,
}

/// What a sync came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Changes that the server has got.
    pub pushed: u64,
    /// Of these: in effect, as sent or merged.
    pub applied: u64,
    /// Of these: kept by the server until something else happens.
    pub held: u64,
    /// Of these: refused; they stay here, editable.
    pub rejected: u64,
    /// Of these: met a concurrent edit.
    pub conflicts: u64,
    /// Rows received.
    pub pulled_rows: u64,
    /// Bytes of the requests' bodies.
    pub bytes_sent: u64,
    /// Bytes of the responses' bodies.
    pub bytes_received: u64,
    /// Requests made.
    pub requests: u32,
    /// Whether everything is on both sides.
    pub complete: bool,
}

/// Syncs a store with a server, one session at a time.
pub struct Syncer {
    store: Arc<Store>,
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenKeeper>,
    app: String,
    wait_ms: u32,
    session: tokio::sync::Mutex<()>,
    wake: tokio::sync::Notify,
}

/// A sync under way.
struct Session<'s> {
    syncer: &'s Syncer,
    machine: Machine,
    options: SyncOptions,
    progress: Progress,
    report: SyncReport,
    /// Set by commands, done by the loop.
    next: Next,
    notice: Option<Notice>,
    /// The version of what was recorded that the machine has seen.
    seen: u64,
}

/// What the loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Rest,
    Request { push: bool, wait_ms: u32 },
    RefreshToken,
    Wait { after_ms: u64 },
}

impl Syncer {
    /// Returns a syncer. `app` names the application and its version; `wait_ms` is how long the server may hold a
    /// request in [`Syncer::run_connected`].
    pub fn new(
        store: Arc<Store>,
        transport: Arc<dyn Transport>,
        tokens: Arc<dyn TokenKeeper>,
        app: impl Into<String>,
        wait_ms: u32,
    ) -> Self {
        Self {
            store,
            transport,
            tokens,
            app: app.into(),
            wait_ms,
            session: tokio::sync::Mutex::new(()),
            wake: tokio::sync::Notify::new(),
        }
    }

    /// Syncs until everything is on both sides.
    ///
    /// Dropping the future stops it anywhere; what was received up to then is kept, and the next sync goes on
    /// from there. Fails with the first thing that goes wrong, without trying again.
    pub async fn sync_once(&self, options: SyncOptions) -> Result<SyncReport> {
        let _alone = self.session.lock().await;
        let mut session = Session::new(self, 0, options).await?;
        session.handle(Event::Wake).await?;
        loop {
            match session.next {
                Next::Rest => return session.outcome(),
                Next::Wait { .. } => return session.outcome(),
                Next::Request { push, wait_ms } => session.request(push, wait_ms).await?,
                Next::RefreshToken => session.refresh().await?,
            }
        }
    }

    /// Keeps the device in sync until `cancel` resolves: pushes what is recorded at once, and waits for news.
    /// Never fails because of the network; `on_notice` is told how it goes.
    pub async fn run_connected(
        &self,
        options: SyncOptions,
        cancel: impl Future<Output = ()>,
        on_notice: impl Fn(&Notice),
    ) -> Result<()> {
        let _alone = self.session.lock().await;
        let mut session = Session::new(self, self.wait_ms, options).await?;
        tokio::pin!(cancel);
        let mut recorded = self.store.recorded();
        session.handle(Event::Wake).await?;
        loop {
            if let Some(notice) = session.notice.take() {
                on_notice(&notice);
            }
            let (next, seen) = (session.next, session.seen);
            let event = tokio::select! {
                () = &mut cancel => return Ok(()),
                outcome = session.step(next) => outcome?,
                _ = recorded.wait_for(|version| *version != seen), if next.yields_to_a_push() => Some(Event::Recorded),
                () = self.wake.notified(), if next.yields_to_a_wake() => Some(Event::Wake),
            };
            if let Some(event) = event {
                session.handle(event).await?;
            }
        }
    }

    /// Ends a pause of [`Syncer::run_connected`]: the network is back, the person has signed in.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    async fn view(&self) -> Result<StateView> {
        let store = on_thread(&self.store, Store::sync_view).await?;
        let world = self.store.world();
        Ok(StateView { store, random: world.random_below(u64::MAX), uptime_ms: world.uptime_ms() })
    }

    /// Builds the frames of a request.
    async fn body(&self, push: bool, wait_ms: u32) -> Result<Vec<u8>> {
        let app = self.app.clone();
        on_thread(&self.store, move |store| {
            let mut body = Vec::new();
            Message::Hello(store.hello(&app, wait_ms)?).write(&mut body);
            if push {
                for push in store.pushes()? {
                    Message::Push(push).write(&mut body);
                }
            }
            Ok(body)
        })
        .await
    }
}

impl Next {
    /// Only waiting for news is given up when something is recorded.
    fn yields_to_a_push(self) -> bool {
        matches!(self, Self::Request { wait_ms: 1.., .. } | Self::Rest)
    }

    fn yields_to_a_wake(self) -> bool {
        matches!(self, Self::Rest | Self::Wait { .. })
    }
}

/// Runs work on the store where blocking is allowed.
async fn on_thread<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
) -> Result<T> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.unwrap_or(Err(Error::Cancelled))
}

impl<'s> Session<'s> {
    async fn new(syncer: &'s Syncer, wait_ms: u32, options: SyncOptions) -> Result<Self> {
        let view = syncer.view().await?.store;
        let progress = Progress { to_push: view.last_no.saturating_sub(view.acked_no), ..Progress::default() };
        let machine = Machine::new(wait_ms);
        let report = SyncReport::default();
        Ok(Self { syncer, machine, options, progress, report, next: Next::Rest, notice: None, seen: 0 })
    }

    /// Lets the machine decide between two requests.
    async fn handle(&mut self, event: Event) -> Result<()> {
        // Before the view: what is recorded after it must be seen as news.
        self.seen = *self.syncer.store.recorded().borrow();
        let view = self.syncer.view().await?;
        let commands = self.machine.handle(event, &view);
        self.next = Next::Rest;
        for command in commands {
            self.plan(command);
        }
        Ok(())
    }

    fn plan(&mut self, command: Command) {
        match command {
            Command::Request { push, wait_ms } => self.next = Next::Request { push, wait_ms },
            Command::RefreshToken => self.next = Next::RefreshToken,
            Command::Schedule { after_ms } => self.next = Next::Wait { after_ms },
            Command::Notify(Notice::Received { rows, expected }) => {
                (self.progress.rows, self.progress.rows_expected) = (rows, expected);
                self.tell();
            }
            Command::Notify(notice) => self.notice = Some(notice),
            // The request is over when its future is dropped; the store's commands went to the worker.
            _ => {}
        }
    }

    /// Does what is next. Returns the event that follows, if the step did not handle it itself.
    async fn step(&mut self, next: Next) -> Result<Option<Event>> {
        match next {
            Next::Rest => std::future::pending().await,
            Next::Request { push, wait_ms } => self.request(push, wait_ms).await.map(|()| None),
            Next::RefreshToken => self.refresh().await.map(|()| None),
            Next::Wait { after_ms } => {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                Ok(Some(Event::Timer))
            }
        }
    }

    /// Makes a request and takes its response to the end.
    async fn request(&mut self, push: bool, wait_ms: u32) -> Result<()> {
        let worker = Worker::start(Arc::clone(&self.syncer.store));
        let ended = match self.exchange(push, wait_ms).await? {
            Ok(response) => self.receive(response, &worker).await?,
            Err(failure) => Some(Event::Failed(failure)),
        };
        let event = match worker.finish().await {
            Ok(done) => {
                self.add(done);
                ended
            }
            Err(failure) => Some(Event::Failed(failure)),
        };
        match event {
            Some(event) => self.handle(event).await,
            None => Ok(()),
        }
    }

    async fn exchange(&mut self, push: bool, wait_ms: u32) -> Result<Result<Response, Failure>> {
        let Some(tokens) = on_thread(&self.syncer.store, Store::tokens).await? else {
            return Ok(Err(Failure::Unauthorised));
        };
        let body = self.syncer.body(push, wait_ms).await?;
        self.report.requests += 1;
        self.report.bytes_sent += body.len() as u64;
        Ok(self.syncer.transport.exchange(Exchange { access_token: tokens.access, body }).await)
    }

    /// Takes a response apart. Returns how it ended, `None` when the machine has given it up before.
    async fn receive(&mut self, mut response: Response, worker: &Worker) -> Result<Option<Event>> {
        let view = self.syncer.view().await?;
        let mut reader = Reader::new(MAX_FRAME_BYTES);
        while let Some(chunk) = response.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(failure) => return Ok(Some(Event::Failed(failure))),
            };
            self.report.bytes_received += chunk.len() as u64;
            reader.push(&chunk);
            loop {
                let message = match reader.next_frame().and_then(|frame| frame.map(|f| Message::read(&f)).transpose()) {
                    Ok(Some(message)) => message,
                    Ok(None) => break,
                    Err(error) => return Ok(Some(Event::Failed(Failure::NotOurServer(error.to_string())))),
                };
                if self.take(message, &view, worker).await {
                    return Ok(None);
                }
            }
        }
        Ok(Some(if reader.is_empty() {
            Event::Ended
        } else {
            Event::Failed(Failure::Offline("the response broke off".to_owned()))
        }))
    }

    /// Handles a message. Returns whether the machine gives the response up.
    async fn take(&mut self, message: Message, view: &StateView, worker: &Worker) -> bool {
        let commands = self.machine.handle(Event::Frame(message), view);
        let gives_up = commands.iter().any(|command| {
            matches!(command, Command::Abort | Command::Schedule { .. } | Command::RefreshToken)
                || *command == Command::Notify(Notice::NeedsSignIn)
        });
        if gives_up {
            self.next = Next::Rest;
        }
        for command in commands {
            match command {
                Command::ApplyPage(_)
                | Command::ApplyResult(_)
                | Command::ApplyScopes(_)
                | Command::StartOver
                | Command::Rewind(_)
                | Command::NewIncarnation => worker.give(command).await,
                other => self.plan(other),
            }
        }
        gives_up
    }

    async fn refresh(&mut self) -> Result<()> {
        let event = match self.syncer.tokens.refresh().await {
            Ok(true) => Event::TokenRefreshed,
            Ok(false) => Event::TokenRefused,
            Err(failure) => Event::Failed(failure),
        };
        self.handle(event).await
    }

    fn add(&mut self, done: Done) {
        let report = &mut self.report;
        report.pushed += done.answered.pushed;
        report.held += done.answered.held;
        report.rejected += done.answered.rejected;
        report.conflicts += done.answered.conflicts;
        report.applied = report.pushed - report.held - report.rejected;
        report.pulled_rows += done.rows;
        self.progress.pushed = report.pushed;
        self.tell();
    }

    fn tell(&self) {
        if let Some(watcher) = &self.options.watcher {
            watcher(self.progress);
        }
    }

    fn outcome(&mut self) -> Result<SyncReport> {
        match self.notice.take() {
            Some(Notice::Complete) => Ok(SyncReport { complete: true, ..self.report }),
            Some(Notice::NeedsSignIn) => Err(Error::NeedsSignIn),
            Some(Notice::Waiting { failure, .. }) => Err(failure.into()),
            _ => Ok(self.report),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Offline(message) => Self::Network(message),
            Failure::NotOurServer(message) => Self::NotOurServer(message),
            Failure::Unauthorised => Self::NeedsSignIn,
            Failure::Busy { after_ms } => Self::Busy { after_ms: after_ms as u32 },
            Failure::Fault { code, message } => Self::Fault { code, message },
            Failure::Storage(message) => Self::Storage(message),
        }
    }
}

#[cfg(test)]
mod tests;
