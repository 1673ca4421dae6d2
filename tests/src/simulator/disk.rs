//! The files of phones: prepared once, copied for each phone.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use client_sdk::key::FixedKeyProvider;
use client_sdk::store::{AcceptAll, Store, StoreOptions};
use client_sdk::world::FixedWorld;
use tempfile::TempDir;

use super::bug::Bug;
use super::clock::START;
use crate::vfs::{Fault, FaultDisk};

/// The key of every phone's files.
pub const KEY: [u8; 32] = [0x7e; 32];

/// The disk of one phone.
pub struct PhoneDisk(FaultDisk);

impl PhoneDisk {
    /// Returns a disk that works.
    pub fn new(bug: Option<Bug>) -> Self {
        let disk = FaultDisk::new();
        if bug == Some(Bug::OutboxNotSynced) {
            // What `synchronous = NORMAL` comes to: only checkpoints are synced.
            disk.ignore_syncs_of(Some("outbox.db-wal"));
        }
        Self(disk)
    }

    /// Returns the name for [`StoreOptions::vfs`].
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// Lets the calls fail that change files, after so many of them: once, or until [`PhoneDisk::heal`].
    pub fn fail(&self, is_full: bool, after: u32, stays: bool) {
        let fault = if is_full { Fault::Full } else { Fault::Io };
        if stays {
            self.0.fail_from(u64::from(after), fault);
        } else {
            self.0.fail_once_at(u64::from(after), fault);
        }
    }

    /// Lets the power go at a later call.
    pub fn lose_power_at(&self, after: u32, seed: u64) {
        self.0.fail_once_at(u64::from(after), Fault::PowerCut(seed));
    }

    /// Lets the power go.
    pub fn lose_power(&self, seed: u64) {
        self.0.cut_power(seed);
    }

    /// Leaves the files as they are for good: closing them later puts nothing in order.
    pub fn take_out(&self) {
        self.0.take_out();
    }

    /// Returns whether what was planned has come.
    pub fn has_failed(&self) -> bool {
        self.0.has_failed()
    }

    /// Takes a fault away.
    pub fn heal(&self) {
        self.0.heal();
    }
}

/// Returns a folder for the files of one history, in memory where the system has such a place.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder for the files of the phones")
}

/// Puts an empty cache into the folder of a new phone: making its tables takes longer than most histories.
pub fn prepare(folder: &Path) {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let template = self::folder();
        let options = StoreOptions {
            folder: template.path().to_owned(),
            keys: Arc::new(FixedKeyProvider(KEY)),
            world: Arc::new(FixedWorld::at(START)),
            validator: Arc::new(AcceptAll),
            vfs: None,
            ballast_bytes: 0,
        };
        Store::open(options).and_then(Store::close).expect("a store in an empty folder");
        template
    });
    fs::create_dir_all(folder).expect("a folder for a phone");
    for name in ["cache.db", "cache.keycheck"] {
        fs::copy(template.path().join(name), folder.join(name)).expect("the prepared cache can be copied");
    }
}

/// Copies what SQLite would find after the process ended at this point.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        // The index of a write-ahead log is made anew by whoever opens it first.
        if entry.file_type()?.is_file() && !name.to_string_lossy().ends_with("-shm") {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
