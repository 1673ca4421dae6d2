//! What a journal (`-wal`) holds, read without SQLite: SQLite takes a journal to end where a checksum does not fit,
//! and says nothing of what comes behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

const PAGE_BYTES: usize = 4_096;
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_BYTES;

/// SQLite's checksum of a journal up to some place.
type Sum = (u32, u32);

/// A page in a journal.
pub(super) struct Frame<'j> {
    pub(super) page_number: u32,
    pub(super) page: &'j [u8],
    header: &'j [u8],
    /// The checksum of everything before it.
    sum_before: Sum,
    is_big_endian: bool,
}

impl Frame<'_> {
    fn salts(&self) -> &[u8] {
        &self.header[8..16]
    }

    fn is_commit(&self) -> bool {
        self.header[4..8] != [0; 4]
    }

    fn is_whole(&self) -> bool {
        self.is_meant(self.page)
    }

    /// Returns whether a page is the one that was written here, also where what stands here was damaged since.
    fn is_meant(&self, page: &[u8]) -> bool {
        let sum = checksum(self.sum_before, &self.header[..8], self.is_big_endian);
        checksum(sum, page, self.is_big_endian) == stated_sum(self.header)
    }
}

fn frames(journal: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let (header, rest) = journal.split_at_checked(HEADER_BYTES).unwrap_or((&[0; HEADER_BYTES], &[]));
    let is_big_endian = is_big_endian(header);
    rest.chunks_exact(FRAME_BYTES).scan(stated_sum(header), move |sum, frame| {
        let (header, page) = frame.split_at(FRAME_HEADER_BYTES);
        let sum_before = std::mem::replace(sum, stated_sum(header));
        Some(Frame { page_number: u32_at(header, 0), page, header, sum_before, is_big_endian })
    })
}

/// Returns the frames that were written since the journal was last begun anew, those behind damage included. What
/// is older has been moved into the file.
pub(super) fn frames_of_newest_generation(journal: &[u8]) -> Vec<Frame<'_>> {
    let all: Vec<Frame<'_>> = frames(journal).collect();
    let named = journal.get(16..24).filter(|salts| all.iter().any(|frame| frame.salts() == *salts));
    let salts = named.map(<[u8]>::to_vec).or_else(|| all.first().map(|frame| frame.salts().to_vec()));
    all.into_iter().filter(|frame| salts.as_deref() == Some(frame.salts())).collect()
}

/// Returns whether the file holds pages from behind the place where SQLite takes the journal to end. They were moved
/// there when the journal was whole: SQLite would mix older pages with newer ones. After a loss of power this never
/// is, because nothing is moved before the journal is synced.
pub(super) fn is_torn_apart(path: &Path, wal: &Path) -> bool {
    let journal = fs::read(wal).unwrap_or_default();
    let newest = frames_of_newest_generation(&journal);
    let read = committed(&journal);
    if newest.len() <= read {
        return false;
    }
    let Ok(mut file) = File::open(path) else { return false };
    let mut page = |frame: &Frame<'_>| page(&mut file, frame.page_number);
    match cfg!(feature = "cipher") {
        true => newest[read..].iter().any(|frame| page(frame).is_some_and(|page| page == frame.page)),
        false => is_moved_beyond(read, &newest, page),
    }
}

/// Returns whether the journal was moved up to a commit behind what SQLite reads of it, so that SQLite would show an
/// older page than the file holds. One page that is in the file says nothing without encryption, which makes every
/// writing of a page unlike any other: it may have been written as it was before. So all must be there.
fn is_moved_beyond(read: usize, frames: &[Frame<'_>], mut in_file: impl FnMut(&Frame<'_>) -> Option<Vec<u8>>) -> bool {
    let (mut missing, mut is_newer) = (BTreeSet::new(), false);
    for (at, frame) in frames.iter().enumerate() {
        if in_file(frame).is_some_and(|page| page == frame.page || frame.is_meant(&page)) {
            is_newer |= missing.remove(&frame.page_number) && at >= read;
        } else {
            missing.insert(frame.page_number);
        }
        if is_newer && frame.is_commit() && missing.is_empty() {
            return true;
        }
    }
    false
}

fn page(file: &mut File, number: u32) -> Option<Vec<u8>> {
    let mut page = vec![0; PAGE_BYTES];
    file.seek(SeekFrom::Start(u64::from(number.checked_sub(1)?) * PAGE_BYTES as u64)).ok()?;
    file.read_exact(&mut page).ok()?;
    Some(page)
}

/// Returns how many frames SQLite takes as committed.
fn committed(journal: &[u8]) -> usize {
    let Some(header) = journal.get(..HEADER_BYTES) else { return 0 };
    if checksum((0, 0), &header[..24], is_big_endian(header)) != stated_sum(header) {
        return 0;
    }
    let read = frames(journal).take_while(|frame| frame.salts() == &header[16..24] && frame.is_whole());
    let commits = read.enumerate().filter(|(_, frame)| frame.is_commit());
    commits.last().map_or(0, |(at, _)| at + 1)
}

/// Returns whether the checksums of a journal with this header are those of a big-endian machine.
fn is_big_endian(header: &[u8]) -> bool {
    u32_at(header, 0) == 0x377f_0683
}

/// Returns the checksum at the end of the header of a journal or a frame.
fn stated_sum(header: &[u8]) -> Sum {
    let at = header.len() - 8;
    (u32_at(header, at), u32_at(header, at + 4))
}

/// SQLite's checksum of a journal.
fn checksum(start: Sum, bytes: &[u8], is_big_endian: bool) -> Sum {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    bytes.chunks_exact(8).fold(start, |(first, second), pair| {
        let first = first.wrapping_add(word(pair)).wrapping_add(second);
        (first, second.wrapping_add(word(&pair[4..])).wrapping_add(first))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// Makes a file whose journal writes one page away and back, and another one anew each time.
    fn there_and_back(path: &Path) -> Connection {
        let conn = Connection::open(path).unwrap();
        let start = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                     CREATE TABLE place (name TEXT); CREATE TABLE step (name TEXT); INSERT INTO place VALUES ('here');
                     PRAGMA wal_checkpoint(TRUNCATE)";
        conn.execute_batch(start).unwrap();
        for place in ["there", "here"] {
            let step = format!("BEGIN; INSERT INTO step VALUES ('{place}'); UPDATE place SET name = '{place}'; COMMIT");
            conn.execute_batch(&step).unwrap();
        }
        conn
    }

    #[test]
    fn a_page_that_is_written_as_it_was_is_told_from_one_that_was_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (path, wal) = (folder.path().join("a.db"), folder.path().join("a.db-wal"));
        let conn = there_and_back(&path);
        let whole = fs::read(&wal).unwrap();
        assert_eq!(frames(&whole).count(), 4, "two pages, twice");
        for is_moved in [false, true] {
            if is_moved {
                conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            }
            for damaged in 2..4 {
                let mut journal = whole.clone();
                journal[HEADER_BYTES + damaged * FRAME_BYTES + FRAME_HEADER_BYTES] ^= 1;
                let mut file = File::open(&path).unwrap();
                let frames = frames_of_newest_generation(&journal);
                assert_eq!(committed(&journal), 2);
                assert_eq!(
                    is_moved_beyond(2, &frames, |frame| page(&mut file, frame.page_number)),
                    is_moved,
                    "frame {damaged}"
                );
            }
        }
    }
}
