//! Repairs of the numbering: a server that lost changes, and an outbox that is a copy of another one.

use sync_protocol::mutation::{ChainHash, Mutation};

use super::outbox::Outbox;
use super::overlay::Overlay;
use super::{Store, meta};
use crate::error::{Doing as _, Result};

impl Store {
    /// Makes everything from a number on pending again, because the server lost it.
    pub fn rewind(&self, from_no: u64) -> Result<()> {
        let mut inner = self.inner.lock();
        let from = inner.outbox.offset + from_no.max(1);
        if from > inner.outbox.acked {
            return Ok(());
        }
        inner.outbox.durably(|outbox| {
            let mut statement = outbox
                .conn
                .prepare_cached("UPDATE change SET state = 0, seq = 0, answer = NULL WHERE position >= ?1")
                .doing("send changes again")?;
            statement.execute([from as i64]).doing("send changes again")?;
            Ok(())
        })?;
        inner.outbox.acked = from - 1;
        inner.cache.acked = inner.cache.acked.min(from - 1);
        inner.overlay = Overlay::load(&inner.outbox)?;
        inner.repair()?;
        drop(inner);
        self.notify_recorded();
        Ok(())
    }

    /// Takes a new incarnation and numbers everything again that the server has not confirmed.
    pub fn new_incarnation(&self) -> Result<()> {
        let incarnation = self.world().new_id();
        let mut inner = self.inner.lock();
        inner.outbox.durably(|outbox| {
            outbox.incarnation = incarnation;
            outbox.renumber_pending()
        })
    }
}

impl Outbox {
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
        meta::set(&self.conn, "incarnation", self.incarnation.as_bytes())?;
        meta::set(&self.conn, "offset", offset as i64)?;
        (self.offset, self.last_hash) = (offset, hash);
        Ok(())
    }
}
