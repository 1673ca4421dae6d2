//! What is done to the files.

use std::fmt;
use std::fs;
use std::path::Path;

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

const PAGE_BYTES: usize = 4_096;

/// What a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Outbox,
    /// The note of how far the outbox has come.
    Mark,
    Cache,
}

/// One way to damage a file.
#[derive(Clone, Copy, Debug)]
enum Kind {
    FlipBit,
    ZeroPages,
    OverwritePages,
    SwapPages,
    OverwriteBytes,
    Truncate,
    Append,
    Empty,
    Delete,
    /// The database, its journal and its fingerprint are those of some time ago.
    Older,
}

const KINDS: [Kind; 10] = [
    Kind::FlipBit,
    Kind::ZeroPages,
    Kind::OverwritePages,
    Kind::SwapPages,
    Kind::OverwriteBytes,
    Kind::Truncate,
    Kind::Append,
    Kind::Empty,
    Kind::Delete,
    Kind::Older,
];

/// The files, those with more in them more often.
const FILES: [(&str, Part); 12] = [
    ("outbox.db", Part::Outbox),
    ("outbox.db", Part::Outbox),
    ("outbox.db", Part::Outbox),
    ("outbox.db-wal", Part::Outbox),
    ("outbox.db-wal", Part::Outbox),
    ("outbox.db-shm", Part::Outbox),
    ("outbox.keycheck", Part::Outbox),
    ("outbox.mark", Part::Mark),
    ("cache.db", Part::Cache),
    ("cache.db", Part::Cache),
    ("cache.db-wal", Part::Cache),
    ("cache.keycheck", Part::Cache),
];

/// One or two damages at once.
pub(super) struct Harm(Vec<(Kind, &'static str, Part)>);

impl Harm {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let times = if rng.random_range(0..5) == 0 { 2 } else { 1 };
        let one = |_| {
            let (file, part) = *FILES.choose(rng).expect("there are some");
            match (*KINDS.choose(rng).expect("there are some"), part) {
                (Kind::Older, Part::Mark) => (Kind::Older, "outbox.db", Part::Outbox),
                (kind, part) => (kind, file, part),
            }
        };
        Self((0..times).map(one).collect())
    }

    pub(super) fn touches(&self, part: Part) -> bool {
        self.0.iter().any(|(_, _, touched)| *touched == part)
    }

    /// Damages the files of a folder. What is not there cannot be damaged.
    pub(super) fn inflict(&self, folder: &Path, older: &Path, rng: &mut ChaCha8Rng) {
        for (kind, file, part) in &self.0 {
            match kind {
                Kind::Older => take_back(folder, older, *part),
                kind => change(&folder.join(file), *kind, rng),
            }
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(kind, file, _)| format!("{kind:?} {file}")).collect();
        f.write_str(&parts.join(" and "))
    }
}

/// Takes a database back as a whole: of a file and a journal that do not belong together nobody could tell.
fn take_back(folder: &Path, older: &Path, part: Part) {
    let names = match part {
        Part::Outbox | Part::Mark => ["outbox.db", "outbox.db-wal", "outbox.db-shm"],
        Part::Cache => ["cache.db", "cache.db-wal", "cache.db-shm"],
    };
    for name in names {
        let _ = fs::remove_file(folder.join(name));
        if older.join(name).exists() {
            fs::copy(older.join(name), folder.join(name)).expect("a file can be copied");
        }
    }
}

fn change(path: &Path, kind: Kind, rng: &mut ChaCha8Rng) {
    let Ok(mut bytes) = fs::read(path) else { return };
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match kind {
        Kind::FlipBit => bytes[rng.random_range(0..length)] ^= 1 << rng.random_range(0..8),
        Kind::ZeroPages => pages(&mut bytes, rng, |page, _| page.fill(0)),
        Kind::OverwritePages => pages(&mut bytes, rng, |page, rng| rng.fill(page)),
        Kind::SwapPages => {
            let (one, other) = (page_start(length, rng), page_start(length, rng));
            let end = PAGE_BYTES.min(length - one.max(other));
            let kept = bytes[one..one + end].to_vec();
            bytes.copy_within(other..other + end, one);
            bytes[other..other + end].copy_from_slice(&kept);
        }
        Kind::OverwriteBytes => {
            let start = rng.random_range(0..length);
            let end = (start + rng.random_range(1..600)).min(length);
            rng.fill(&mut bytes[start..end]);
        }
        Kind::Truncate => bytes.truncate(rng.random_range(0..length)),
        Kind::Append => bytes.extend((0..rng.random_range(1..10_000)).map(|_| rng.random::<u8>())),
        Kind::Empty => bytes.clear(),
        Kind::Delete => return fs::remove_file(path).expect("a file can be deleted"),
        Kind::Older => unreachable!("a database is taken back as a whole"),
    }
    fs::write(path, bytes).expect("a file can be written");
}

fn page_start(length: usize, rng: &mut ChaCha8Rng) -> usize {
    rng.random_range(0..length.div_ceil(PAGE_BYTES)) * PAGE_BYTES
}

/// Damages one to four pages in a row.
fn pages(bytes: &mut [u8], rng: &mut ChaCha8Rng, mut damage: impl FnMut(&mut [u8], &mut ChaCha8Rng)) {
    let start = page_start(bytes.len(), rng);
    let end = (start + rng.random_range(1..=4) * PAGE_BYTES).min(bytes.len());
    damage(&mut bytes[start..end], rng);
}
