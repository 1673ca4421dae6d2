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
    fn a_position_after_a_number_is_behind_all_its_rows() {
        let row = Position { seq: 5, kind: 21, row_id: Uuid::from_u128(u128::MAX - 1) };
        assert!(row < Position::after(5));
        assert!(Position::after(5) < Position { seq: 6, ..Position::default() });
    }
}
