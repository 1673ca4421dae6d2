//! Where a device stands in the log of a programme.
//!
//! Sequence numbers are given per programme at commit, in commit order. The epoch names one history of the
//! database: a restore from an older backup starts a new one. The chain is a fingerprint of the history up to a
//! number, so that a device can tell a server that went back in time.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::mutation::ChainHash;

/// How far a device has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// The history; nil before the first sync.
    pub epoch: Uuid,
    /// The sequence number up to which everything in scope was received.
    pub seq: u64,
    /// The fingerprint of the history at `seq`.
    pub chain: ChainHash,
}

/// A place between two rows of one scope. Many rows share a number, so the row is needed to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Position {
    /// The number of the last row received.
    pub seq: u64,
    /// Its kind.
    pub kind: u16,
    /// Its identifier.
    pub row_id: Uuid,
}

impl Position {
    /// Returns the place after every row with this number.
    pub fn after(seq: u64) -> Self {
        Self { seq, kind: u16::MAX, row_id: Uuid::max() }
    }
}

/// Where a history was left for another one, because the database was restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The history that was left.
    pub parent: Uuid,
    /// The one that replaced it.
    pub epoch: Uuid,
    /// Up to this number both are the same.
    pub common_seq: u64,
    /// The first number of the new one. Those in between belong to the history that was left, for ever.
    pub resumed_seq: u64,
}

/// Returns up to which number the history `from` is part of the history `to`; `None` when nothing is known of it.
pub fn common_seq(forks: &[Fork], from: Uuid, to: Uuid) -> Option<u64> {
    let (mut at, mut common) = (from, u64::MAX);
    // Each step leads to a later history; more steps than forks would be a circle.
    for _ in 0..=forks.len() {
        if at == to {
            return Some(common);
        }
        let fork = forks.iter().find(|fork| fork.parent == at)?;
        (at, common) = (fork.epoch, common.min(fork.common_seq));
    }
    None
}

/// Returns whether a number belongs to a history that was left: what a person had seen of it is not known here.
pub fn is_lost(forks: &[Fork], seq: u64) -> bool {
    forks.iter().any(|fork| fork.common_seq < seq && seq < fork.resumed_seq)
}

/// Returns the newest version that a person has surely seen who had seen `seq`: of a history that was left, only what
/// both have in common.
pub fn known_base(forks: &[Fork], seq: u64) -> u64 {
    let left = forks.iter().filter(|fork| fork.common_seq < seq && seq < fork.resumed_seq);
    left.map(|fork| fork.common_seq).min().unwrap_or(seq)
}

/// Returns a fingerprint of a set of scopes, whatever their order.
pub fn scopes_hash(scopes: &[Uuid]) -> ChainHash {
    let mut sorted = scopes.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut hasher = Sha256::new();
    for scope in &sorted {
        hasher.update(scope.as_bytes());
    }
    let mut hash = [0; 16];
    hash.copy_from_slice(&hasher.finalize()[..16]);
    ChainHash(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_of_scopes_ignores_order_and_repetition() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(scopes_hash(&[a, b]), scopes_hash(&[b, a, b]));
        assert_ne!(scopes_hash(&[a, b]), scopes_hash(&[a]));
    }

    #[test]
    fn a_history_is_followed_through_every_restore() {
        let epoch = Uuid::from_u128;
        let fork = |parent, to, common_seq, resumed_seq| Fork {
            parent: epoch(parent),
            epoch: epoch(to),
            common_seq,
            resumed_seq,
        };
        let forks = [fork(1, 2, 500, 2_000), fork(2, 3, 2_100, 9_000), fork(4, 3, 300, 9_000)];
        assert_eq!(common_seq(&forks, epoch(1), epoch(3)), Some(500));
        assert_eq!(common_seq(&forks, epoch(2), epoch(3)), Some(2_100));
        assert_eq!(common_seq(&forks, epoch(3), epoch(3)), Some(u64::MAX));
        assert_eq!(common_seq(&forks, epoch(3), epoch(2)), None, "there is no way back");
        assert_eq!(common_seq(&forks, epoch(7), epoch(3)), None);
        assert_eq!(common_seq(&[fork(1, 2, 5, 9), fork(2, 1, 5, 9)], epoch(1), epoch(3)), None, "a circle ends");
        let lost: Vec<u64> = [300, 500, 501, 1_999, 2_000, 2_100, 2_101, 9_000]
            .into_iter()
            .filter(|n| is_lost(&forks[..2], *n))
            .collect();
        assert_eq!(lost, [501, 1_999, 2_101]);
        assert_eq!([500, 501, 2_000, 2_101].map(|seq| known_base(&forks[..2], seq)), [500, 500, 2_000, 2_100]);
    }

    #[test]
    fn a_position_after_a_number_is_behind_all_its_rows() {
        let row = Position { seq: 5, kind: 21, row_id: Uuid::from_u128(u128::MAX - 1) };
        assert!(row < Position::after(5));
        assert!(Position::after(5) < Position { seq: 6, ..Position::default() });
    }
}
