//! Applying what the server sends: one page, one transaction.

use sync_protocol::code::ConflictState;
use sync_protocol::entity::EntityKind;
use sync_protocol::rows::{Gone, GoneReason, Rows, VersionedRow};
use sync_protocol::value::FieldValue as _;
use sync_protocol::wire::Checkpoint;
use uuid::Uuid;

use super::cache::{Base, LOCAL_ONLY, UNCONFIRMED};
use super::change::ChangeState;
use super::outbox::RowKey;
use super::{Filter, Inner, Query, Store, meta, query, value};
use crate::error::{Doing as _, Result};

/// Rows that belong together, with the place up to which they bring the device.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The rows, in the order in which they came.
    pub rows: Vec<Rows>,
    /// The rows to drop.
    pub gone: Vec<Gone>,
    /// The place.
    pub checkpoint: Checkpoint,
}

/// What a page changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows received.
    pub rows: u64,
    /// Whether everything is now here.
    pub complete: bool,
}

impl Store {
    /// Applies a page and its place together. Applying it again changes nothing.
    ///
    /// Small pages share a transaction: the end of the session, or [`Store::flush`], writes it. What a crash loses
    /// is fetched again, because the place is lost with it; so is all of it when one page fails.
    pub fn apply_page(&self, page: &Page) -> Result<Applied> {
        let now = self.world().now();
        self.drain(|inner| {
            inner.cache.refuse_gap()?;
            inner.cache.begin()?;
            let erased = inner.erase(&page.rows)?;
            inner.hold_again(&page.rows)?;
            let settled = inner.apply_in_transaction(page, erased, now.0)?;
            inner.keep_page(page, &settled)
        })?;
        let rows = page.rows.iter().map(|rows| rows.rows.len() as u64).sum();
        let applied = Applied { rows, complete: page.checkpoint.cursor.is_some() };
        if applied != Applied::default() || !page.gone.is_empty() {
            self.notify_shown();
        }
        Ok(applied)
    }
}

impl Inner {
    fn keep_page(&mut self, page: &Page, settled: &[u64]) -> Result<()> {
        self.cache.received(page.rows.iter().map(|rows| rows.rows.len()).sum())?;
        if settled.is_empty() {
            return Ok(());
        }
        // Once the outbox takes these changes for settled, nothing lays them over the cache again after a loss of power.
        self.cache.commit_durably()?;
        self.settle(settled)
    }

    /// Returns the changes that the page settles; they leave the overlay once the page is committed.
    fn apply_in_transaction(&mut self, page: &Page, erased: Vec<RowKey>, now_ms: i64) -> Result<Vec<u64>> {
        let mut touched = Vec::new();
        for key in erased {
            self.cache.drop_base(key)?;
            self.cache.hide(key)?;
            touched.push(key);
        }
        // A row that moved between two scopes of the device may come as gone and as a row: the row counts.
        for gone in &page.gone {
            self.apply_gone(gone, &mut touched)?;
        }
        for rows in &page.rows {
            self.apply_rows(rows, &mut touched)?;
        }
        let mut settled = self.settled_by(&touched)?;
        settled.extend(self.apply_held_items(&page.rows, &mut touched)?);
        self.apply_checkpoint(&page.checkpoint, now_ms)?;
        if let Some(cursor) = page.checkpoint.cursor {
            settled.extend(self.accepted_up_to(cursor.seq, &mut touched));
        }
        for position in &settled {
            self.overlay.settle(*position);
        }
        for key in touched {
            self.refresh(key)?;
        }
        if page.checkpoint.cursor.is_some() {
            // Also what has just lost its last change without having come again.
            self.sweep()?;
            self.settle_doubt()?;
        }
        if !settled.is_empty() {
            self.drop_settled_scopes()?;
        }
        if page.rows.iter().any(|rows| rows.kind == Some(EntityKind::Conflict)) || !page.gone.is_empty() {
            self.load_conflicts()?;
        }
        Ok(settled)
    }

    fn apply_rows(&mut self, rows: &Rows, touched: &mut Vec<RowKey>) -> Result<()> {
        // Rows of a kind that this version does not know are fetched again after an update.
        let Some(kind) = rows.kind else { return Ok(()) };
        if self.overlay.is_empty() {
            return self.cache.upsert(kind, rows.rows.iter());
        }
        let free = rows.rows.iter().filter(|row| !self.overlay.contains((kind, row.row.id)));
        self.cache.upsert(kind, free)?;
        for row in rows.rows.iter().filter(|row| self.overlay.contains((kind, row.row.id))) {
            self.apply_beneath(kind, row)?;
            touched.push((kind, row.row.id));
        }
        Ok(())
    }

    /// Takes a newer version of a row that has unsettled changes.
    fn apply_beneath(&self, kind: EntityKind, row: &VersionedRow) -> Result<()> {
        let known = self.cache.base((kind, row.row.id))?;
        if known.is_some_and(|base| base.seq > row.seq as i64) {
            return Ok(());
        }
        let base = Base { seq: row.seq as i64, row: row.row.clone(), is_gone: false };
        self.cache.keep_base(kind, &base)
    }

    fn apply_gone(&self, gone: &Gone, touched: &mut Vec<RowKey>) -> Result<()> {
        for (number, id, reason) in &gone.rows {
            let Some(kind) = EntityKind::from_number(*number) else { continue };
            let key = (kind, *id);
            if !self.overlay.contains(key) {
                self.cache.hide(key)?;
                continue;
            }
            tracing::debug!(kind = kind.def().name, deleted = *reason == GoneReason::Deleted, "gone beneath a change");
            if let Some(base) = self.cache.base(key)? {
                self.cache.keep_base(kind, &Base { is_gone: true, ..base })?;
                touched.push(key);
            }
        }
        Ok(())
    }

    /// Returns the accepted changes whose result has now come from the server.
    fn settled_by(&self, touched: &[RowKey]) -> Result<Vec<u64>> {
        let mut settled = Vec::new();
        for key in touched {
            let Some(base) = self.cache.base(*key)? else { continue };
            let layers = self.overlay.layers(*key).iter();
            let done = layers.filter(|layer| layer.state == ChangeState::Accepted && layer.seq as i64 <= base.seq);
            settled.extend(done.map(|layer| layer.position));
        }
        Ok(settled)
    }

    /// Returns the accepted changes whose result the device has, now that it has everything up to `seq`.
    pub(super) fn accepted_up_to(&self, seq: u64, touched: &mut Vec<RowKey>) -> Vec<u64> {
        let accepted = self.overlay.in_state(ChangeState::Accepted).into_iter();
        let done: Vec<_> = accepted.filter(|(_, _, waits_for)| *waits_for <= seq).collect();
        touched.extend(done.iter().map(|(_, key, _)| *key));
        done.into_iter().map(|(position, ..)| position).collect()
    }

    /// Records in the outbox what has been settled. After the cache: until then the changes are laid over it.
    pub(super) fn settle(&mut self, settled: &[u64]) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        self.outbox.lazily(|outbox| {
            settled.iter().try_for_each(|position| outbox.set_state(*position, ChangeState::Settled, None))
        })
    }

    /// Shows a row anew: the server's version with the unsettled changes laid over it.
    pub(super) fn refresh(&mut self, key: RowKey) -> Result<()> {
        let base = self.cache.base(key)?;
        let seq = base.as_ref().map_or(LOCAL_ONLY, |base| base.seq);
        if !self.overlay.contains(key) {
            self.cache.drop_base(key)?;
            return match base.filter(|base| !base.is_gone) {
                // A version that has not come again is not known, which is not the same as a row of this device's own.
                Some(base) if base.seq <= 0 => self.cache.show(key.0, UNCONFIRMED, &base.row),
                Some(base) => self.cache.show(key.0, base.seq, &base.row),
                None => self.cache.hide(key),
            };
        }
        match self.lay_over(key, base.map(|base| base.row))? {
            Some(row) => self.cache.show_own(key.0, seq, &row),
            None => self.cache.hide(key),
        }
    }

    fn apply_checkpoint(&mut self, checkpoint: &Checkpoint, now_ms: i64) -> Result<()> {
        self.set_behind(&checkpoint.behind)?;
        if let Some(cursor) = &checkpoint.cursor {
            self.set_cursor(cursor)?;
            self.show_arrived()?;
            self.forget_asked()?;
            meta::set(&self.cache.conn, "complete_ms", now_ms)?;
        }
        Ok(())
    }

    /// Reads which rows have a conflict that nobody has settled.
    pub(super) fn load_conflicts(&mut self) -> Result<()> {
        let query = Query::new().filter(Filter::Eq("state", ConflictState::Open.to_value())).limit(u32::MAX);
        let open = query::run(&self.cache, EntityKind::Conflict, &query)?;
        let def = EntityKind::Conflict.def();
        self.in_conflict = open.iter().filter_map(|(_, row)| row.get(def, "subject_id").as_uuid()).collect();
        Ok(())
    }

    /// Deletes rows by id, except those with unsettled changes, of which the server's version is marked as gone.
    pub(super) fn drop_rows(&mut self, kind: EntityKind, ids: &[Uuid]) -> Result<()> {
        for id in ids {
            let key = (kind, *id);
            match self.overlay.contains(key).then(|| self.cache.base(key)).transpose()?.flatten() {
                Some(base) => self.cache.keep_base(kind, &Base { is_gone: true, ..base })?,
                None if self.overlay.contains(key) => {}
                None => self.cache.hide(key)?,
            }
        }
        Ok(())
    }

    /// Returns the ids that a statement selects.
    pub(super) fn ids(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Uuid>> {
        let mut statement = self.cache.prepare(sql)?;
        let ids = statement.query_map(params, |row| value::uuid_of(row.get_ref(0)?)).doing("read rows")?;
        ids.collect::<rusqlite::Result<_>>().doing("read rows")
    }
}
