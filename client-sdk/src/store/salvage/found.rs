//! What was found in the pieces of a damaged outbox, and what of it is still work.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Value;
use sync_protocol::mutation::{ChainHash, Mutation};
use uuid::Uuid;

use super::cells::{Record, records};
use super::pages::Pages;
use crate::store::answers::Stretch;
use crate::store::change::{Answer, ChangeState};
use crate::store::mark::Reached;

/// A change whose hash proves what was recorded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FoundChange {
    pub(super) state: ChangeState,
    pub(super) seq: i64,
    pub(super) answer: Option<String>,
    pub(super) prev_hash: ChainHash,
    pub(super) hash: ChainHash,
    pub(super) payload: Vec<u8>,
    pub(super) mutation: Mutation,
}

/// Everything that could be read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) changes: BTreeMap<u64, FoundChange>,
    /// The positions of held, rejected and accepted changes, by the index over them.
    pub(super) open: BTreeMap<u64, ChangeState>,
    /// Whether `open` surely has all of them.
    pub(super) is_open_whole: bool,
    pub(super) stretches: Vec<Stretch>,
    pub(super) settings: BTreeMap<String, Value>,
    /// Earlier incarnations, and what their numbers lack to positions.
    pub(super) earlier: BTreeMap<Uuid, u64>,
}

/// What of it goes into the new outbox.
#[derive(Debug, Default)]
pub(super) struct StillWork {
    /// To be sent, oldest first.
    pub(super) pending: Vec<Mutation>,
    /// Held or rejected, by position.
    pub(super) kept: Vec<(u64, FoundChange)>,
    /// No position up to this one is used again.
    pub(super) highest: u64,
    /// Changes that were promised and not found.
    pub(super) lost: u64,
}

impl Found {
    pub(super) fn in_pages(pages: &Pages) -> Self {
        let mut found = Self::default();
        for page in &pages.versions {
            records(pages, page, &mut |record| found.take_change(record));
        }
        // What has no hash of its own is taken from proven pages, if there is any.
        let is_any_proven = pages.versions.iter().any(|page| page.is_proven);
        let numbers: BTreeSet<u32> = pages.versions.iter().map(|page| page.number).collect();
        let best = numbers.into_iter().filter_map(|number| pages.of(number).next());
        for page in best.filter(|page| page.is_proven || !is_any_proven) {
            records(pages, page, &mut |record| found.take_other(record));
        }
        found.stretches.sort_unstable_by_key(|stretch| stretch.last);
        found
    }

    fn take_change(&mut self, record: Record) {
        let Some(position) = record.rowid.and_then(|rowid| u64::try_from(rowid).ok()) else { return };
        if let Some(change) = change_of(record.values) {
            self.changes.insert(position, change);
        }
    }

    fn take_other(&mut self, record: Record) {
        match (record.rowid, record.values.as_slice()) {
            (None, [Value::Integer(state), Value::Integer(position)]) => {
                self.open.insert(*position as u64, ChangeState::from_number(*state));
            }
            (None, [Value::Text(name), value]) => {
                self.settings.insert(name.clone(), value.clone());
            }
            (None, [Value::Blob(id), Value::Integer(offset)]) => {
                let id = id.as_slice().try_into().map(Uuid::from_bytes);
                self.earlier.extend(id.ok().map(|id| (id, *offset as u64)));
            }
            (Some(last), [Value::Null, Value::Integer(first), Value::Integer(state), Value::Integer(seq)]) => {
                let (first, last, seq) = (*first as u64, last as u64, *seq as u64);
                self.stretches.push(Stretch { first, last, state: ChangeState::from_number(*state), seq });
            }
            _ => {}
        }
    }

    pub(super) fn number(&self, setting: &str) -> Option<u64> {
        match self.settings.get(setting) {
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn id(&self, setting: &str) -> Option<Uuid> {
        match self.settings.get(setting) {
            Some(Value::Blob(id)) => id.as_slice().try_into().ok().map(Uuid::from_bytes),
            _ => None,
        }
    }

    /// Separates what is still work from what the server has, and counts what is missing.
    pub(super) fn still_work(self, reached: Reached) -> StillWork {
        let acked = self.acked(reached);
        let is_ours = self.id("device").is_some();
        let highest = self.highest().max(acked).max(reached.last);
        let mut work = StillWork { highest, lost: self.lost(acked, highest, reached), ..StillWork::default() };
        let states: Vec<ChangeState> = self.changes.iter().map(|(at, change)| self.state(*at, change, acked)).collect();
        for ((position, change), state) in self.changes.into_iter().zip(states) {
            match state {
                ChangeState::Pending => work.pending.push(change.mutation),
                ChangeState::Rejected => work.kept.push((position, FoundChange { state, ..change })),
                // Of a held one the server tells by the name of the device.
                ChangeState::Held if is_ours => work.kept.push((position, FoundChange { state, ..change })),
                // The server has it, and sends what became of it.
                _ => {}
            }
        }
        work
    }

    /// Up to where the server has everything. The note beside the file is the newest word, unless the file has more.
    /// Taken too low, a change is sent twice, and the server finds its row as it is; taken too high, one would never
    /// be sent.
    fn acked(&self, reached: Reached) -> u64 {
        if self.is_newest(reached) {
            return reached.acked;
        }
        let settled = self.changes.iter().rev().find(|(_, change)| change.state != ChangeState::Pending);
        let derived = || settled.map_or(0, |(at, _)| *at).max(self.stretches.last().map_or(0, |last| last.last));
        self.number("acked").unwrap_or_else(derived)
    }

    /// Whether the note beside the file tells of everything that was found.
    fn is_newest(&self, reached: Reached) -> bool {
        reached.last > 0 && reached.last >= self.highest()
    }

    fn highest(&self) -> u64 {
        let found = [self.changes.keys().next_back(), self.open.keys().next_back()];
        let highest = found.into_iter().flatten().copied().max().unwrap_or(0);
        highest.max(self.stretches.last().map_or(0, |last| last.last))
    }

    fn state(&self, position: u64, change: &FoundChange, acked: u64) -> ChangeState {
        if position > acked || change.state != ChangeState::Pending {
            return if position > acked { ChangeState::Pending } else { change.state };
        }
        match self.open.get(&position) {
            Some(state) => *state,
            None if self.is_open_whole || self.is_in_stretch(position) => ChangeState::Confirmed,
            None => ChangeState::Pending,
        }
    }

    fn is_in_stretch(&self, position: u64) -> bool {
        let at = self.stretches.partition_point(|stretch| stretch.last < position);
        self.stretches.get(at).is_some_and(|stretch| stretch.contains(position))
    }

    /// Counts the promised changes that are missing: those that waited, and those that the server refused.
    fn lost(&self, acked: u64, highest: u64, reached: Reached) -> u64 {
        let missing = |position: &u64| !self.changes.contains_key(position);
        let waiting = (acked + 1..=highest).filter(missing).count() as u64;
        let rejected = |state: ChangeState| state == ChangeState::Rejected;
        let named = self.open.iter().filter(|(at, state)| **at <= acked && rejected(**state));
        let refused = named.filter(|(at, _)| missing(at)).count() as u64;
        // Where the index is damaged too, or of some time ago, the note still tells how many there were.
        let kept = self.changes.iter().filter(|(at, change)| rejected(self.state(**at, change, acked))).count() as u64;
        waiting + refused.max(if self.is_newest(reached) { reached.rejected.saturating_sub(kept) } else { 0 })
    }
}

/// Returns a change that its hash proves.
fn change_of(values: Vec<Value>) -> Option<FoundChange> {
    use Value::{Blob, Integer, Text};
    let [_, _, _, Integer(state), Integer(seq), _, _, answer, Blob(prev), Blob(hash), Blob(payload)] =
        <[Value; 11]>::try_from(values).ok()?
    else {
        return None;
    };
    let readable = |answer: &String| serde_json::from_str::<Answer>(answer).is_ok();
    let answer = if let Text(answer) = answer { Some(answer).filter(readable) } else { None };
    let hash_of = |bytes: Vec<u8>| bytes.try_into().ok().map(ChainHash);
    let (prev_hash, hash) = (hash_of(prev)?, hash_of(hash)?);
    if prev_hash.then(&payload) != hash {
        return None;
    }
    let mutation = Mutation::decode(&payload).ok()?;
    Some(FoundChange { state: ChangeState::from_number(state), seq, answer, prev_hash, hash, payload, mutation })
}

#[cfg(test)]
mod tests;
