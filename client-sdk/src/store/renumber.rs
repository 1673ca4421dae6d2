//! Repairs of the numbering: a server that lost changes, and an outbox that is a copy of another one.

use sync_protocol::mutation::{ChainHash, Mutation};
use uuid::Uuid;

use super::answers;
use super::mark::Mark;
use super::outbox::{self, Outbox};
use super::overlay::Overlay;
use super::seek::Found;
use super::{Inner, Store, meta};
use crate::error::{Doing as _, Result};

impl Store {
    /// Makes everything from a number on pending again, because the server lost it.
    pub fn rewind(&self, from_no: u64) -> Result<()> {
        if self.lock().outbox.seeks_before(from_no) {
            // What is looked for tells from where on.
            return self.new_incarnation();
        }
        let incarnation = self.world().new_id();
        self.drain(|inner| {
            let from = inner.outbox.offset + from_no.max(1);
            if from > inner.outbox.acked || inner.outbox.is_asked_otherwise() {
                return Ok(());
            }
            inner.send_again(from, |outbox| outbox.make_pending(from, incarnation))
        })?;
        self.notify_recorded();
        Ok(())
    }

    /// Makes everything pending again that a restored server lacks of earlier incarnations, and what came after it. A
    /// copy of this phone may go on under their numbers, so that it goes under a new one.
    pub fn meet_earlier(&self, known: &[(Uuid, u64)]) -> Result<()> {
        let incarnation = self.world().new_id();
        self.drain(|inner| {
            let Some(from) = inner.outbox.first_lacking(known)? else { return Ok(()) };
            inner.outbox.seek = None;
            inner.send_again(from, |outbox| {
                outbox.pend_from(from)?;
                outbox.incarnation = incarnation;
                outbox.renumber_pending()
            })
        })?;
        self.notify_recorded();
        Ok(())
    }

    /// The server has something else under our numbers: takes a new incarnation, and numbers everything again that
    /// the server does not have. Where that begins is asked first, if it is not known: then this only prepares it.
    pub fn new_incarnation(&self) -> Result<()> {
        let (incarnation, now) = (self.world().new_id(), self.world().now());
        self.drain(|inner| {
            if inner.outbox.is_asked_otherwise() {
                return Ok(());
            }
            let Found::SameUpto(after) = inner.outbox.step_back()? else { return Ok(()) };
            let renumber = |outbox: &mut Outbox| {
                outbox.pend_from(after + 1)?;
                outbox.incarnation = incarnation;
                outbox.renumber_pending()?;
                meta::set(&outbox.conn, "copied_ms", now.0)
            };
            // The other copy of this outbox may have sent what the server took for ours, and did not send back. That is
            // known before the numbers are others: no failure after them leads here again.
            let renumbered = inner.verify_durably().and_then(|()| match after < inner.outbox.acked {
                true => inner.send_again(after + 1, renumber),
                false => inner.outbox.durably(renumber),
            });
            // Also after a failure: a search that has come to its end asks nothing more, and would never be taken up
            // again. The next welcome begins another one.
            inner.outbox.seek = None;
            renumbered
        })?;
        self.notify_recorded();
        Ok(())
    }
}

impl Inner {
    fn verify_durably(&mut self) -> Result<()> {
        self.cache.begin()?;
        self.verify_soon()?;
        self.cache.commit_durably()
    }

    /// Makes answered changes pending again.
    fn send_again(&mut self, from: u64, work: impl FnOnce(&mut Outbox) -> Result<()>) -> Result<()> {
        // The cache first: after a crash in between, the answers are taken into it again. It may have dropped the
        // rows meanwhile, with a scope, so that the changes are laid over it as if it had never seen them.
        self.cache.begin()?;
        self.cache.forget_after(from - 1);
        self.cache.commit_durably()?;
        self.outbox.durably(work)?;
        self.outbox.mark.iter().for_each(Mark::sync);
        self.overlay = Overlay::load(&self.outbox)?;
        self.repair().map(|_| ())
    }
}

impl Outbox {
    /// Makes everything from a position on pending. When the changes before it are no longer kept, or one of them says
    /// less than when it was sent, the chain cannot be shown to the server, and what is kept goes under a new
    /// incarnation.
    fn make_pending(&mut self, from: u64, incarnation: Uuid) -> Result<()> {
        let is_emptied = self.last_emptied()? >= from;
        self.pend_from(from)?;
        if is_emptied || self.hash_at(self.acked)?.is_none() {
            self.incarnation = incarnation;
            self.renumber_pending()?;
        }
        Ok(())
    }

    /// Makes what is kept from a position on pending, if it is not. What was refused and given up keeps that answer, by
    /// which it is told from the rest: refused once more, it does not come before the person again.
    pub(super) fn pend_from(&mut self, from: u64) -> Result<()> {
        const SQL: &str = "UPDATE change SET answer = CASE WHEN state IN (0, 5) THEN answer END, state = 0, seq = 0
                           WHERE position >= ?1";
        if from > self.acked {
            return Ok(());
        }
        let first = self.first_kept()?.map_or(from, |kept| kept.max(from));
        self.conn.execute(SQL, [first as i64]).doing("send changes again")?;
        answers::forget_from(&self.conn, first)?;
        self.acked = first - 1;
        if self.asked.is_some_and(|asked| asked >= self.acked) {
            self.set_asked(None)?;
        }
        answers::set_acked(&self.conn, self.acked)
    }

    /// Returns the position of the first change of an earlier incarnation that is kept here, and is not among what the
    /// server knows. What waited when a damaged outbox was saved has new numbers, and is no longer kept under these.
    fn first_lacking(&self, known: &[(Uuid, u64)]) -> Result<Option<u64>> {
        for (incarnation, upto_no) in self.earlier()? {
            let Some((_, last_no)) = known.iter().find(|(id, _)| *id == incarnation) else { continue };
            let (first, last) = (self.position(incarnation, last_no + 1)?, self.position(incarnation, upto_no)?);
            if let (Some(first), Some(last)) = (first, last)
                && self.keeps_any(first, last)?
            {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    fn keeps_any(&self, first: u64, last: u64) -> Result<bool> {
        const SQL: &str = "SELECT EXISTS (SELECT * FROM change WHERE position BETWEEN ?1 AND ?2)";
        let any = self.conn.query_row(SQL, [first as i64, last as i64], |row| row.get(0));
        any.doing("read the outbox")
    }

    pub(super) fn first_kept(&self) -> Result<Option<u64>> {
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
        // What has new numbers is no longer meant by the old ones: under those, a copy may send something else.
        let forget = "DELETE FROM earlier_incarnation WHERE number_offset >= ?1";
        self.conn.execute(forget, [offset as i64]).doing("number changes again")?;
        let before = meta::get::<[u8; 16]>(&self.conn, "incarnation")?;
        if let Some(before) = before.filter(|_| self.offset < offset) {
            outbox::keep_incarnation(&self.conn, Uuid::from_bytes(before), self.offset)?;
        }
        meta::set(&self.conn, "incarnation", self.incarnation.as_bytes())?;
        meta::set(&self.conn, "offset", offset as i64)?;
        self.forget_emptied()?;
        self.set_asked(None)?;
        (self.offset, self.last_hash) = (offset, hash);
        Ok(())
    }
}
