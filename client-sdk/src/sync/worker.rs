//! The thread that works on the store while the network goes on.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::machine::{Command, Failure};
use crate::error::Result;
use crate::store::{Answered, Store};

/// Work that may wait: so many pages are in memory at most, besides the one that is being received.
const JOBS_AHEAD: usize = 2;

/// What the work of one request came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) answered: Answered,
    pub(super) rows: u64,
    pub(super) is_complete: bool,
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
        match command {
            Command::ApplyPage(page) => {
                let applied = store.apply_page(&page)?;
                done.rows += applied.rows;
                done.is_complete |= applied.complete;
            }
            Command::ApplyResult(result) => add(&mut done.answered, store, &result)?,
            Command::ApplyScopes(scopes) => drop(store.apply_scopes(&scopes)?),
            Command::StartOver => store.start_over()?,
            Command::Rewind(number) => store.rewind(number)?,
            Command::NewIncarnation => store.new_incarnation()?,
            Command::Request { .. }
            | Command::Abort
            | Command::RefreshToken
            | Command::Schedule { .. }
            | Command::Notify(_) => {}
        }
    }
    store.flush()?;
    Ok(done)
}

fn add(total: &mut Answered, store: &Store, result: &sync_protocol::wire::PushResult) -> Result<()> {
    let answered = store.apply_result(result)?;
    if answered.is_foreign && result.demand.is_none() {
        store.new_incarnation()?;
    }
    total.pushed += answered.pushed;
    total.held += answered.held;
    total.rejected += answered.rejected;
    total.conflicts += answered.conflicts;
    Ok(())
}
