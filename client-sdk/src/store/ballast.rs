//! Room that is kept free for the worst moment. On a full disk not even a deletion can be written, so that what
//! waits could never be sent and ticked off, nor the files be opened again. The ballast is let go of then, and only for
//! that: recording is refused until it is back.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// How much is kept free: what an answer, a page and their journals take at most.
pub const BALLAST_BYTES: u64 = 4 << 20;
/// Below this much free room, the person is warned: 200 MB.
pub(super) const LOW_BYTES: u64 = 200_000_000;

/// How much room there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    #[default]
    Plenty,
    /// Little: free some before recording becomes impossible.
    Low,
    /// None: nothing can be recorded. What is recorded is safe, and can be read and sent.
    Full,
}

/// A file that only takes room.
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
    is_there: bool,
}

impl Ballast {
    /// Returns the ballast of a folder, which takes no room before it is restored.
    pub(super) fn of(folder: &Path, bytes: u64) -> Self {
        Self { path: folder.join("ballast"), bytes, is_there: false }
    }

    /// Makes the file when it is not there. Returns whether it is there now: without room for it there is none, which
    /// is not an error, because reading and sending go on.
    pub(super) fn restore(&mut self) -> bool {
        if !self.is_there {
            self.is_there = self.bytes == 0 || self.is_whole() || self.make();
        }
        self.is_there
    }

    /// Deletes the file. Returns whether that made room.
    pub(super) fn release(&mut self) -> bool {
        self.is_there = false;
        let is_gone = self.bytes > 0 && fs::remove_file(&self.path).is_ok();
        if is_gone {
            tracing::warn!("the disk is full; the ballast is let go of to read and send what waits");
        }
        is_gone
    }

    /// Returns how much room there is in the folder.
    pub(super) fn room(&self) -> Room {
        match free_bytes(&self.path) {
            _ if !self.is_there => Room::Full,
            Some(free) if free < LOW_BYTES => Room::Low,
            _ => Room::Plenty,
        }
    }

    fn is_whole(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.bytes)
    }

    fn make(&self) -> bool {
        let made = self.fill();
        if let Err(error) = &made {
            tracing::warn!(%error, "there is no room for the ballast");
            if let Err(error) = fs::remove_file(&self.path)
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(%error, "a part of the ballast stays");
            }
        }
        made.is_ok()
    }

    fn fill(&self) -> std::io::Result<()> {
        let mut file = File::create(&self.path)?;
        #[cfg(unix)]
        if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, self.bytes).is_ok() {
            return Ok(());
        }
        // Where a file cannot be given room without writing it. Not zeroes, which some file systems do not store.
        let block: Vec<u8> = (0..1 << 16).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut left = self.bytes as usize;
        while left > 0 {
            let part = &block[..left.min(block.len())];
            file.write_all(part)?;
            left -= part.len();
        }
        file.sync_all()
    }
}

/// Returns how much room the application has where the file is, `None` where the system does not say.
fn free_bytes(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let found = rustix::fs::statvfs(path.parent()?).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}
