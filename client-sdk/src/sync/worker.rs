//! The thread that works on the store while the network goes on.

use std::sync::Arc;

use sync_protocol::wire::PushResult;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::machine::{Command, Failure};
use crate::error::Result;
use crate::store::{Answered, Repaired, Store, Verified};

/// Work that may wait: so many pages are in memory at most, besides the one that is being received.
const JOBS_AHEAD: usize = 2;

/// What work on the store came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What answers settled.
    pub answered: Answered,
    /// Rows received.
    pub rows: u64,
    /// Whether everything is now here.
    pub is_complete: bool,
    /// What came of comparing the rows with the server's.
    pub verified: Option<Verified>,
    /// What is put right because it differed.
    pub repaired: Repaired,
}

/// The worker of one request.
pub(super) struct Worker {
    jobs: mpsc::Sender<Command>,
    task: JoinHandle<Result<Done>>,
}

impl Worker {
    pub(super) fn start(store: Arc<Store>) -> Self {
        let (jobs, queue) = mpsc::channel(JOBS_AHEAD);
        Self { jobs, task: tokio::task::spawn_blocking(move || work(&store, queue)) }
    }

    /// Hands a command over; waits while too many wait. A worker that failed says why at [`Worker::finish`].
    pub(super) async fn give(&self, command: Command) {
        let _ = self.jobs.send(command).await;
    }

    /// Waits until everything is done.
    pub(super) async fn finish(self) -> Result<Done, Failure> {
        drop(self.jobs);
        match self.task.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Failure::Storage(error.to_string())),
            Err(error) => Err(Failure::Storage(error.to_string())),
        }
    }
}

fn work(store: &Store, mut queue: mpsc::Receiver<Command>) -> Result<Done> {
    let mut done = Done::default();
    while let Some(command) = queue.blocking_recv() {
        done.add(perform(store, command)?);
    }
    store.flush()?;
    Ok(done)
}

/// Does what a command asks of the store; nothing for a command to someone else. A session ends with
/// [`Store::flush`].
pub fn perform(store: &Store, command: Command) -> Result<Done> {
    let mut done = Done::default();
    match command {
        Command::ApplyPage(page) => {
            let applied = store.apply_page(&page)?;
            done.rows = applied.rows;
            done.is_complete = applied.complete;
        }
        Command::ApplyResult(result) => done.answered = take_result(store, &result)?,
        Command::ApplyScopes(scopes) => drop(store.apply_scopes(&scopes)?),
        Command::StartOver => store.start_over()?,
        Command::Begin(epoch) => store.begin_history(epoch)?,
        Command::NoteDay(now) => store.note_day(now)?,
        Command::Rebase(common) => store.rebase(&common)?,
        Command::ExpectDifference => store.expect_difference()?,
        Command::Verify(digests) => {
            let verified = store.apply_digests(&digests)?;
            (done.verified, done.repaired.scopes) = (Some(verified), verified.differing);
        }
        Command::Compare(listing) => done.repaired = store.apply_listing(&listing)?,
        Command::Meet { last_no, last_hash } => store.meet(last_no, last_hash)?,
        Command::Rewind(number) => store.rewind(number)?,
        Command::NoteDurable(seq) => store.note_durable(seq)?,
        Command::AskAgain { after_seq } => store.ask_again(after_seq)?,
        Command::MeetEarlier(known) => store.meet_earlier(&known)?,
        Command::NewIncarnation => store.new_incarnation()?,
        Command::Request { .. }
        | Command::Abort
        | Command::RefreshToken
        | Command::Schedule { .. }
        | Command::Notify(_) => {}
    }
    Ok(done)
}

fn take_result(store: &Store, result: &PushResult) -> Result<Answered> {
    let answered = store.apply_result(result)?;
    if answered.is_foreign && result.demand.is_none() {
        store.new_incarnation()?;
    }
    Ok(answered)
}

impl Done {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.is_complete |= other.is_complete;
        self.verified = other.verified.or(self.verified);
        self.repaired.add(other.repaired);
        self.answered.pushed += other.answered.pushed;
        self.answered.held += other.answered.held;
        self.answered.rejected += other.answered.rejected;
        self.answered.conflicts += other.answered.conflicts;
    }
}
