//! A sync under way: what the machine says, done in order.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use sync_protocol::frame::Reader;
use sync_protocol::wire::Message;

use super::request::{Ahead, Prepared, Request, Sent};
use super::{MAX_FRAME_BYTES, Progress, SyncOptions, SyncReport, Syncer};
use crate::error::{Error, Result};
use crate::sync::machine::{Command, Event, Failure, Machine, Notice, StateView};
use crate::sync::transport::Response;
use crate::sync::worker::{Done, Worker};

/// A sync under way.
pub(super) struct Session<'s> {
    pub(super) syncer: &'s Syncer,
    pub(super) machine: Machine,
    pub(super) options: SyncOptions,
    pub(super) progress: Progress,
    pub(super) report: SyncReport,
    /// Set by commands, done by the loop.
    pub(super) next: Next,
    pub(super) notice: Option<Notice>,
    /// The version of what was recorded that the machine has seen.
    pub(super) seen: u64,
    /// The pushes of the next request, in the making.
    prepared: Option<Prepared>,
    /// The next request, when it went out already.
    ahead: Option<Ahead>,
}

/// What the loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Rest,
    Request { push: bool, wait_ms: u32 },
    RefreshToken,
    Wait { after_ms: u64 },
}

impl Next {
    /// Only waiting for news is given up when something is recorded.
    pub(super) fn yields_to_a_push(self) -> bool {
        matches!(self, Self::Request { wait_ms: 1.., .. } | Self::Rest)
    }

    pub(super) fn yields_to_a_wake(self) -> bool {
        matches!(self, Self::Rest | Self::Wait { .. })
    }
}

impl<'s> Session<'s> {
    pub(super) async fn new(syncer: &'s Syncer, wait_ms: u32, options: SyncOptions) -> Result<Self> {
        let view = syncer.view().await?.store;
        let progress = Progress { to_push: view.last_no.saturating_sub(view.acked_no), ..Progress::default() };
        let machine = Machine::new(wait_ms);
        let report = SyncReport::default();
        let (next, notice, seen, prepared, ahead) = (Next::Rest, None, 0, None, None);
        Ok(Self { syncer, machine, options, progress, report, next, notice, seen, prepared, ahead })
    }

    /// Lets the machine decide between two requests.
    pub(super) async fn handle(&mut self, event: Event) -> Result<()> {
        // Before the view: what is recorded after it must be seen as news.
        self.seen = *self.syncer.line.store.recorded().borrow();
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
    pub(super) async fn step(&mut self, next: Next) -> Result<Option<Event>> {
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
    pub(super) async fn request(&mut self, push: bool, wait_ms: u32) -> Result<()> {
        let worker = Worker::start(Arc::clone(&self.syncer.line.store));
        let mut started_ms = self.uptime_ms();
        let ended = match self.sent(push, wait_ms).await? {
            Some(sent) => {
                started_ms = sent.started_ms;
                self.answered(sent, &worker).await?
            }
            None => Some(Event::Failed(Failure::Unauthorised)),
        };
        let event = match worker.finish().await {
            Ok(done) => {
                self.add(done);
                ended
            }
            Err(failure) => Some(Event::Failed(failure)),
        };
        match &event {
            Some(Event::Failed(Failure::Offline(_))) if push => self.syncer.pace.failed(),
            Some(Event::Ended) if push => self.syncer.pace.succeeded(self.uptime_ms().saturating_sub(started_ms)),
            _ => {}
        }
        match event {
            Some(event) => self.handle(event).await,
            None => Ok(()),
        }
    }

    /// Notes a sign of the server.
    fn heard(&self) {
        self.syncer.pace.heard(self.uptime_ms());
    }

    fn uptime_ms(&self) -> u64 {
        self.syncer.line.store.world().uptime_ms()
    }

    /// Returns the request that went out already, or sends one; `None` when nobody is signed in.
    async fn sent(&mut self, push: bool, wait_ms: u32) -> Result<Option<Sent>> {
        self.heard();
        let ahead = match self.ahead.take() {
            Some(ahead) if push => ahead.if_next(&self.syncer.line.store).await?,
            _ => None,
        };
        let sent = match ahead {
            Some(sent) => Some(sent),
            None => {
                let (budget_bytes, prepared) = (self.syncer.pace.budget_bytes(), self.prepared.take());
                self.syncer.line.send(Request { push, wait_ms, budget_bytes, prepared, ..Request::default() }).await?
            }
        };
        if let Some(sent) = &sent {
            self.report.requests += 1;
            self.report.bytes_sent += sent.body_bytes;
        }
        Ok(sent)
    }

    /// Takes the answer to a request, while the request that follows goes out. Returns how it ended.
    async fn answered(&mut self, sent: Sent, worker: &Worker) -> Result<Option<Event>> {
        match sent.answer {
            Ok(response) => {
                let budget_bytes = self.syncer.pace.budget_bytes();
                self.ahead = sent.next.map(|prepared| self.syncer.line.send_ahead(prepared, budget_bytes));
                self.receive(response, worker).await
            }
            Err(failure) => {
                self.prepared = sent.next;
                Ok(Some(Event::Failed(failure)))
            }
        }
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
            self.heard();
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
        let gives_up = commands.iter().any(Command::ends_request);
        if gives_up {
            self.next = Next::Rest;
        }
        for command in commands {
            if command.is_for_store() {
                worker.give(command).await;
            } else {
                self.plan(command);
            }
        }
        gives_up
    }

    pub(super) async fn refresh(&mut self) -> Result<()> {
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
        report.verified = done.verified.or(report.verified);
        report.repaired.add(done.repaired);
        self.progress.pushed = report.pushed;
        self.tell();
    }

    fn tell(&self) {
        if let Some(watcher) = &self.options.watcher {
            watcher(self.progress);
        }
    }

    pub(super) fn outcome(&mut self) -> Result<SyncReport> {
        match self.notice.take() {
            Some(Notice::Complete) => Ok(SyncReport { complete: true, ..self.report }),
            Some(Notice::NeedsSignIn) => Err(Error::NeedsSignIn),
            Some(Notice::Waiting { failure, .. }) => Err(failure.into()),
            _ => Ok(self.report),
        }
    }
}
