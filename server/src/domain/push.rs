//! Receives mutations from a device's outbox: each takes effect once, whatever is sent how often.
//!
//! One transaction holds the lock of the outbox, finds what was received before, applies the rest and moves the
//! outbox on. A number that comes again with the same hash is a retry, answered with the stored result. With
//! another hash the outbox is a copy or went back in time, and the device is told so before anything is written.

use std::borrow::Cow;

use sync_protocol::mutation::{ChainHash, Mutation};
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Commit, Demand, MutationResult, Outcome, Push, PushResult};
use uuid::Uuid;

use super::feed::Feed;
use super::viewer::Viewer;
use super::write::{self, Batch, Incoming, Written};
use crate::store::mutations::{Outbox, PastResult};
use crate::store::{StoreError, SyncStore, WriteTx};

/// How often a push that collided with another one is tried.
const ATTEMPTS: u32 = 4;

/// Everything about a push but its mutations.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'v> {
    /// Whose outbox it is.
    pub outbox: Outbox,
    /// The incarnations that the outbox continues, each with the last number that it shares with it.
    pub earlier: &'v [(Uuid, u64)],
    /// Who sends.
    pub viewer: &'v Viewer,
    /// When it was received.
    pub received_at: Timestamp,
    /// The server's clock minus the device's.
    pub clock_offset_ms: i64,
    /// The device's clock that nobody can set, when it was told.
    pub uptime_ms: Option<u64>,
}

/// A push whose mutations are decoded and chained.
#[derive(Debug)]
pub struct Chained {
    first_no: u64,
    prev_hash: ChainHash,
    incoming: Vec<Incoming>,
}

impl Chained {
    /// Returns how many mutations there are.
    pub fn len(&self) -> u64 {
        self.incoming.len() as u64
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.incoming.is_empty()
    }

    /// Returns how many of the mutations have numbers up to `known_no`, which the server had before.
    pub fn repeats(&self, known_no: u64) -> u64 {
        (known_no + 1).saturating_sub(self.first_no).min(self.incoming.len() as u64)
    }
}

/// Receives one push and commits it.
pub async fn receive(
    store: &impl SyncStore,
    feed: &Feed,
    sender: &Sender<'_>,
    push: &Chained,
) -> Result<PushResult, StoreError> {
    let mut attempt = 1;
    loop {
        match try_receive(store, feed, sender, push, attempt).await {
            Err(error) if attempt < ATTEMPTS && is_collision(&error) => attempt += 1,
            other => return other,
        }
    }
}

/// A row was taken for new and is there, or two devices create it at once: the one that comes second then finds it and
/// merges.
fn is_collision(error: &StoreError) -> bool {
    matches!(error, StoreError::Retry(_))
        || matches!(error, StoreError::Constraint { constraint, .. } if constraint.ends_with("_pkey"))
}

async fn try_receive(
    store: &impl SyncStore,
    feed: &Feed,
    sender: &Sender<'_>,
    push: &Chained,
    attempt: u32,
) -> Result<PushResult, StoreError> {
    let incoming = push.incoming.as_slice();
    let mut tx = store.write_tx().await?;
    let (last_no, last_hash) = tx.lock_outbox(&sender.outbox).await?;
    let past = past_results(&mut tx, &sender.outbox, last_no, incoming).await?;
    if let Some(demand) = demand(push, &past, last_no, last_hash) {
        tx.rollback().await?;
        return Ok(refused(push, &past, (last_no, last_hash), demand));
    }
    let fresh = &incoming[incoming.partition_point(|incoming| incoming.no <= last_no)..];
    let mut result = repeat(&past, last_no, last_hash);
    let Some((first, last)) = fresh.first().map(|m| m.no).zip(fresh.last().map(|m| (m.no, m.hash))) else {
        tx.rollback().await?;
        return Ok(result);
    };
    let batch = Batch {
        outbox: sender.outbox,
        earlier: sender.earlier,
        viewer: sender.viewer,
        received_at: sender.received_at,
        clock_offset_ms: sender.clock_offset_ms,
        uptime_ms: sender.uptime_ms,
        is_strict: false,
        trusts_new: attempt == 1,
        mutations: Cow::Borrowed(fresh),
    };
    tx.advance_outbox(&sender.outbox, last.0, last.1).await?;
    let written = write::apply(&mut tx, &batch).await?;
    tx.commit().await?;
    feed.publish(sender.outbox.programme, written.seq);
    append(&mut result, written, first, last);
    Ok(result)
}

/// Decodes the mutations and chains their hashes: work for the processor alone, which may be done while the
/// database is busy with an earlier push.
pub fn chain(push: Push) -> Chained {
    let mut hash = push.prev_hash;
    let numbered = (push.first_no..).zip(push.mutations);
    let incoming = numbered.map(|(no, payload)| {
        hash = hash.then(&payload);
        // A mutation that names another number than its place cannot be trusted; it is kept for review.
        let mutation = Mutation::decode(&payload).ok().filter(|mutation| mutation.no == no);
        Incoming { no, hash, payload, mutation }
    });
    Chained { first_no: push.first_no, prev_hash: push.prev_hash, incoming: incoming.collect() }
}

async fn past_results(
    tx: &mut impl WriteTx,
    outbox: &Outbox,
    last_no: u64,
    incoming: &[Incoming],
) -> Result<Vec<PastResult>, StoreError> {
    match incoming {
        [first, .., last] if first.no <= last_no => tx.past_results(outbox, first.no, last.no.min(last_no)).await,
        [only] if only.no <= last_no => tx.past_results(outbox, only.no, only.no).await,
        _ => Ok(Vec::new()),
    }
}

/// Returns what the device has to do first, if its outbox does not continue what the server has.
fn demand(push: &Chained, past: &[PastResult], last_no: u64, last_hash: ChainHash) -> Option<Demand> {
    let incoming = push.incoming.as_slice();
    if push.first_no == 0 || push.first_no > last_no + 1 {
        return Some(Demand::ResendFrom(last_no + 1));
    }
    let continues = push.first_no <= last_no || push.prev_hash == last_hash;
    let repeats = past.iter().zip(incoming).all(|(past, now)| past.no == now.no && past.hash == now.hash);
    let known = incoming.iter().take_while(|incoming| incoming.no <= last_no).count();
    (!continues || !repeats || past.len() != known).then_some(Demand::NewIncarnation)
}

/// Says what the device has to do, and answers what both have in common: a copy of a phone must not send that again
/// under other numbers, where it would stand over what happened to the rows since.
fn refused(push: &Chained, past: &[PastResult], last: (u64, ChainHash), demand: Demand) -> PushResult {
    let common = past.iter().zip(&push.incoming).take_while(|(past, now)| past.no == now.no && past.hash == now.hash);
    PushResult { demand: Some(demand), ..repeat(&past[..common.count()], last.0, last.1) }
}

/// Answers mutations that were received before with what became of them then. The server may have later numbers of
/// this outbox, which a copy of the phone has sent: they are no answer to this push.
fn repeat(past: &[PastResult], last_no: u64, last_hash: ChainHash) -> PushResult {
    let (upto_no, upto_hash) = past.last().map_or((last_no, last_hash), |past| (past.no, past.hash));
    let same_commit = |a: &PastResult, b: &PastResult| a.seq == b.seq && a.verbatim == b.verbatim;
    let commits = past.chunk_by(same_commit).map(|chunk| Commit {
        first_no: chunk[0].no,
        last_no: chunk[chunk.len() - 1].no,
        seq: chunk[0].seq,
        verbatim: chunk[0].verbatim,
    });
    let stored = past.iter().filter_map(|past| past.result.as_deref());
    let results = stored.filter_map(|json| serde_json::from_str::<MutationResult>(json).ok()).collect();
    PushResult { upto_no, upto_hash, demand: None, commits: commits.collect(), results }
}

fn append(result: &mut PushResult, written: Written, first_no: u64, last: (u64, ChainHash)) {
    (result.upto_no, result.upto_hash) = last;
    result.commits.push(Commit {
        first_no,
        last_no: last.0,
        seq: written.seq,
        verbatim: written.is_verbatim && written.seq > 0,
    });
    result.results.extend(written.results.into_iter().filter(|result| result.outcome != Outcome::Applied));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(first_no: u64, prev_hash: ChainHash, payloads: &[&[u8]]) -> Push {
        Push { first_no, prev_hash, mutations: payloads.iter().map(|payload| payload.to_vec()).collect() }
    }

    fn past_of(incoming: &[Incoming], upto: u64) -> Vec<PastResult> {
        let known = incoming.iter().filter(|incoming| incoming.no <= upto);
        known.map(|i| PastResult { no: i.no, hash: i.hash, result: None, seq: 4, verbatim: true }).collect()
    }

    fn demanded(push: &Push, server_has: &[Incoming], last_no: u64) -> Option<Demand> {
        let push = chain(push.clone());
        let incoming = push.incoming.as_slice();
        let known: Vec<Incoming> = server_has.iter().filter(|i| i.no >= push.first_no).cloned().collect();
        let last_hash = server_has.iter().find(|i| i.no == last_no).map_or(ChainHash::START, |i| i.hash);
        demand(&push, &past_of(&known, last_no.min(incoming.last().map_or(0, |i| i.no))), last_no, last_hash)
    }

    #[test]
    fn an_outbox_that_continues_repeats_or_overlaps_is_accepted() {
        let sent = chain(push(1, ChainHash::START, &[b"a", b"b", b"c"])).incoming;
        assert_eq!(demanded(&push(1, ChainHash::START, &[b"a", b"b", b"c"]), &[], 0), None);
        assert_eq!(demanded(&push(1, ChainHash::START, &[b"a", b"b", b"c"]), &sent, 3), None);
        assert_eq!(demanded(&push(3, sent[1].hash, &[b"c", b"d"]), &sent, 3), None);
        assert_eq!(demanded(&push(4, sent[2].hash, &[b"d"]), &sent, 3), None);
    }

    #[test]
    fn a_gap_is_asked_for() {
        let sent = chain(push(1, ChainHash::START, &[b"a"])).incoming;
        assert_eq!(demanded(&push(3, ChainHash::START, &[b"c"]), &sent, 1), Some(Demand::ResendFrom(2)));
    }

    #[test]
    fn a_number_used_twice_is_noticed() {
        let sent = chain(push(1, ChainHash::START, &[b"a", b"b"])).incoming;
        let fork = Some(Demand::NewIncarnation);
        assert_eq!(demanded(&push(2, sent[0].hash, &[b"other"]), &sent, 2), fork);
        assert_eq!(demanded(&push(3, sent[0].hash, &[b"c"]), &sent, 2), fork, "it continues another history");
        assert_eq!(demanded(&push(1, ChainHash::START, &[b"x", b"b", b"c"]), &sent, 2), fork);
    }
}
