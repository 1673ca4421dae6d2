//! Whether two sides hold the same rows of a scope and, if not, which ones differ.
//!
//! A digest is the sum of one hash for each live row, over its kind, its identifier and the number of its last
//! change. It is over the state, not over what led to it: the order, the instance and the history do not count,
//! and a row more or less is one addition. Where two digests differ, the rows are put into 256 buckets by a hash
//! of their identity, and only buckets that differ are looked at further, until one is small enough to be listed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// How many buckets a bucket is cut into.
pub const FAN_OUT: usize = 256;
/// A bucket of at most so many rows is listed, a larger one is cut again.
pub const LIST_ROWS: u32 = 64;
/// The longest prefix: beyond, only rows that collide in 64 bits would be told apart.
pub const MAX_DEPTH: usize = 8;

/// A live row and the number of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// The number of the kind.
    pub kind: u16,
    /// The row.
    pub row_id: Uuid,
    /// The number of its last change.
    pub seq: u64,
}

impl Version {
    /// Returns the hash that decides in which bucket the row is. It stays when the row changes.
    pub fn place(&self) -> [u8; MAX_DEPTH] {
        let hash = self.identity().finalize();
        let mut place = [0; MAX_DEPTH];
        place.copy_from_slice(&hash[..MAX_DEPTH]);
        place
    }

    /// Returns the hash that the row adds to a digest.
    fn weight(&self) -> u128 {
        let hash = self.identity().chain_update(self.seq.to_be_bytes()).finalize();
        let mut weight = [0; 16];
        weight.copy_from_slice(&hash[..16]);
        u128::from_be_bytes(weight)
    }

    fn identity(&self) -> Sha256 {
        Sha256::new().chain_update(self.kind.to_be_bytes()).chain_update(self.row_id.as_bytes())
    }
}

/// The digest of a set of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Digest {
    /// How many rows.
    pub count: u32,
    /// The sum of their hashes, modulo 2^128, big-endian.
    #[serde(with = "crate::bytes16")]
    pub sum: [u8; 16],
}

impl Digest {
    /// Returns the digest of rows, whatever their order.
    pub fn of<'v>(versions: impl IntoIterator<Item = &'v Version>) -> Self {
        let mut digest = Self::default();
        versions.into_iter().for_each(|version| digest.add(version));
        digest
    }

    /// Adds a row.
    pub fn add(&mut self, version: &Version) {
        self.include(&Self { count: 1, sum: version.weight().to_be_bytes() });
    }

    /// Adds the rows of another digest.
    pub fn include(&mut self, other: &Self) {
        let sum = u128::from_be_bytes(self.sum).wrapping_add(u128::from_be_bytes(other.sum));
        *self = Self { count: self.count.saturating_add(other.count), sum: sum.to_be_bytes() };
    }
}

/// The digests of the buckets under a prefix, those without rows left out.
pub type Buckets = Vec<(u8, Digest)>;

/// Returns the digests of the buckets under a prefix. Rows elsewhere do not count.
pub fn buckets<'v>(versions: impl IntoIterator<Item = &'v Version>, prefix: &[u8]) -> Buckets {
    let mut sums = vec![Digest::default(); FAN_OUT];
    for version in versions {
        if let Some(bucket) = bucket_of(version, prefix) {
            sums[usize::from(bucket)].add(version);
        }
    }
    (0..=u8::MAX).zip(sums).filter(|(_, digest)| digest.count > 0).collect()
}

/// Returns the bucket of a row under a prefix, `None` for a row elsewhere.
pub fn bucket_of(version: &Version, prefix: &[u8]) -> Option<u8> {
    let place = version.place();
    place.strip_prefix(prefix)?.first().copied()
}

/// Where two sides differ under a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Located {
    /// Buckets to list.
    pub listed: Vec<u8>,
    /// Buckets to cut again.
    pub deeper: Vec<u8>,
}

/// Compares the buckets under a prefix of `depth` bytes. What is small on our side is listed.
pub fn locate(ours: &Buckets, theirs: &Buckets, depth: usize) -> Located {
    let of = |buckets: &Buckets| buckets.iter().copied().collect::<HashMap<u8, Digest>>();
    let (ours, theirs) = (of(ours), of(theirs));
    let mut located = Located::default();
    for bucket in 0..=u8::MAX {
        let own = ours.get(&bucket).copied().unwrap_or_default();
        if own == theirs.get(&bucket).copied().unwrap_or_default() {
            continue;
        }
        let is_listed = own.count <= LIST_ROWS || depth + 1 >= MAX_DEPTH;
        if is_listed { located.listed.push(bucket) } else { located.deeper.push(bucket) }
    }
    located
}

/// What one side has to do to hold what the other one listed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Difference {
    /// Rows that the other side does not have.
    pub beyond: Vec<(u16, Uuid)>,
    /// Rows that are missing or of another version.
    pub wanted: Vec<(u16, Uuid)>,
}

/// Compares the rows of listed buckets.
pub fn compare(ours: &[Version], theirs: &[Version]) -> Difference {
    let key = |version: &Version| (version.kind, version.row_id);
    let held: HashMap<_, u64> = ours.iter().map(|version| (key(version), version.seq)).collect();
    let listed: HashMap<_, u64> = theirs.iter().map(|version| (key(version), version.seq)).collect();
    let beyond = ours.iter().map(key).filter(|key| !listed.contains_key(key));
    let wanted = theirs.iter().filter(|version| held.get(&key(version)) != Some(&version.seq)).map(key);
    Difference { beyond: beyond.collect(), wanted: wanted.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u128) -> Vec<Version> {
        (0..count).map(|n| Version { kind: 13, row_id: Uuid::from_u128(n), seq: 100 + n as u64 }).collect()
    }

    /// Plays both sides until they are equal; returns how many rows were listed and how often was asked.
    fn repair(ours: &[Version], mut theirs: Vec<Version>) -> (usize, usize, Vec<Version>) {
        let (mut listed, mut asked) = (0, 0);
        let mut prefixes = vec![Vec::new()];
        while let Some(prefix) = prefixes.pop() {
            asked += 1;
            let located = locate(&buckets(ours, &prefix), &buckets(&theirs, &prefix), prefix.len());
            prefixes.extend(located.deeper.iter().map(|bucket| [&prefix[..], &[*bucket]].concat()));
            let is_listed = |v: &&Version| bucket_of(v, &prefix).is_some_and(|b| located.listed.contains(&b));
            let list: Vec<Version> = ours.iter().filter(is_listed).copied().collect();
            listed += list.len();
            let held: Vec<Version> = theirs.iter().filter(is_listed).copied().collect();
            let difference = compare(&held, &list);
            let key = |v: &Version| (v.kind, v.row_id);
            theirs.retain(|v| !difference.beyond.contains(&key(v)) && !difference.wanted.contains(&key(v)));
            theirs.extend(list.iter().filter(|v| difference.wanted.contains(&key(v))));
        }
        theirs.sort_unstable();
        (listed, asked, theirs)
    }

    #[test]
    fn a_digest_ignores_order_and_sees_every_difference() {
        let ours = rows(100);
        let mut turned = ours.clone();
        turned.reverse();
        assert_eq!(Digest::of(&ours), Digest::of(&turned));
        for (name, change) in [
            ("a row less", (|rows| rows.truncate(99)) as fn(&mut Vec<Version>)),
            ("an older row", |rows| rows[7].seq -= 1),
            ("two versions swapped", |rows| (rows[1].seq, rows[2].seq) = (rows[2].seq, rows[1].seq)),
            ("another kind", |rows| rows[5].kind += 1),
        ] {
            let mut theirs = ours.clone();
            change(&mut theirs);
            assert_ne!(Digest::of(&ours), Digest::of(&theirs), "{name}");
        }
    }

    #[test]
    fn the_digest_is_the_sum_of_those_of_its_buckets() {
        let ours = rows(500);
        let mut sum = Digest::default();
        buckets(&ours, &[]).iter().for_each(|(_, digest)| sum.include(digest));
        assert_eq!(sum, Digest::of(&ours));
    }

    #[test]
    fn a_few_differences_are_found_with_few_rows_listed() {
        let ours = rows(20_000);
        let mut theirs = ours.clone();
        theirs.remove(11);
        theirs[500].seq = 7;
        theirs.push(Version { kind: 13, row_id: Uuid::from_u128(1 << 100), seq: 5 });
        let (listed, asked, repaired) = repair(&ours, theirs);
        assert_eq!(repaired, ours);
        assert!(listed <= 3 * LIST_ROWS as usize, "{listed} rows were listed for three differences");
        assert!(asked <= 4, "{asked} questions");
    }

    #[test]
    fn sides_that_have_nothing_in_common_are_repaired_too() {
        let ours = rows(3_000);
        let others: Vec<Version> = rows(2_000).iter().map(|v| Version { kind: 14, ..*v }).collect();
        assert_eq!(repair(&ours, others.clone()).2, ours);
        assert_eq!(repair(&ours, Vec::new()).2, ours);
        assert_eq!(repair(&[], others).2, []);
    }
}
