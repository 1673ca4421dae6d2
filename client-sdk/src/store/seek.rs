//! Finding where the outbox and what the server has under its numbers part, after one of them was copied or went back.
//!
//! Nothing is renumbered on suspicion: what the server has must not be sent again under another number, and what it
//! has lost must be. So the device sends numbers again that were answered, the newest ones first, until the server
//! says which of them it has. It takes nothing twice, and answers those that both have.

use sync_protocol::mutation::ChainHash;
use sync_protocol::wire::Demand;

use super::Store;
use super::outbox::Outbox;
use crate::error::{Doing as _, Result};

/// How much further each step goes back than the one before.
const STEP: u64 = 16;

/// A search that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seek {
    /// What comes after this position is sent again.
    after: u64,
    /// How many changes the next step goes back.
    step: u64,
    /// Whether a request has asked: what the server says before is the answer to something else.
    is_asked: bool,
    /// Up to where both are known to be the same.
    shared: Option<u64>,
}

/// What to do about a server that has something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Ask, in the next request.
    NotYet,
    /// Both are the same up to this position.
    SameUpto(u64),
}

impl Store {
    /// Compares the outbox with the last change that the server has of it: sends again what it lost, and begins to
    /// look for where they part when that is another one.
    pub fn meet(&self, last_no: u64, last_hash: ChainHash) -> Result<()> {
        let (is_same, is_lost, is_asked) = {
            let mut inner = self.lock();
            let outbox = &mut inner.outbox;
            if outbox.is_asked_otherwise() {
                return Ok(());
            }
            if outbox.is_mute()? {
                outbox.seek = None;
            }
            if outbox.seek.is_some() {
                // The request asks already; the results of its pushes tell.
                return Ok(());
            }
            let position = outbox.offset + last_no;
            let own = outbox.hash_at(position)?;
            // Changes that were deleted since cannot be compared. All that is kept is then sent anew.
            let is_same = own.map_or(position <= outbox.acked, |own| own == last_hash);
            (is_same, position < outbox.acked, outbox.is_asking_for_what_is_lost(position)?)
        };
        match is_same {
            // What is answered again tells no version of a row.
            true if is_lost && is_asked => self.verify_soon(),
            true if is_lost => self.rewind(last_no + 1),
            true => Ok(()),
            false => self.new_incarnation(),
        }
    }
}

impl Outbox {
    /// Returns whether the request that is under way told other numbers than those that are used by now: the answer says
    /// nothing of these.
    pub(super) fn is_asked_otherwise(&self) -> bool {
        self.asked_as.is_some_and(|incarnation| incarnation != self.incarnation)
    }

    /// Returns the position after which the next push begins.
    pub(super) fn push_after(&self) -> Result<u64> {
        match self.seek {
            Some(seek) => Ok(seek.after),
            None => Ok(self.asks_after()?.unwrap_or(self.acked)),
        }
    }

    /// Notes that a request asks. Returns the position after which it pushes.
    pub(super) fn asks(&mut self) -> Result<u64> {
        if let Some(seek) = &mut self.seek {
            seek.is_asked = true;
        }
        let after = self.push_after()?;
        self.pushed_after = Some(after);
        Ok(after)
    }

    /// Returns whether the server, which lost everything after a position, may take what follows it from a request that
    /// asks again, while something that was emptied has all of it numbered anew: it would come a second time.
    fn is_asking_for_what_is_lost(&self, position: u64) -> Result<bool> {
        let is_sent = self.pushed_after.is_some_and(|after| after <= position) && self.asks_after()?.is_some();
        Ok(is_sent && self.last_emptied()? > position)
    }

    /// Notes that the server has the same up to a position. What was pushed when the search began tells so, too, but not
    /// what became of changes that are asked for again: those are still sent.
    pub(super) fn share(&mut self, upto: u64, demand: Option<Demand>) -> Result<()> {
        let is_all = self.asks_after()?.is_none();
        match &mut self.seek {
            Some(seek) if upto >= seek.shared.map_or(seek.after, |shared| shared.min(seek.after)) => {
                seek.shared = seek.shared.max(Some(upto));
                if seek.is_asked || is_all {
                    (seek.after, seek.is_asked) = (seek.after.max(upto), true);
                }
            }
            None if demand == Some(Demand::NewIncarnation) => {
                self.seek = Some(Seek { after: upto, step: 0, is_asked: true, shared: Some(upto) });
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes that the server lacks everything from a number on: what both had was lost since with the history of a server
    /// that was restored. Returns whether a search is under way.
    pub(super) fn seeks_before(&mut self, from_no: u64) -> bool {
        let shared = self.offset + from_no.max(1) - 1;
        if let Some(seek) = &mut self.seek
            && let Some(before) = &mut seek.shared
        {
            (*before, seek.after) = (shared.min(*before), shared.min(seek.after));
        }
        self.seek.is_some()
    }

    /// Returns whether the search has nothing to send: what it would have sent was emptied meanwhile. It begins anew.
    fn is_mute(&self) -> Result<bool> {
        let Some(seek) = self.seek else { return Ok(false) };
        Ok(seek.after == self.provable_upto(seek.after)?)
    }

    /// Lets the search go on behind what was emptied, which tells of that too, once the server has all that is before it.
    pub(super) fn pass_emptied(&mut self) -> Result<()> {
        let Some(seek) = self.seek.filter(|seek| seek.shared.is_some()) else { return Ok(()) };
        let after = self.before_provable(seek.after, self.last)?;
        if after < self.last && after > seek.after {
            self.seek = Some(Seek { after, is_asked: false, ..seek });
        }
        Ok(())
    }

    /// Returns whether the server has everything that can be shown to it under its number, and something else beyond it.
    pub(super) fn is_outrun(&self) -> Result<bool> {
        let Some(seek) = self.seek.filter(|seek| seek.shared.is_some()) else { return Ok(false) };
        Ok(self.before_provable(seek.after, self.last)? == self.last)
    }

    /// Takes the next step after the server said that it has something else under our numbers.
    pub(super) fn step_back(&mut self) -> Result<Found> {
        let (floor, asks_after) = (self.floor()?, self.asks_after()?.unwrap_or(self.acked));
        let mut seek = self.seek.unwrap_or(Seek { after: self.acked, step: 1, is_asked: true, shared: None });
        if !seek.is_asked {
            return Ok(Found::NotYet);
        }
        if let Some(shared) = seek.shared {
            return Ok(Found::SameUpto(shared));
        }
        // Only a push can tell what of the pending changes the server has. They can always be sent.
        let is_told = self.seek.is_some() || seek.after == self.last;
        let mut before = if self.seek.is_some() { seek.after } else { self.acked + 1 };
        while seek.after > floor {
            // Under another incarnation nothing is asked for again: so this goes back to what is, too.
            let back = self.acked.saturating_sub(seek.step).min(asks_after);
            let after = self.next_start(back.max(floor), before)?;
            seek = Seek { after, step: seek.step.saturating_mul(STEP), is_asked: false, shared: None };
            if self.provable_upto(after)? > after {
                self.seek = Some(seek);
                return Ok(Found::NotYet);
            }
            // Nothing from there on can be sent under its number: further back.
            before = after;
        }
        self.seek = Some(seek);
        Ok(if is_told { Found::SameUpto(seek.after) } else { Found::NotYet })
    }

    /// Returns where the next step begins, which would go back to `after`. What was emptied is passed one at a time, so
    /// that nothing behind it is taken for something else than the server has.
    fn next_start(&self, after: u64, before: u64) -> Result<u64> {
        const EMPTIED: &str = "SELECT max(position) FROM emptied WHERE position > ?1 AND position < ?2";
        let emptied = self.conn.query_row(EMPTIED, (after as i64, before as i64), |row| row.get::<_, Option<i64>>(0));
        Ok(emptied.doing("read the outbox")?.map_or(after, |position| position as u64))
    }

    /// Returns the position up to which the changes after another one can be sent again under their numbers: one that
    /// was emptied says something else than what was sent, and the rest of its group goes with it.
    pub(super) fn provable_upto(&self, after: u64) -> Result<u64> {
        const FIRST: &str = "SELECT min(coalesce((SELECT min(of.position) FROM change of WHERE of.group_no = c.group_no), \
                             position)) FROM change c JOIN emptied USING (position) WHERE position > ?1";
        let first = self.conn.query_row(FIRST, [after as i64], |row| row.get::<_, Option<i64>>(0));
        let first = first.doing("read the outbox")?;
        Ok(first.map_or(self.last, |first| (first as u64 - 1).max(after)))
    }

    /// Returns the first position from `after` on, up to `end`, behind which a change can be sent again under its number.
    pub(super) fn before_provable(&self, mut after: u64, end: u64) -> Result<u64> {
        while after < end && self.provable_upto(after)? == after {
            after += 1;
        }
        Ok(after)
    }

    /// Returns the position before the first change that can be sent again under its number.
    pub(super) fn floor(&self) -> Result<u64> {
        let kept = self.first_kept()?.map_or(self.last, |first| (first - 1).max(self.offset));
        Ok(kept.min(self.acked))
    }
}
