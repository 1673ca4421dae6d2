//! Repairs of the numbering: a server that lost changes, and an outbox that is a copy of another one.

use sync_protocol::mutation::{ChainHash, Mutation};
use uuid::Uuid;

use super::answers::{self, Stretches};
use super::mark::Mark;
use super::outbox::{self, Outbox};
use super::overlay::Overlay;
use super::{Store, meta};
use crate::error::{Doing as _, Result};

impl Store {
    /// Makes everything from a number on pending again, because the server lost it.
    pub fn rewind(&self, from_no: u64) -> Result<()> {
        let incarnation = self.world().new_id();
        self.drain(|inner| {
            let from = inner.outbox.offset + from_no.max(1);
            if from > inner.outbox.acked {
                return Ok(());
            }
            // The cache first: after a crash in between, the answers are taken into it again. It may have dropped the
            // rows meanwhile, with a scope, so that the changes are laid over it as if it had never seen them.
            inner.cache.begin()?;
            inner.cache.forget_after(from - 1);
            inner.cache.commit()?;
            inner.outbox.durably(|outbox| outbox.make_pending(from, incarnation))?;
            inner.outbox.mark.iter().for_each(Mark::sync);
            inner.overlay = Overlay::load(&inner.outbox)?;
            inner.repair().map(|_| ())
        })?;
        self.notify_recorded();
        Ok(())
    }

    /// Takes a new incarnation and numbers everything again that the server has not confirmed.
    pub fn new_incarnation(&self) -> Result<()> {
        let incarnation = self.world().new_id();
        self.drain(|inner| {
            inner.outbox.durably(|outbox| {
                outbox.incarnation = incarnation;
                outbox.renumber_pending()
            })?;
            // The other copy of this outbox may have sent what the server took for ours, and did not send back.
            inner.verify_soon()
        })
    }
}

impl Outbox {
    /// Makes everything from a position on pending. When the changes before it are no longer kept, the chain
    /// cannot be shown to the server, and what is kept goes under a new incarnation.
    fn make_pending(&mut self, from: u64, incarnation: Uuid) -> Result<()> {
        const SQL: &str = "UPDATE change SET state = 0, seq = 0, answer = NULL WHERE position >= ?1";
        let first = self.first_kept()?.map_or(from, |kept| kept.max(from));
        self.conn.execute(SQL, [first as i64]).doing("send changes again")?;
        answers::forget_from(&self.conn, first)?;
        self.stretches = Stretches::load(&self.conn)?;
        self.acked = first - 1;
        answers::set_acked(&self.conn, self.acked)?;
        if self.hash_at(self.acked)?.is_none() {
            self.incarnation = incarnation;
            self.renumber_pending()?;
        }
        Ok(())
    }

    fn first_kept(&self) -> Result<Option<u64>> {
        let first = self.conn.query_row("SELECT min(position) FROM change", [], |row| row.get::<_, Option<i64>>(0));
        Ok(first.doing("read the outbox")?.map(|position| position as u64))
    }

    /// Numbers the pending changes from 1 under the incarnation that is set. Positions stay.
    pub(super) fn renumber_pending(&mut self) -> Result<()> {
        const SQL: &str = "UPDATE change SET prev_hash = ?2, hash = ?3, payload = ?4 WHERE position = ?1";
        let (mut hash, offset) = (ChainHash::START, self.acked);
        for head in self.heads_after(self.acked)? {
            let mutation = Mutation { no: head.position - offset, ..self.mutation(head.position)? };
            let payload = mutation.encode();
            let next = hash.then(&payload);
            let mut statement = self.conn.prepare_cached(SQL).doing("number changes again")?;
            let values = (head.position as i64, hash.0, next.0, payload);
            statement.execute(values).doing("number changes again")?;
            hash = next;
        }
        if let Some(before) = meta::get::<[u8; 16]>(&self.conn, "incarnation")? {
            outbox::keep_incarnation(&self.conn, Uuid::from_bytes(before), self.offset)?;
        }
        meta::set(&self.conn, "incarnation", self.incarnation.as_bytes())?;
        meta::set(&self.conn, "offset", offset as i64)?;
        (self.offset, self.last_hash) = (offset, hash);
        Ok(())
    }
}
