//! Going on after a failure of the disk: what SQLite gave up in the cache is laid over it again from the outbox,
//! and what the server sent is fetched again. A damaged cache is made anew while the application goes on.

use parking_lot::MutexGuard;

use super::check::check_outbox;
use super::overlay::Overlay;
use super::{Inner, Store, cache};
use crate::error::{Error, Result};

impl Store {
    /// Locks the files for reading. When the cache cannot be brought back yet, it shows what it has.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock();
        if let Err(error) = inner.recover() {
            tracing::warn!(%error, "the cache does not show everything");
        }
        inner
    }

    /// Reads. A cache that turns out to be damaged is made anew, and read again.
    pub(super) fn read<T>(&self, work: impl Fn(&Inner) -> Result<T>) -> Result<T> {
        let mut inner = self.lock();
        match work(&inner) {
            Err(error) if error.is_damage() => {
                inner.renew_damaged_cache(error)?;
                work(&inner)
            }
            outcome => outcome,
        }
    }

    /// Does what makes room or has been promised to the server: with the ballast when nothing else is free. Runs
    /// `work` again after a failure for lack of room.
    pub(super) fn drain<T>(&self, mut work: impl FnMut(&mut Inner) -> Result<T>) -> Result<T> {
        let mut inner = self.inner.lock();
        match inner.try_work(&mut work) {
            Err(Error::StorageFull { .. }) if inner.ballast.release() => inner.try_work(&mut work),
            Err(error) if error.is_damage() => {
                inner.renew_damaged_cache(error)?;
                inner.try_work(&mut work)
            }
            outcome => outcome,
        }
    }
}

impl Inner {
    fn try_work<T>(&mut self, work: &mut impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        self.recover()?;
        let outcome = work(self);
        if outcome.is_err() {
            self.give_up_cache();
        }
        outcome
    }

    /// Undoes what is open in the cache, which may be half done.
    pub(super) fn give_up_cache(&mut self) {
        self.cache.roll_back();
        self.is_cache_behind = true;
    }

    /// Makes the cache anew after an error that says that a file is damaged, unless that is the outbox: then returns
    /// the error, and the next opening saves what can be read.
    pub(super) fn renew_damaged_cache(&mut self, error: Error) -> Result<()> {
        let is_of_outbox = || check_outbox(&self.outbox.conn, 0).is_err();
        if !error.is_damage() || is_of_outbox() {
            return Err(error);
        }
        self.cache_file.must_be_readable()?;
        tracing::warn!(%error, "the cache is damaged; it is made anew");
        self.cache.give_up_file();
        let (cache, _) = cache::open(&self.cache_file, true)?;
        self.cache = cache;
        self.cache.leave_gap();
        self.overlay = Overlay::load(&self.outbox)?;
        self.in_conflict.clear();
        self.start_cache()?;
        self.is_cache_behind = false;
        Ok(())
    }

    /// Brings the cache back to where the outbox is. Costs nothing when it is there.
    pub(super) fn recover(&mut self) -> Result<()> {
        if self.is_cache_behind || self.cache.is_rolled_back() {
            self.is_cache_behind = true;
            self.cache.roll_back();
            self.cache.read_marks()?;
            self.overlay = Overlay::load(&self.outbox)?;
            if let Err(error) = self.repair() {
                self.cache.roll_back();
                return Err(error);
            }
            self.is_cache_behind = false;
        }
        Ok(())
    }
}
