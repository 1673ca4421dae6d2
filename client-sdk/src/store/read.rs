//! Reading what is shown, and how sync stands.

use sync_protocol::code::{ConflictState, MergeState};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::change::{Change, ChangeState};
use super::{Inner, Query, Salvaged, Store, meta, query};
use crate::error::{Error, Result};

/// How a shown row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// The server has it like this.
    Synced,
    /// It has changes that the server has not confirmed.
    Pending,
    /// It has a change that the server keeps until something else happens.
    Held,
    /// It has a change that the server refused.
    Rejected,
    /// It has two concurrent edits of one field that nobody has settled.
    Conflict,
}

/// A row as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRow {
    /// The row, with the device's own changes.
    pub row: Row,
    /// The version of the server's row underneath; 0 when the server has none.
    pub seq: u64,
    /// How it stands.
    pub state: RowState,
}

/// How sync stands, for a line on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncStatus {
    /// Changes that the server has not confirmed.
    pub pending: u64,
    /// Changes that the server keeps until something else happens.
    pub held: u64,
    /// Changes that the server refused.
    pub rejected: u64,
    /// Rows with a conflict that nobody has settled.
    pub conflicts: u64,
    /// Pairs of rows that may be one, about which the office has not decided.
    pub merges: u64,
    /// When the oldest pending change was recorded.
    pub oldest_pending_at: Option<Timestamp>,
    /// When everything was last here, by the device's clock.
    pub last_complete_at: Option<Timestamp>,
    /// What was ever saved from damage on this device, and what could not be. The office sees it too.
    pub salvaged: Salvaged,
    /// When it was last noticed that the files are a copy of another phone's, were copied to one, or were restored from
    /// a backup. Tell the person: [`MessageKey::OutboxCopied`](sync_protocol::message::MessageKey::OutboxCopied).
    pub copied_at: Option<Timestamp>,
}

impl Store {
    /// Returns one row.
    pub fn get(&self, kind: EntityKind, id: Uuid) -> Result<Option<ShownRow>> {
        let rows = self.list(kind, &Query::new().eq("id", id).limit(1))?;
        Ok(rows.into_iter().next())
    }

    /// Returns the rows of a query.
    pub fn list(&self, kind: EntityKind, query: &Query) -> Result<Vec<ShownRow>> {
        self.read(|inner| {
            let rows = query::run(&inner.cache, kind, query)?;
            Ok(rows.into_iter().map(|(seq, row)| inner.shown(kind, seq, row)).collect())
        })
    }

    /// Returns rows in which each word is found, whatever its case and diacritics.
    pub fn search(&self, kind: EntityKind, words: &str, limit: u32) -> Result<Vec<ShownRow>> {
        self.list(kind, &Query::new().text(words).limit(limit))
    }

    /// Returns how many rows fulfil the conditions of a query.
    pub fn count(&self, kind: EntityKind, query: &Query) -> Result<u64> {
        self.read(|inner| query::count(&inner.cache, kind, query))
    }

    /// Returns the changes that the server has not confirmed, oldest first.
    pub fn pending(&self, limit: u32) -> Result<Vec<Change>> {
        self.lock().outbox.changes(ChangeState::Pending, limit)
    }

    /// Returns the changes that the server keeps until something else happens, oldest first.
    pub fn held(&self, limit: u32) -> Result<Vec<Change>> {
        self.lock().outbox.changes(ChangeState::Held, limit)
    }

    /// Returns the changes that the server refused, oldest first. They are put right by patching their row, or
    /// given up with [`Store::discard`].
    pub fn rejected(&self, limit: u32) -> Result<Vec<Change>> {
        self.lock().outbox.changes(ChangeState::Rejected, limit)
    }

    /// Returns the rows of kind [`EntityKind::Conflict`] that nobody has settled.
    pub fn conflicts(&self, limit: u32) -> Result<Vec<ShownRow>> {
        self.list(EntityKind::Conflict, &Query::new().eq("state", ConflictState::Open).limit(limit))
    }

    /// Returns how much room is left.
    pub fn room(&self) -> super::Room {
        self.inner.lock().ballast.room()
    }

    /// Returns how sync stands.
    pub fn status(&self) -> Result<SyncStatus> {
        self.read(|inner| {
            Ok(SyncStatus {
                pending: inner.outbox.last - inner.outbox.acked,
                held: inner.outbox.count(ChangeState::Held)?,
                rejected: inner.outbox.count(ChangeState::Rejected)?,
                conflicts: inner.in_conflict.len() as u64,
                merges: query::count(&inner.cache, EntityKind::MergeProposal, &open_merges())?,
                oldest_pending_at: inner.outbox.oldest_pending_ms()?.map(Timestamp),
                last_complete_at: meta::get::<i64>(&inner.cache.conn, "complete_ms")?.map(Timestamp),
                salvaged: inner.outbox.salvaged()?,
                copied_at: meta::get::<i64>(&inner.outbox.conn, "copied_ms")?.map(Timestamp),
            })
        })
    }

    /// Gives up a change that the server refused: the row is shown again as the server has it.
    pub fn discard(&self, change_id: u64) -> Result<()> {
        self.drain(|inner| {
            let rejected = inner.overlay.in_state(ChangeState::Rejected);
            let Some((position, key, _)) = rejected.into_iter().find(|(position, ..)| *position == change_id) else {
                return Err(Error::Usage(format!("change {change_id} is not one that the server refused")));
            };
            inner.overlay.remove(position);
            inner.cache.begin()?;
            inner.refresh(key)?;
            // The cache first: after a crash in between, the change is laid over it again.
            inner.cache.commit()?;
            inner.settle(&[position])
        })?;
        self.notify_shown();
        Ok(())
    }
}

fn open_merges() -> Query {
    Query::new().eq("state", MergeState::Open)
}

impl Inner {
    fn shown(&self, kind: EntityKind, seq: i64, row: Row) -> ShownRow {
        let state = match self.overlay.row_state(kind, row.id) {
            Some(ChangeState::Rejected) => RowState::Rejected,
            Some(ChangeState::Held) => RowState::Held,
            _ if self.in_conflict.contains(&row.id) => RowState::Conflict,
            Some(ChangeState::Pending) => RowState::Pending,
            _ => RowState::Synced,
        };
        ShownRow { row, seq: seq.max(0) as u64, state }
    }
}
