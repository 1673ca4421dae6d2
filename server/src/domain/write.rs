//! The one write path. GraphQL and sync end here; besides it only the loader of the demo writes synced tables.
//!
//! A batch is one transaction:
//!
//! 1. load every row that the batch touches, locked, and what the rules look at ([`load`])
//! 2. decide each mutation in memory, in order ([`decide`](super::decide), pure)
//! 3. write the rows, one statement for each kind
//! 4. keep the mutations with their results
//! 5. take the programme's next number, last; only what was held is still told its number, and what was erased is
//!    forgotten
//!
//! A mutation from GraphQL is a batch of one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{MutationResult, Outcome};
use uuid::Uuid;

use super::decide::{self, Decided, HeldOutcome};
use super::load::{self, Key};
use super::viewer::Viewer;
use crate::store::mutations::{MutationRecord, Outbox};
use crate::store::{StoreError, WriteTx};

/// A mutation as it came in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its number.
    pub no: u64,
    /// The chain up to it.
    pub hash: ChainHash,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// What the bytes say; `None` when this version cannot read them.
    pub mutation: Option<Mutation>,
}

/// Mutations of one author from one outbox.
#[derive(Debug)]
pub struct Batch<'v> {
    /// Where they come from.
    pub outbox: Outbox,
    /// The incarnations that the outbox continues, each with the last number that it shares with it.
    pub earlier: &'v [(Uuid, u64)],
    /// Who sends them.
    pub viewer: &'v Viewer,
    /// When they were received.
    pub received_at: Timestamp,
    /// The server's clock minus the device's.
    pub clock_offset_ms: i64,
    /// The device's clock that nobody can set, when it was told.
    pub uptime_ms: Option<u64>,
    /// Whether a concurrent edit refuses the mutation instead of being settled by policy.
    pub is_strict: bool,
    /// Whether rows that the batch creates are taken for new without looking. One that is there after all makes the
    /// insertion fail, and the batch is tried again with looking.
    pub trusts_new: bool,
    /// The mutations, in the order of their numbers.
    pub mutations: Cow<'v, [Incoming]>,
}

impl Batch<'_> {
    /// Returns whether the batch comes from the office.
    pub fn is_office(&self) -> bool {
        self.outbox.device.is_nil()
    }
}

/// What became of a batch.
#[derive(Debug)]
pub struct Written {
    /// The number of the commit; 0 when no row changed.
    pub seq: u64,
    /// Whether the rows are exactly what the sender shows.
    pub is_verbatim: bool,
    /// One result for each mutation, in order.
    pub results: Vec<MutationResult>,
}

/// Applies a batch in an open transaction, which the caller commits.
pub async fn apply(tx: &mut impl WriteTx, batch: &Batch<'_>) -> Result<Written, StoreError> {
    let decided = decide(tx, batch).await?;
    // The records are made while the database writes the rows.
    let (written, records) =
        tokio::join!(write_rows(tx, batch.outbox.programme, &decided), async { records(batch, &decided) });
    written?;
    tx.record(&batch.outbox, &records).await?;
    let numbers = batch.mutations.first().zip(batch.mutations.last()).map(|(first, last)| (first.no, last.no));
    let seq = tx.seal(&batch.outbox, batch.viewer.user_id, numbers, decided.is_verbatim).await?;
    settle_held(tx, &decided.released, seq).await?;
    purge(tx, batch.outbox.programme, &decided.purged).await?;
    Ok(Written { seq, is_verbatim: decided.is_verbatim, results: decided.results })
}

/// Decides the batch. Only an insertion proves that a row is new: when anything becomes of the batch but rows as they
/// were sent, it is decided again with looking.
async fn decide(tx: &mut impl WriteTx, batch: &Batch<'_>) -> Result<Decided, StoreError> {
    let loaded = load::load(tx, batch, batch.trusts_new).await?;
    let is_sure = loaded.trusted.is_empty();
    let decided = decide::decide(batch, loaded);
    if is_sure || decided.results.iter().all(|result| result.outcome == Outcome::Applied) {
        return Ok(decided);
    }
    Ok(decide::decide(batch, load::load(tx, batch, false).await?))
}

async fn write_rows(tx: &mut impl WriteTx, programme: Uuid, decided: &Decided) -> Result<(), StoreError> {
    for kind in EntityKind::ALL.iter().copied() {
        let Some(changes) = decided.changes.get(&kind) else { continue };
        let created: Vec<&Row> = changes.created.iter().collect();
        let updated: Vec<&Row> = changes.updated.iter().collect();
        tx.insert(programme, kind, &created).await?;
        tx.update(programme, kind, &updated).await?;
        tx.delete(programme, kind, &changes.deleted).await?;
    }
    Ok(())
}

/// Forgets what was kept of erased rows. Last: the number, and what was told of it, are in the log by now.
async fn purge(tx: &mut impl WriteTx, programme: Uuid, purged: &BTreeSet<Key>) -> Result<(), StoreError> {
    for kind in EntityKind::ALL.iter().copied() {
        let ids: Vec<Uuid> = purged.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
        if !ids.is_empty() {
            tx.purge(programme, kind, &ids).await?;
        }
    }
    Ok(())
}

async fn settle_held(tx: &mut impl WriteTx, released: &[HeldOutcome], seq: u64) -> Result<(), StoreError> {
    for held in released {
        let result = &held.result;
        tx.settle_held(&held.held, letter(result.outcome), details(result), seq).await?;
    }
    Ok(())
}

fn records(batch: &Batch<'_>, decided: &Decided) -> Vec<MutationRecord> {
    let pairs = batch.mutations.iter().zip(&decided.results);
    pairs.map(|(incoming, result)| record(batch, incoming, result, decided)).collect()
}

fn record(batch: &Batch<'_>, incoming: &Incoming, result: &MutationResult, decided: &Decided) -> MutationRecord {
    let mutation = incoming.mutation.as_ref();
    let is_told_by_row = result.outcome == Outcome::Applied
        && mutation.is_some_and(|m| {
            m.op == Op::Put && m.unknown.is_empty() && m.reason.is_none() && !decided.is_touched_again(m.kind, m.row_id)
        });
    MutationRecord {
        no: incoming.no,
        hash: incoming.hash,
        kind: mutation.map_or(0, |m| m.kind.number()),
        row_id: mutation.map_or(Uuid::nil(), |m| m.row_id),
        author_id: mutation.map_or(batch.viewer.user_id, |m| m.author.0),
        captured_at: mutation.map_or(batch.received_at, |m| m.captured_at),
        received_at: batch.received_at,
        outcome: letter(result.outcome),
        result: details(result),
        // Of what was erased nothing is kept, not even that someone sent it again.
        payload: (!is_told_by_row && result.code != decide::ERASED).then(|| incoming.payload.clone()),
    }
}

/// The letter under which an outcome is kept.
fn letter(outcome: Outcome) -> char {
    match outcome {
        Outcome::Applied => 'A',
        Outcome::Merged => 'M',
        Outcome::Conflict => 'C',
        Outcome::Held | Outcome::Unknown => 'H',
        Outcome::Rejected => 'R',
    }
}

/// The details that are kept of a result that is not simply "applied".
fn details(result: &MutationResult) -> Option<String> {
    (result.outcome != Outcome::Applied).then(|| serde_json::to_string(result).unwrap_or_default())
}
