//! What a journal (`-wal`) holds, read without SQLite: SQLite takes a journal to end where a checksum does not fit,
//! and says nothing of what comes behind.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

const PAGE_BYTES: usize = 4_096;
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_BYTES;

/// A page in a journal.
pub(super) struct Frame<'j> {
    pub(super) page_number: u32,
    pub(super) page: &'j [u8],
    header: &'j [u8],
}

impl Frame<'_> {
    fn salts(&self) -> &[u8] {
        &self.header[8..16]
    }

    fn is_commit(&self) -> bool {
        self.header[4..8] != [0; 4]
    }
}

fn frames(journal: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    journal.get(HEADER_BYTES..).unwrap_or_default().chunks_exact(FRAME_BYTES).map(|frame| {
        let (header, page) = frame.split_at(FRAME_HEADER_BYTES);
        Frame { page_number: u32_at(header, 0), page, header }
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
    let behind = newest.get(committed(&journal)..).unwrap_or_default();
    if behind.is_empty() {
        return false;
    }
    let Ok(mut file) = File::open(path) else { return false };
    behind.iter().any(|frame| page(&mut file, frame.page_number).is_some_and(|page| page == frame.page))
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
    let is_big_endian = u32_at(header, 0) == 0x377f_0683;
    let mut sum = checksum((0, 0), &header[..24], is_big_endian);
    if sum != (u32_at(header, 24), u32_at(header, 28)) {
        return 0;
    }
    let mut committed = 0;
    for (at, frame) in frames(journal).enumerate() {
        sum = checksum(sum, &frame.header[..8], is_big_endian);
        sum = checksum(sum, frame.page, is_big_endian);
        let stated = (u32_at(frame.header, 16), u32_at(frame.header, 20));
        if frame.salts() != &header[16..24] || sum != stated {
            break;
        }
        if frame.is_commit() {
            committed = at + 1;
        }
    }
    committed
}

/// SQLite's checksum of a journal.
fn checksum(start: (u32, u32), bytes: &[u8], is_big_endian: bool) -> (u32, u32) {
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
