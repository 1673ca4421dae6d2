//! What the device keeps: two encrypted SQLite files in one folder.
//!
//! `outbox.db` is small and precious: every change recorded here, durable when the call returns. `cache.db` is
//! large and disposable: the rows of the server with the unsettled changes laid over them. A lost cache is
//! fetched again, and what only this device knows is laid over it from the outbox.
//!
//! Everything is synchronous and takes about as long as SQLite does; call it from wherever blocking is allowed.

mod account;
mod ack;
mod again;
mod answers;
mod apply;
mod archive;
mod ballast;
mod cache;
mod change;
mod check;
mod erase;
mod file;
mod fold;
mod held;
mod journal;
mod lock;
mod mark;
mod meta;
mod migrate;
mod open;
mod outbox;
mod overlay;
mod push;
mod query;
mod read;
mod recover;
mod renumber;
mod repair;
mod salvage;
mod scopes;
mod seek;
mod session;
mod tables;
mod value;
mod verify;
mod write;

#[cfg(test)]
mod tests;

pub use account::{Account, Tokens};
pub use ack::Answered;
pub use apply::{Applied, Page};
pub use ballast::{BALLAST_BYTES, Room};
pub use change::{Answer, Change, ChangeState};
pub use open::{OpenReport, StoreOptions};
pub(crate) use push::REQUEST_BYTES;
pub use push::{Place, PushBytes};
pub use query::{Direction, Filter, Query};
pub use read::{RowState, ShownRow, SyncStatus};
pub use salvage::Salvaged;
pub use session::SyncView;
pub use verify::{Repaired, Verified};
pub use write::{AcceptAll, Lookup, Proposal, Validator, WriteBatch};

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::error::Result;
use crate::world::SharedWorld;

use ballast::Ballast;
use cache::Cache;
use file::DbFile;
use lock::FolderLock;
use outbox::Outbox;
use overlay::Overlay;

/// The open store. Shared between threads behind an `Arc`; one call at a time works on the files.
pub struct Store {
    inner: Mutex<Inner>,
    world: SharedWorld,
    validator: Arc<dyn Validator>,
    shown: watch::Sender<u64>,
    recorded: watch::Sender<u64>,
    report: OpenReport,
}

struct Inner {
    outbox: Outbox,
    cache: Cache,
    cache_file: DbFile,
    overlay: Overlay,
    /// Rows with a conflict that nobody has settled.
    in_conflict: HashSet<Uuid>,
    /// The cache lost something, and what the outbox knows is still to be laid over it.
    is_cache_behind: bool,
    ballast: Ballast,
    /// Last, so that it is let go of after the files are closed.
    _lock: FolderLock,
}

impl Store {
    /// Returns what was found and repaired when the store was opened.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Returns a signal that changes whenever what is shown has changed.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shown.subscribe()
    }

    /// Returns a signal that changes whenever something was recorded that the server does not have.
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.recorded.subscribe()
    }

    /// Writes what the cache still holds in memory. Not needed for safety: after a crash it is laid over again
    /// from the outbox. Call it when the application goes to the background.
    pub fn flush(&self) -> Result<()> {
        self.drain(|inner| inner.cache.commit())?;
        // Not before: the room may be just enough for what was written.
        self.inner.lock().ballast.restore();
        Ok(())
    }

    /// Closes the store in an orderly way, so that the next opening has nothing to repair.
    pub fn close(self) -> Result<()> {
        self.flush()
    }

    pub(crate) fn world(&self) -> &SharedWorld {
        &self.world
    }

    fn notify_shown(&self) {
        self.shown.send_modify(|version| *version += 1);
    }

    fn notify_recorded(&self) {
        self.recorded.send_modify(|version| *version += 1);
        self.notify_shown();
    }
}
