//! Letting go of what was recorded about people whose data was erased: also of what the server has long had, and what
//! is kept only for a server that loses it.
//!
//! A change keeps its place and its number, and says no longer what it changed. Its bytes are not those that were sent any
//! more, so that it is never sent again under its number; the hash that was sent is kept apart from the one that proves it.

use std::collections::HashSet;

use sync_protocol::code::ErasableKind;
use sync_protocol::entity::EntityKind;
use sync_protocol::message::MessageKey;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::rows::Rows;

use super::Inner;
use super::change::{Answer, ChangeState};
use super::outbox::{self, Head, Outbox, RowKey};
use super::overlay::Overlay;
use crate::error::{Doing as _, Result};

impl Inner {
    /// Empties what the server has of rows that a page says were erased, before the page itself is kept: a crash in
    /// between only makes it come again. Returns the rows.
    pub(super) fn erase(&mut self, rows: &[Rows]) -> Result<Vec<RowKey>> {
        let erased: HashSet<RowKey> = erased_by(rows).collect();
        if erased.is_empty() {
            return Ok(Vec::new());
        }
        let answered = self.outbox.heads_between(0, self.outbox.acked)?;
        let about: Vec<Head> = answered.into_iter().filter(|head| erased.contains(&head.key)).collect();
        if !about.is_empty() {
            self.outbox.durably(|outbox| about.iter().try_for_each(|head| outbox.empty(head)))?;
            self.overlay = Overlay::load(&self.outbox)?;
        }
        Ok(erased.into_iter().collect())
    }
}

/// Returns the rows of which a page says that they were erased.
fn erased_by(rows: &[Rows]) -> impl Iterator<Item = RowKey> + '_ {
    let erasures = rows.iter().filter(|rows| rows.kind == Some(EntityKind::Erasure)).flat_map(|rows| &rows.rows);
    erasures.filter_map(|row| {
        let def = EntityKind::Erasure.def();
        let kind = ErasableKind::parse(row.row.get(def, "subject_kind").as_text()?);
        Some((kind.kind()?, row.row.get(def, "subject_id").as_uuid()?))
    })
}

/// Whether an answer says that a change is about a person whose data was erased.
pub(super) fn is_erased(answer: &Answer) -> bool {
    answer.code == MessageKey::RejectErased.code()
}

impl Outbox {
    /// Empties an answered change. One that was kept or refused until now is told to the person as refused.
    pub(super) fn empty(&self, head: &Head) -> Result<()> {
        const NOTE: &str = "INSERT OR IGNORE INTO emptied (position, sent_hash)
                            SELECT position, hash FROM change WHERE position = ?1";
        const EMPTY: &str = "UPDATE change SET payload = ?2, hash = ?3 WHERE position = ?1";
        let payload = emptied(self.mutation(head.position)?).encode();
        let position = head.position as i64;
        self.conn.execute(NOTE, [position]).doing("erase a change")?;
        let prev = "SELECT prev_hash FROM change WHERE position = ?1";
        let prev = self.conn.query_row(prev, [position], |row| outbox::hash_of(row.get_ref(0)?));
        let hash = prev.doing("erase a change")?.then(&payload);
        self.conn.execute(EMPTY, (position, payload, hash.0)).doing("erase a change")?;
        match head.state {
            ChangeState::Held | ChangeState::Rejected => {
                self.set_state(head.position, ChangeState::Rejected, Some(&answer()))
            }
            ChangeState::Accepted => self.set_state(head.position, ChangeState::Settled, None),
            _ => Ok(()),
        }
    }

    /// Returns the last answered position that was emptied, 0 when there is none.
    pub(super) fn last_emptied(&self) -> Result<u64> {
        let last =
            self.conn.query_row("SELECT coalesce(max(position), 0) FROM emptied", [], |row| row.get::<_, i64>(0));
        Ok(last.doing("read the outbox")? as u64)
    }

    /// Forgets that pending changes were emptied: they are numbered anew, and go as they are.
    pub(super) fn forget_emptied(&self) -> Result<()> {
        let sql = "DELETE FROM emptied WHERE position > ?1";
        self.conn.execute(sql, [self.acked as i64]).doing("number changes again")?;
        Ok(())
    }
}

/// What is left of a change: that there was one of this row, by whom and when.
fn emptied(mutation: Mutation) -> Mutation {
    let (field_bases, patch, unknown) = (Vec::new(), Vec::new(), Vec::new());
    Mutation { op: Op::Patch, field_bases, patch, reason: None, unknown, ..mutation }
}

fn answer() -> Answer {
    let code = MessageKey::RejectErased.code().to_owned();
    Answer { code, rule: None, field: None, message: None, args: Vec::new() }
}
