//! Bringing the cache to where the outbox is: after a crash, and after the cache was made anew.

use std::collections::BTreeMap;

use sync_protocol::entity::EntityKind;

use super::ack::Version;
use super::cache::LOCAL_ONLY;
use super::change::ChangeState;
use super::outbox::{Head, RowKey};
use super::{Inner, meta};
use crate::error::Result;

/// Set in the cache while changes are laid over rows that hold them already.
const LAID_OVER_AGAIN: &str = "is_laid_over_again";

impl Inner {
    /// Lays over the cache what the outbox has and the cache lost. Returns how many rows were touched.
    pub(super) fn repair(&mut self) -> Result<u64> {
        let mut rows: BTreeMap<RowKey, Vec<Head>> = BTreeMap::new();
        let (applied, acked) = (self.cache.applied, self.cache.acked);
        for head in self.outbox.heads_after(acked.min(applied))? {
            let is_answered = head.position <= self.outbox.acked;
            if head.position > applied || (is_answered && head.position > acked) {
                rows.entry(head.key).or_default().push(head);
            }
        }
        let count = rows.len() as u64;
        self.cache.begin()?;
        for (key, heads) in rows {
            self.repair_row(key, &heads)?;
        }
        self.lay_over_again()?;
        self.take_off_given_up()?;
        self.refresh_answered()?;
        self.settle_what_came()?;
        if count > 0 {
            self.refetch_after_cursor()?;
            self.doubt_scopes()?;
        }
        (self.cache.applied, self.cache.acked) = (self.outbox.last, self.outbox.acked.max(acked));
        self.load_conflicts()?;
        self.cache.commit()?;
        Ok(count)
    }

    /// Starts a cache that was made anew: the server sends again what it has, so that only unsettled changes
    /// count. Rows that were changed, not created, appear when they arrive.
    pub(super) fn start_cache(&mut self) -> Result<()> {
        self.cache.begin()?;
        for key in self.overlay.keys() {
            self.refresh(key)?;
        }
        (self.cache.applied, self.cache.acked) = (self.outbox.last, self.outbox.acked);
        self.cache.commit()
    }

    fn repair_row(&mut self, key: RowKey, heads: &[Head]) -> Result<()> {
        let base = self.cache.base(key)?;
        let known_seq = base.as_ref().map_or(LOCAL_ONLY, |base| base.seq);
        let is_gone = base.as_ref().is_some_and(|base| base.is_gone);
        let mut version = Version::of(base);
        let confirmed = |head: &&Head| head.state == ChangeState::Confirmed && head.position > self.cache.acked;
        for head in heads.iter().filter(confirmed) {
            // A version that came from the server already holds what was confirmed up to it. Several changes of one
            // push have one number.
            if head.seq as i64 > known_seq {
                version.confirm(&self.outbox.mutation(head.position)?, head.seq);
            }
        }
        let is_known = version.is_known;
        self.keep_version(key, version, is_gone)?;
        self.refresh(key)?;
        if is_known { Ok(()) } else { self.want((key.0.number(), key.1)) }
    }

    /// Lays over the cache what it holds as confirmed while a loss of power undid the answer in the outbox. The
    /// answer comes again.
    fn lay_over_again(&mut self) -> Result<()> {
        let undone = self.outbox.heads_between(self.outbox.acked, self.cache.acked)?;
        if meta::get::<bool>(&self.cache.conn, LAID_OVER_AGAIN)?.unwrap_or(false) {
            self.take_off_leftovers()?;
        }
        match undone.is_empty() {
            true => meta::remove(&self.cache.conn, LAID_OVER_AGAIN)?,
            false => meta::set(&self.cache.conn, LAID_OVER_AGAIN, true)?,
        }
        undone.iter().try_for_each(|head| self.lay_over_shown(head.key))
    }

    /// Takes off what was laid over rows again, and whose answer came again, in a part of the cache that was lost.
    fn take_off_leftovers(&mut self) -> Result<()> {
        let mut keys = self.cache.base_keys()?;
        for kind in EntityKind::ALL {
            let sql = format!("SELECT id FROM \"{}\" WHERE seq = {LOCAL_ONLY}", kind.def().name);
            keys.extend(self.ids(&sql, [])?.into_iter().map(|id| (*kind, id)));
        }
        keys.retain(|key| !self.overlay.contains(*key));
        keys.into_iter().try_for_each(|key| self.refresh(key))
    }

    /// Takes off what the person gave up in a part of the cache that was lost.
    fn take_off_given_up(&mut self) -> Result<()> {
        let mut keys = self.outbox.given_up()?;
        keys.retain(|key| !self.overlay.contains(*key));
        for key in keys {
            if self.cache.get(key)?.is_some_and(|(seq, _)| seq == LOCAL_ONLY) || self.cache.is_kept_aside(key)? {
                self.refresh(key)?;
            }
        }
        Ok(())
    }

    /// Lays the changes of a row over what is shown of it, which is the server's version when none is kept aside.
    pub(super) fn lay_over_shown(&mut self, key: RowKey) -> Result<()> {
        if let Some(base) = self.cache.base(key)? {
            self.cache.keep_base(key.0, &base)?;
        }
        self.refresh(key)
    }

    /// Shows the rows of held, rejected and accepted changes anew: the crash may have come while one of them was
    /// being settled.
    fn refresh_answered(&mut self) -> Result<()> {
        let states = [ChangeState::Held, ChangeState::Rejected, ChangeState::Accepted];
        let answered: Vec<_> = states.into_iter().flat_map(|state| self.overlay.in_state(state)).collect();
        answered.into_iter().try_for_each(|(_, key, _)| self.lay_over_shown(key))
    }

    /// Takes accepted changes off rows that had arrived before the crash, and held ones whose decision had.
    fn settle_what_came(&mut self) -> Result<()> {
        let mut touched = Vec::new();
        let mut settled = self.apply_known_items(&mut touched)?;
        settled.extend(self.accepted_up_to(self.cursor()?.seq, &mut touched));
        settled.iter().for_each(|position| self.overlay.settle(*position));
        touched.into_iter().try_for_each(|key| self.refresh(key))?;
        self.settle(&settled)
    }
}
