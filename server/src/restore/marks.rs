//! High-water marks: how far the history of each programme was, kept where a restore of the database does not reach.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sync_protocol::cursor::Cursor;
use sync_protocol::mutation::ChainHash;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::erasures::Erased;

/// Of two points that far apart, one of this part of their age is enough: the point where a backup was made is then
/// known to this part of the backup's age.
const AGE_PARTS: i64 = 8;

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Marks {
    /// The mark of each programme.
    #[serde(default)]
    pub(super) programmes: BTreeMap<Uuid, Mark>,
    /// What was erased of each programme, for good.
    #[serde(default)]
    pub(super) erased: BTreeMap<Uuid, Vec<Erased>>,
}

/// How far a programme was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The history.
    pub(super) epoch: Uuid,
    /// Points of it, the oldest first: close to each other at the end and further apart before.
    pub(super) points: Vec<Point>,
}

/// A point of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    /// The number.
    pub(super) seq: u64,
    /// The fingerprint of the history up to it, in hexadecimal.
    chain: String,
    /// When it was noted, in milliseconds since 1970.
    at_ms: i64,
}

impl Point {
    /// Returns the number and the fingerprint.
    pub(super) fn place(&self) -> (u64, ChainHash) {
        // A damaged text is the fingerprint of no history.
        let chain = u128::from_str_radix(&self.chain, 16).unwrap_or_default();
        (self.seq, ChainHash(chain.to_be_bytes()))
    }
}

impl Mark {
    /// Returns the newest point.
    pub(super) fn newest(&self) -> Option<&Point> {
        self.points.last()
    }

    /// Returns whether the head is where it was noted last.
    pub(super) fn is_at(&self, head: &Cursor) -> bool {
        self.epoch == head.epoch && self.newest().is_some_and(|newest| newest.place() == (head.seq, head.chain))
    }

    /// Notes the head. Returns whether it is news.
    pub(super) fn note(&mut self, head: &Cursor, now: Timestamp) -> bool {
        if self.epoch == head.epoch && self.newest().is_some_and(|newest| newest.seq >= head.seq) {
            return false;
        }
        self.epoch = head.epoch;
        // What was noted of a history that was left, beyond where it was left, is not part of this one.
        self.points.retain(|point| point.seq < head.seq);
        self.points.push(Point { seq: head.seq, chain: format!("{:?}", head.chain), at_ms: now.0 });
        self.thin(now);
        true
    }

    /// Leaves out points whose neighbours are close enough to each other without them. The ends stay.
    fn thin(&mut self, now: Timestamp) {
        let points = std::mem::take(&mut self.points);
        for (at, point) in points.iter().enumerate() {
            let is_needed = self
                .points
                .last()
                .zip(points.get(at + 1))
                .is_none_or(|(before, after)| after.at_ms - before.at_ms > (now.0 - after.at_ms) / AGE_PARTS);
            if is_needed {
                self.points.push(point.clone());
            }
        }
    }
}

impl Marks {
    /// Reads the file; nothing is known where there is none.
    pub(super) fn read(path: &Path) -> std::io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, so that at any instant it is whole: the old one or the new one.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let unfinished = path.with_extension("unfinished");
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        std::fs::File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: u64) -> Cursor {
        Cursor { epoch: Uuid::from_u128(1), seq, chain: ChainHash([seq as u8; 16]) }
    }

    #[test]
    fn a_month_of_marks_is_a_short_list_that_is_fine_at_its_end() {
        let mut mark = Mark::default();
        let ticks: i64 = 30 * 24 * 720;
        for tick in 1..=ticks {
            assert!(mark.note(&head(tick as u64), Timestamp(tick * 5_000)));
        }
        assert!(!mark.note(&head(ticks as u64), Timestamp(ticks * 5_000)), "the head has not moved");
        assert!(mark.points.len() < 200, "{} points", mark.points.len());
        for ago in [1, 100, 10_000, 200_000] {
            let wanted = (ticks - ago) as u64;
            let found = mark.points.iter().rev().find(|point| point.seq <= wanted).unwrap();
            assert!(wanted - found.seq <= ago as u64 / 4 + 1, "{} before {wanted}", found.seq);
        }
    }

    #[test]
    fn the_file_is_replaced_as_a_whole_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks.json");
        assert_eq!(Marks::read(&path).unwrap(), Marks::default());
        let mut marks = Marks::default();
        marks.programmes.entry(Uuid::from_u128(7)).or_default().note(&head(9), Timestamp(5));
        marks.write(&path).unwrap();
        assert_eq!(Marks::read(&path).unwrap(), marks);
        assert_eq!(marks.programmes[&Uuid::from_u128(7)].points[0].place(), (9, ChainHash([9; 16])));
        std::fs::write(&path, b"{").unwrap();
        assert!(Marks::read(&path).is_err(), "a damaged file must not pass for none");
    }
}
