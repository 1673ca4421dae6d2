//! Taking the server's answer to a push: one transaction in the outbox, then the cache.

use std::collections::HashMap;

use sync_protocol::mutation::Op;
use sync_protocol::wire::{Commit, Outcome, PushResult};

use super::cache::Base;
use super::change::{Answer, ChangeState};
use super::outbox::{Head, Outbox, RowKey};
use super::write::laid_over;
use super::{Inner, Store};
use crate::error::{Doing as _, Result};

/// What an answer settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Changes that the server now has for good.
    pub pushed: u64,
    /// Of these: kept by the server until something else happens.
    pub held: u64,
    /// Of these: refused.
    pub rejected: u64,
    /// Of these: met a concurrent edit.
    pub conflicts: u64,
    /// Whether the server has something else under our numbers: a new incarnation is needed.
    pub is_foreign: bool,
}

impl Store {
    /// Takes the answer to a push. Taking it again changes nothing.
    pub fn apply_result(&self, result: &PushResult) -> Result<Answered> {
        let mut inner = self.inner.lock();
        let upto = inner.outbox.offset + result.upto_no;
        if upto <= inner.outbox.acked {
            return Ok(Answered::default());
        }
        if inner.outbox.hash_at(upto)? != Some(result.upto_hash) {
            return Ok(Answered { is_foreign: true, ..Answered::default() });
        }
        let from = inner.outbox.acked;
        let mut answered = inner.outbox.lazily(|outbox| outbox.record_answers(result, upto))?;
        answered.pushed = upto - from;
        inner.outbox.acked = upto;
        let heads = inner.outbox.heads_between(from, upto)?;
        inner.cache.begin()?;
        inner.confirm(&heads)?;
        inner.cache.acked = inner.cache.acked.max(upto);
        inner.cache.commit()?;
        drop(inner);
        self.notify_shown();
        Ok(answered)
    }
}

impl Outbox {
    fn record_answers(&mut self, result: &PushResult, upto: u64) -> Result<Answered> {
        // What the server does not mention it has, in a commit that is still to come with the rows.
        self.set_states(self.acked + 1, upto, ChangeState::Accepted, 0)?;
        for commit in &result.commits {
            let (first, last) = (self.offset + commit.first_no, (self.offset + commit.last_no).min(upto));
            self.set_states(first.max(self.acked + 1), last, state_of(commit), commit.seq)?;
        }
        let mut answered = Answered::default();
        for one in &result.results {
            let position = self.offset + one.no;
            if position <= self.acked || position > upto {
                continue;
            }
            let state = match one.outcome {
                Outcome::Applied => continue,
                Outcome::Merged => ChangeState::Accepted,
                Outcome::Conflict => {
                    answered.conflicts += 1;
                    ChangeState::Accepted
                }
                Outcome::Held | Outcome::Unknown => {
                    answered.held += 1;
                    ChangeState::Held
                }
                Outcome::Rejected => {
                    answered.rejected += 1;
                    ChangeState::Rejected
                }
            };
            self.set_state(position, state, Some(&Answer::from(one)))?;
        }
        Ok(answered)
    }

    fn set_states(&self, first: u64, last: u64, state: ChangeState, seq: u64) -> Result<()> {
        const SQL: &str = "UPDATE change SET state = ?3, seq = ?4 WHERE position BETWEEN ?1 AND ?2";
        let mut statement = self.conn.prepare_cached(SQL).doing("record answers")?;
        let values = (first as i64, last as i64, state.number(), seq as i64);
        statement.execute(values).doing("record answers")?;
        Ok(())
    }
}

/// A change that was not applied exactly as sent waits for the row as the server has it.
fn state_of(commit: &Commit) -> ChangeState {
    match (commit.verbatim, commit.seq) {
        (true, 0) => ChangeState::Settled,
        (true, _) => ChangeState::Confirmed,
        (false, _) => ChangeState::Accepted,
    }
}

impl Inner {
    /// Brings the cache to the answers. Confirmed rows are right already and only get their version.
    pub(super) fn confirm(&mut self, heads: &[Head]) -> Result<()> {
        let mut mixed: HashMap<RowKey, Vec<Head>> = HashMap::new();
        for head in heads {
            // The cache may have taken this answer before, when a loss of power undid it in the outbox only.
            let is_repeat = head.position <= self.cache.acked;
            if let [only] = self.overlay.layers(head.key)
                && head.state == ChangeState::Confirmed
                && !is_repeat
            {
                // A row that was created here has no older version of the server aside.
                let is_creation = only.is_creation();
                self.overlay.remove(head.position);
                self.cache.set_seq(head.key, head.seq)?;
                if !is_creation {
                    self.cache.drop_base(head.key)?;
                }
            } else {
                mixed.entry(head.key).or_default().push(*head);
            }
        }
        mixed.iter().try_for_each(|(key, heads)| self.confirm_row(*key, heads))
    }

    /// Moves the confirmed changes of a row into the server's version of it.
    fn confirm_row(&mut self, key: RowKey, heads: &[Head]) -> Result<()> {
        let base = self.cache.base(key)?;
        let mut seq = base.as_ref().map_or(0, |base| base.seq);
        let mut row = base.map(|base| base.row);
        let mut confirmed = false;
        for head in heads {
            // A version that came from the server already holds what was confirmed before it.
            if head.state == ChangeState::Confirmed && head.seq > seq.max(0) as u64 {
                let mutation = self.outbox.mutation(head.position)?;
                confirmed |= mutation.op != Op::Delete || row.is_some();
                row = laid_over(row, &mutation);
                seq = head.seq as i64;
            }
            self.overlay.set_state(head.position, head.state, head.seq);
        }
        if confirmed {
            match row {
                Some(row) => self.cache.keep_base(key.0, &Base { seq, row, is_gone: false })?,
                None => {
                    self.cache.drop_base(key)?;
                    self.cache.hide(key)?;
                }
            }
        }
        self.refresh(key)
    }
}
