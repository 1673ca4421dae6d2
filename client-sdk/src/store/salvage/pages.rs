//! Every version of every page that a file and its journal hold, whatever their trees look like.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::cipher::{PAGE_BYTES, PageCipher};
use crate::key::Key;
use crate::store::journal;

/// One version of a page.
pub(super) struct Page {
    pub(super) number: u32,
    pub(super) bytes: Vec<u8>,
    /// Whether nothing of it was changed since SQLite wrote it.
    pub(super) is_proven: bool,
}

/// The versions, the best last: proven ones after others, later ones after earlier ones.
pub(super) struct Pages {
    pub(super) versions: Vec<Page>,
    by_number: HashMap<u32, Vec<usize>>,
}

impl Pages {
    /// Reads what can be read of a file and of the journal beside it.
    pub(super) fn read(path: &Path, wal: &Path, key: &Key) -> Self {
        let (stored, journal) = (fs::read(path).unwrap_or_default(), fs::read(wal).unwrap_or_default());
        let frames = journal::frames_of_newest_generation(&journal);
        let first_page = frames.iter().rev().find(|frame| frame.page_number == 1).map(|frame| frame.page);
        let cipher = cipher(key, &stored, first_page);
        let open = |number: u32, stored: &[u8]| {
            let (bytes, is_proven) = cipher.open(number, stored);
            Page { number, bytes, is_proven }
        };
        let whole = stored.chunks(PAGE_BYTES).zip(1..);
        let mut versions: Vec<Page> = whole.map(|(page, number)| open(number, &filled(page))).collect();
        versions.extend(frames.iter().map(|frame| open(frame.page_number, frame.page)));
        versions.sort_by_key(|page| page.is_proven);
        let mut by_number: HashMap<u32, Vec<usize>> = HashMap::new();
        versions.iter().enumerate().for_each(|(at, page)| by_number.entry(page.number).or_default().push(at));
        Self { versions, by_number }
    }

    /// Returns the versions of a page, the best first.
    pub(super) fn of(&self, number: u32) -> impl Iterator<Item = &Page> {
        self.by_number.get(&number).into_iter().flatten().rev().map(|at| &self.versions[*at])
    }
}

/// The salt of a damaged first page may still be whole in the journal.
fn cipher(key: &Key, stored: &[u8], first_page: Option<&[u8]>) -> PageCipher {
    let own = PageCipher::new(key, stored);
    let proves = |cipher: &PageCipher| {
        let pages = stored.chunks_exact(PAGE_BYTES).zip(1..);
        pages.take(50).any(|(page, number)| cipher.open(number, page).1)
    };
    match first_page {
        Some(first_page) if !proves(&own) => PageCipher::new(key, first_page),
        _ => own,
    }
}

/// A file that was cut ends inside a page.
fn filled(page: &[u8]) -> Vec<u8> {
    let mut page = page.to_vec();
    page.resize(PAGE_BYTES, 0);
    page
}
