//! What is in a verified backup: phones need not keep for a restore what was acknowledged up to there.
//!
//! A backup is verified by restoring it somewhere. The heads of that copy say how far it goes, and their fingerprints
//! that it goes back to this very history.

use serde::{Deserialize, Serialize};
use sync_protocol::mutation::ChainHash;
use uuid::Uuid;

use crate::store::{Db, StoreError, epochs};

/// How far a programme goes in a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The programme.
    pub programme: Uuid,
    /// The newest number.
    pub seq: u64,
    /// The fingerprint of the history up to it, in hexadecimal.
    pub chain: String,
}

impl Head {
    fn chain(&self) -> Option<ChainHash> {
        u128::from_str_radix(&self.chain, 16).ok().map(|chain| ChainHash(chain.to_be_bytes()))
    }
}

/// Returns the heads of every programme of a database.
pub async fn heads(db: &Db) -> Result<Vec<Head>, StoreError> {
    let heads = epochs::heads(db).await?.into_iter();
    Ok(heads.map(|(programme, head)| Head { programme, seq: head.seq, chain: format!("{:?}", head.chain) }).collect())
}

/// Notes that everything up to these heads of a restored copy is safe. Returns those that are not of this history,
/// about which nothing is noted.
pub async fn mark(db: &Db, heads: &[Head]) -> Result<Vec<Head>, StoreError> {
    let mut foreign = Vec::new();
    for head in heads {
        let is_marked = match head.chain() {
            Some(chain) => epochs::mark_durable(db, head.programme, head.seq, chain).await?,
            None => false,
        };
        if !is_marked {
            foreign.push(head.clone());
        }
    }
    Ok(foreign)
}
