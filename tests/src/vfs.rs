//! A disk that fails on demand, beneath real SQLite on real files.
//!
//! [`FaultDisk`] registers a SQLite VFS of its own name. It hands everything to the system's VFS, so that the files
//! are real and `std::fs` may rename, copy and delete them, but it remembers what was not synced yet. A power cut
//! takes each file back to what was synced and lets a random part of the rest through, cut at sectors. Syncs are
//! not handed on, which makes it quicker than the real disk.
//!
//! Every disk stands for itself, so that tests run beside each other, and a seed gives the same cut again.
//!
//! What it does not see: what goes around SQLite. A rename or a delete by `std::fs` counts as durable at once.

mod cut;
mod disk;
mod folder;
mod shim;

use std::path::Path;
use std::sync::Arc;

pub use disk::{Calls, Fault};

use disk::Disk;
use shim::Registration;

/// A disk of its own under a VFS of its own. Drop the stores on it first.
pub struct FaultDisk {
    disk: Arc<Disk>,
    registration: Registration,
}

impl FaultDisk {
    /// Returns a disk on which nothing fails yet.
    #[expect(clippy::new_without_default, reason = "it registers a name with SQLite")]
    pub fn new() -> Self {
        let disk = Arc::new(Disk::default());
        let registration = Registration::new(disk.clone());
        Self { disk, registration }
    }

    /// Returns the name of the VFS, for `StoreOptions::vfs`.
    pub fn name(&self) -> &str {
        self.registration.name()
    }

    /// Returns how often SQLite has called so far.
    pub fn calls(&self) -> Calls {
        self.disk.state().calls
    }

    /// Cuts the power. What was synced stays; of the rest the seed decides. Every open file fails from now on, and
    /// none opens before those are closed.
    pub fn cut_power(&self, seed: u64) {
        self.disk.state().cut_power(seed);
    }

    /// Takes the disk out: every open file fails from now on, and closing it changes nothing.
    pub fn take_out(&self) {
        self.disk.state().cut_off();
    }

    /// Lets the `k`-th call from now fail that changes a file; 1 is the next one. The calls after it succeed.
    pub fn fail_once_at(&self, k: u64, fault: Fault) {
        self.disk.state().plan(k, fault, false, false);
    }

    /// Lets every such call from the `k`-th one on fail, until [`FaultDisk::heal`].
    pub fn fail_from(&self, k: u64, fault: Fault) {
        self.disk.state().plan(k, fault, true, false);
    }

    /// Lets the `k`-th call from now fail, reading and opening included. The calls after it succeed.
    pub fn fail_any_once_at(&self, k: u64, fault: Fault) {
        self.disk.state().plan(k, fault, false, true);
    }

    /// Returns whether the planned fault has come.
    pub fn has_failed(&self) -> bool {
        self.disk.state().has_failed
    }

    /// Takes the planned fault away.
    pub fn heal(&self) {
        self.disk.state().plan = None;
    }

    /// Takes the planned fault away if it has come, and returns whether it has. One that is still to come stays.
    pub fn heal_if_failed(&self) -> bool {
        let mut state = self.disk.state();
        if state.has_failed {
            state.plan = None;
        }
        state.has_failed
    }

    /// Lets a file grow only while the files of its folder hold no more than so many bytes together. The write that
    /// goes beyond is cut short.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk.state().capacity_bytes = bytes;
    }

    /// Returns how many bytes the files of a folder hold together.
    pub fn folder_bytes(&self, folder: &Path) -> u64 {
        disk::folder_bytes(folder)
    }

    /// Makes a lying disk: it says that files of this ending are synced, and does nothing.
    pub fn ignore_syncs_of(&self, ending: Option<&'static str>) {
        self.disk.state().ignored_syncs = ending;
    }
}

#[cfg(test)]
mod tests;
