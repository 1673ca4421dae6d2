//! How far the outbox has come, noted beside it after every commit: where a damaged outbox ends cannot be told from
//! the outbox itself, and a journal whose end is gone looks like one that never had it.
//!
//! The note is not synced, except when the server lost changes. A loss of power may leave an older one, which only
//! tells less; it never tells of more than was recorded.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

const BYTES: usize = 32;
const NUMBERS: usize = 24;

/// How far an outbox has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// The newest position.
    pub(super) last: u64,
    /// The position up to which the server has everything.
    pub(super) acked: u64,
    /// How many changes the server has refused.
    pub(super) rejected: u64,
}

impl Reached {
    fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (at, number) in [self.last, self.acked, self.rejected].into_iter().enumerate() {
            bytes[at * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        let check = check(&bytes[..NUMBERS]);
        bytes[NUMBERS..].copy_from_slice(&check);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..BYTES)?;
        let is_whole = check(&bytes[..NUMBERS]) == bytes[NUMBERS..];
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at * 8..at * 8 + 8)?.try_into().ok()?));
        if is_whole { Some(Self { last: number(0)?, acked: number(1)?, rejected: number(2)? }) } else { None }
    }
}

fn check(numbers: &[u8]) -> [u8; BYTES - NUMBERS] {
    let digest = Sha256::new().chain_update(b"teren mark").chain_update(numbers).finalize();
    let mut check = [0; BYTES - NUMBERS];
    check.copy_from_slice(&digest[..BYTES - NUMBERS]);
    check
}

/// The file with the note.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    file: OnceLock<File>,
}

impl Mark {
    /// Returns the mark of the outbox in a folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self { path: folder.join("outbox.mark"), file: OnceLock::new() }
    }

    /// Returns what was noted; nothing when there is no note that can be read.
    pub(super) fn read(&self) -> Reached {
        fs::read(&self.path).ok().and_then(|bytes| Reached::decode(&bytes)).unwrap_or_default()
    }

    /// Notes how far the outbox has come. Without the note a later damage is told less exactly, so that a failure
    /// stops nothing.
    pub(super) fn note(&self, reached: Reached) {
        if let Err(error) = self.write(reached) {
            tracing::warn!(%error, "how far the outbox has come could not be noted");
        }
    }

    /// Makes the note durable: after a change of what an older note says.
    pub(super) fn sync(&self) {
        if let Some(Err(error)) = self.file.get().map(File::sync_data) {
            tracing::warn!(%error, "how far the outbox has come could not be synced");
        }
    }

    fn write(&self, reached: Reached) -> std::io::Result<()> {
        if self.file.get().is_none() {
            let opened = OpenOptions::new().create(true).write(true).truncate(false).open(&self.path)?;
            let _ = self.file.set(opened);
        }
        self.file.get().map_or(Ok(()), |file| write_at_start(file, &reached.encode()))
    }
}

#[cfg(unix)]
fn write_at_start(file: &File, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(not(unix))]
fn write_at_start(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::{Seek as _, SeekFrom, Write as _};
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_a_damaged_one_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::of(folder.path());
        assert_eq!(mark.read(), Reached::default());
        let reached = Reached { last: 7, acked: 5, rejected: 2 };
        mark.note(Reached { last: 1 << 40, ..reached });
        mark.note(reached);
        assert_eq!(Mark::of(folder.path()).read(), reached);
        for at in 0..BYTES {
            let mut bytes = reached.encode();
            bytes[at] ^= 1;
            assert_eq!(Reached::decode(&bytes), None);
        }
        assert_eq!(Reached::decode(&reached.encode()[..31]), None);
    }
}
