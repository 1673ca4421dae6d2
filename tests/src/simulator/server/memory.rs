//! The store of the simulated server: the same promises as Postgres, in memory, and a process that may die at any
//! of its calls.

mod read;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use server::store::{StoreError, SyncStore};
use sync_protocol::cursor::Cursor;
use sync_protocol::mutation::ChainHash;
use uuid::Uuid;

use super::super::bug::Bug;
use super::state::State;
use read::MemorySnapshot;
use write::MemoryTx;

type Answer<T> = Result<T, StoreError>;

/// Where the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashAt {
    /// Before the n-th call of the store in this request is carried out.
    Call(u32),
    /// Right after the n-th commit in this request, before anybody hears of it.
    AfterCommit(u32),
}

/// What happens between others, before a snapshot is opened.
pub type Meanwhile = Box<dyn FnOnce() + Send>;

/// The store as one process sees it. Clones are the same process.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<Arc<State>>>,
    process: Arc<Mutex<Process>>,
    bug: Option<Bug>,
}

/// How far a process is with its request.
#[derive(Default)]
struct Process {
    crash: Option<CrashAt>,
    is_dead: bool,
    calls: u32,
    commits: u32,
    snapshots: u32,
    /// Under a planted mistake: where the push that comes says that it goes on.
    continues: Option<(u64, ChainHash)>,
    /// Runs before the n-th snapshot of the request is opened.
    meanwhile: Option<(u32, Meanwhile)>,
}

impl MemoryStore {
    /// Returns the same database as another process sees it.
    pub fn beside(&self) -> Self {
        Self { state: self.state.clone(), process: Arc::default(), bug: self.bug }
    }

    /// Plants a mistake.
    pub(super) fn plant(&mut self, bug: Option<Bug>) {
        self.bug = bug;
    }

    /// Tells the planted mistake where the push that comes goes on.
    pub(super) fn forget(&self, continues: (u64, ChainHash)) {
        lock(&self.process).continues = Some(continues);
    }

    /// Returns the state as it is.
    pub fn state(&self) -> Arc<State> {
        lock(&self.state).clone()
    }

    /// Changes the state as someone with access to the database does.
    pub fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(Arc::make_mut(&mut lock(&self.state)))
    }

    /// Puts another state in the place of this one.
    pub fn replace(&self, state: State) {
        *lock(&self.state) = Arc::new(state);
    }

    /// Prepares the next request.
    pub(super) fn begin(&self, crash: Option<CrashAt>, meanwhile: Option<(u32, Meanwhile)>) {
        *lock(&self.process) = Process { crash, meanwhile, ..Process::default() };
    }

    /// Returns whether the process has died.
    pub(super) fn is_dead(&self) -> bool {
        lock(&self.process).is_dead
    }

    /// Counts a call; where the process is to die, the call never returns.
    async fn call(&self) {
        self.count(|process| {
            process.calls += 1;
            process.crash == Some(CrashAt::Call(process.calls))
        })
        .await;
    }

    async fn committed(&self) {
        self.count(|process| {
            process.commits += 1;
            process.crash == Some(CrashAt::AfterCommit(process.commits))
        })
        .await;
    }

    async fn count(&self, is_end: impl FnOnce(&mut Process) -> bool) {
        let is_dead = {
            let mut process = lock(&self.process);
            process.is_dead |= is_end(&mut process);
            process.is_dead
        };
        if is_dead {
            std::future::pending::<()>().await;
        }
    }
}

/// Nothing panics while a lock is held; if it did, what it guards would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SyncStore for MemoryStore {
    type Write = MemoryTx;
    type Snapshot = MemorySnapshot;

    async fn write_tx(&self) -> Answer<MemoryTx> {
        self.call().await;
        let store = self.clone();
        Ok(MemoryTx::new(self.state(), store))
    }

    async fn snapshot(&self, programme: Uuid) -> Answer<MemorySnapshot> {
        self.call().await;
        let meanwhile = {
            let mut process = lock(&self.process);
            process.snapshots += 1;
            let now = process.snapshots;
            process.meanwhile.take_if(|(at, _)| *at == now)
        };
        if let Some((_, work)) = meanwhile {
            work();
        }
        Ok(MemorySnapshot::new(self.state(), self.clone(), programme))
    }

    /// Blocking a device is not simulated.
    async fn is_session_open(&self, _session: Uuid) -> Answer<bool> {
        self.call().await;
        Ok(true)
    }

    async fn head_of(&self, programme: Uuid) -> Answer<Cursor> {
        self.call().await;
        Ok(self.state().head(programme))
    }
}
