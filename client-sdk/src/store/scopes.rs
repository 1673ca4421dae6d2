//! Where the device stands: the cursor, the scopes that it holds, and how far each of them is.

use std::collections::HashSet;

use sync_protocol::cursor::{Cursor, Position};
use sync_protocol::entity::{EntityKind, OFFICE_SCOPE, Row};
use sync_protocol::field::ScopeRule;
use sync_protocol::mutation::ChainHash;
use sync_protocol::wire::Scopes;
use uuid::Uuid;

use super::cache::{Base, LOCAL_ONLY, UNCONFIRMED};
use super::overlay::Layer;
use super::{Inner, Store, meta, value};
use crate::error::{Doing as _, Result};

/// Set in the cache while it may show rows of scopes that the device does not hold.
const DOUBTS_SCOPES: &str = "doubts_scopes";

impl Store {
    /// Takes the list of scopes that the device may hold. Rows of others are dropped, except those with
    /// unsettled changes; new scopes start at the beginning. Returns whether anything changed.
    pub fn apply_scopes(&self, scopes: &Scopes) -> Result<bool> {
        let changed = self.drain(|inner| {
            inner.cache.commit()?;
            inner.cache.begin()?;
            let changed = inner.take_scopes(scopes)?;
            inner.cache.commit()?;
            Ok(changed)
        });
        self.notify_shown();
        changed
    }

    /// Forgets how far the device is, because the server has another history: everything is fetched again. Rows
    /// stay shown until then; those that do not come again are dropped at the end. The outbox is not touched.
    pub fn start_over(&self) -> Result<()> {
        self.drain(|inner| {
            inner.cache.commit()?;
            inner.cache.begin()?;
            inner.unconfirm_everything()?;
            inner.cache.commit()
        })
    }

    /// Notes which history of the server is fetched: positions in it mean nothing in another one. The place stays, as
    /// one that both histories have.
    pub fn begin_history(&self, epoch: Uuid) -> Result<()> {
        self.drain(|inner| {
            inner.cache.commit()?;
            inner.cache.begin()?;
            inner.set_cursor(&Cursor { epoch, ..inner.cursor()? })?;
            inner.cache.commit()
        })
    }
}

impl Inner {
    pub(super) fn cursor(&self) -> Result<Cursor> {
        let conn = &self.cache.conn;
        let epoch = meta::get::<[u8; 16]>(conn, "epoch")?.unwrap_or_default();
        let seq = meta::get::<i64>(conn, "cursor_seq")?.unwrap_or(0);
        let chain = meta::get::<[u8; 16]>(conn, "chain")?.unwrap_or_default();
        Ok(Cursor { epoch: Uuid::from_bytes(epoch), seq: seq as u64, chain: ChainHash(chain) })
    }

    pub(super) fn set_cursor(&self, cursor: &Cursor) -> Result<()> {
        let conn = &self.cache.conn;
        meta::set(conn, "epoch", cursor.epoch.as_bytes())?;
        meta::set(conn, "cursor_seq", cursor.seq as i64)?;
        meta::set(conn, "chain", cursor.chain.0)
    }

    /// Returns every scope that the device holds.
    pub(super) fn scopes(&self) -> Result<Vec<Uuid>> {
        self.ids("SELECT id FROM _scope", [])
    }

    /// Returns the scopes that are behind the cursor and how far they are.
    pub(super) fn behind(&self) -> Result<Vec<(Uuid, Position)>> {
        const SQL: &str = "SELECT id, behind_seq, behind_kind, behind_row FROM _scope WHERE behind_seq IS NOT NULL";
        let mut statement = self.cache.prepare(SQL)?;
        let behind = statement.query_map([], |row| {
            let position = Position {
                seq: row.get::<_, i64>(1)? as u64,
                kind: row.get(2)?,
                row_id: value::uuid_of(row.get_ref(3)?)?,
            };
            Ok((value::uuid_of(row.get_ref(0)?)?, position))
        });
        behind.and_then(Iterator::collect).doing("read the scopes")
    }

    /// Whether a row of this scope stands here as the server has it: everything of the scope has come up to the cursor.
    pub(super) fn is_level(&self, kind: EntityKind, row: &Row) -> Result<bool> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM _scope WHERE id = ?1 AND behind_seq IS NULL)";
        let programme = self.outbox.account.map_or(Uuid::nil(), |account| account.programme);
        let scope = row.scope_id(kind.def(), programme);
        let is_here = self.cache.prepare(SQL)?.query_row([scope.as_bytes()], |row| row.get(0));
        Ok(is_here.doing("read the scopes")? && !self.is_repairing()?)
    }

    /// Sets which scopes are behind; all others have everything up to the cursor. Once none is, all is compared: what is
    /// fetched anew does not tell what is gone, and a loss of power may come before the comparison.
    pub(super) fn set_behind(&self, behind: &[(Uuid, Position)]) -> Result<()> {
        self.cache.run(
            "UPDATE _scope SET behind_seq = NULL, behind_kind = NULL, behind_row = NULL WHERE behind_seq IS NOT NULL",
            [],
        )?;
        if behind.is_empty() && self.cache.conn.changes() > 0 {
            self.verify_soon()?;
        }
        behind.iter().try_for_each(|(scope, position)| self.put_scope(*scope, Some(position)))
    }

    pub(super) fn put_scope(&self, scope: Uuid, behind: Option<&Position>) -> Result<()> {
        const SQL: &str = "INSERT INTO _scope (id, behind_seq, behind_kind, behind_row) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (id) DO UPDATE SET behind_seq = excluded.behind_seq,
                behind_kind = excluded.behind_kind, behind_row = excluded.behind_row";
        let seq = behind.map(|position| position.seq as i64);
        let kind = behind.map(|position| position.kind);
        self.cache.run(SQL, (scope.as_bytes(), seq, kind, behind.map(|position| *position.row_id.as_bytes())))
    }

    fn take_scopes(&mut self, scopes: &Scopes) -> Result<bool> {
        let held: HashSet<Uuid> = self.scopes()?.into_iter().collect();
        let granted: HashSet<Uuid> = scopes.scopes.iter().copied().collect();
        for scope in granted.difference(&held) {
            self.put_scope(*scope, Some(&Position::default()))?;
            if !self.has_rows_of(*scope)? {
                self.cache.hide_scope(*scope)?;
            }
        }
        let left: Vec<Uuid> = held.difference(&granted).copied().collect();
        for scope in &left {
            self.cache.run("DELETE FROM _scope WHERE id = ?1", [scope.as_bytes()])?;
            self.cache.show_scope(*scope)?;
            self.drop_scope(*scope)?;
        }
        self.drop_foreign_scopes()?;
        self.load_conflicts()?;
        Ok(held != granted)
    }

    /// Returns whether the device has rows of a scope that is held again: kept because of unsettled changes, or until
    /// a new download has confirmed them. They stay shown.
    fn has_rows_of(&self, scope: Uuid) -> Result<bool> {
        for def in EntityKind::ALL.iter().map(|kind| kind.def()) {
            let Some(column) = def.scope_column() else { continue };
            let sql = format!("SELECT EXISTS (SELECT 1 FROM \"{}\" WHERE \"{column}\" = ?1)", def.name);
            let has_rows = self.cache.prepare(&sql)?.query_row([scope.as_bytes()], |row| row.get(0));
            if has_rows.doing("read the scopes")? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Shows the rows of the scopes that came: everything of them is here.
    pub(super) fn show_arrived(&mut self) -> Result<()> {
        if self.cache.show_scopes()? { self.load_conflicts() } else { Ok(()) }
    }

    fn drop_scope(&mut self, scope: Uuid) -> Result<()> {
        let programme = self.outbox.account.map(|account| account.programme);
        for kind in EntityKind::ALL {
            let def = kind.def();
            let ids = match (def.scope, def.scope_column()) {
                (_, Some(column)) => {
                    let sql = format!("SELECT id FROM \"{}\" WHERE \"{column}\" = ?1", def.name);
                    self.ids(&sql, [scope.as_bytes()])?
                }
                (ScopeRule::Programme, None) if programme == Some(scope) => self.all_ids(def.name)?,
                (ScopeRule::Office, None) if scope == OFFICE_SCOPE => self.all_ids(def.name)?,
                _ => continue,
            };
            self.drop_rows(*kind, &ids)?;
        }
        Ok(())
    }

    fn all_ids(&self, table: &str) -> Result<Vec<Uuid>> {
        self.ids(&format!("SELECT id FROM \"{table}\""), [])
    }

    fn unconfirm_everything(&mut self) -> Result<()> {
        self.unconfirm_after(0)?;
        self.cache.run("DELETE FROM _scope", [])?;
        self.set_cursor(&Cursor::default())?;
        self.forget_repair()?;
        meta::set(&self.cache.conn, "is_sweeping", true)
    }

    /// Forgets the versions after a number: the server may have others, or none.
    pub(super) fn unconfirm_after(&mut self, seq: u64) -> Result<()> {
        for kind in EntityKind::ALL {
            let name = kind.def().name;
            self.cache.run(&format!("UPDATE \"{name}\" SET seq = {UNCONFIRMED} WHERE seq > ?1"), [seq as i64])?;
        }
        for key in self.overlay.keys() {
            if let Some(base) = self.cache.base(key)?.filter(|base| base.seq > seq as i64) {
                self.cache.keep_base(key.0, &Base { seq: 0, ..base })?;
            }
        }
        Ok(())
    }

    /// Asks for everything after the cursor, also for what this device wrote itself, which is otherwise not sent
    /// back. With the changes that the cache lost, it may have lost the rows that they rest on.
    pub(super) fn refetch_after_cursor(&self) -> Result<()> {
        let after = Position::after(self.cursor()?.seq);
        let behind: HashSet<Uuid> = self.behind()?.into_iter().map(|(scope, _)| scope).collect();
        let level = self.scopes()?.into_iter().filter(|scope| !behind.contains(scope));
        level.into_iter().try_for_each(|scope| self.put_scope(scope, Some(&after)))
    }

    /// Drops what did not come again after [`Store::start_over`].
    pub(super) fn sweep(&mut self) -> Result<()> {
        if meta::get::<bool>(&self.cache.conn, "is_sweeping")?.unwrap_or(false) {
            self.drop_unconfirmed()?;
            meta::remove(&self.cache.conn, "is_sweeping")?;
        }
        Ok(())
    }

    /// Drops the rows that the server has not confirmed.
    pub(super) fn drop_unconfirmed(&mut self) -> Result<()> {
        for kind in EntityKind::ALL {
            let sql = format!("SELECT id FROM \"{}\" WHERE seq = {UNCONFIRMED}", kind.def().name);
            let ids = self.ids(&sql, [])?;
            self.drop_rows(*kind, &ids)?;
        }
        self.drop_unconfirmed_bases()?;
        self.drop_foreign_scopes()?;
        self.load_conflicts()
    }

    /// Gives up server's versions that did not come again of rows with unsettled changes. What was created here is
    /// created anew, as recorded. A row that was only changed here stays shown as it was until that is settled.
    fn drop_unconfirmed_bases(&mut self) -> Result<()> {
        for key in self.overlay.keys() {
            let Some(base) = self.cache.base(key)?.filter(|base| base.seq <= 0) else { continue };
            if !self.overlay.layers(key).first().is_some_and(Layer::is_creation) {
                self.cache.keep_base(key.0, &Base { is_gone: true, ..base })?;
                continue;
            }
            self.cache.drop_base(key)?;
            match self.lay_over(key, None)? {
                Some(row) => self.cache.show(key.0, LOCAL_ONLY, &row)?,
                None => self.cache.hide(key)?,
            }
        }
        Ok(())
    }

    /// Drops rows of scopes that the device does not hold, whatever it knows of the scopes that it held. Rows with
    /// unsettled changes stay until these are settled.
    pub(super) fn drop_foreign_scopes(&mut self) -> Result<()> {
        let scopes: HashSet<Uuid> = self.scopes()?.into_iter().collect();
        if scopes.is_empty() {
            // Nothing was said of scopes yet.
            return Ok(());
        }
        self.drop_voided_of_foreign_scopes(&scopes)?;
        let mut is_leaving = false;
        for kind in EntityKind::ALL {
            let def = kind.def();
            let Some(column) = def.scope_column() else { continue };
            let sql = format!("SELECT id FROM \"{}\" WHERE \"{column}\" NOT IN (SELECT id FROM _scope)", def.name);
            let ids = self.ids(&sql, [])?;
            is_leaving |= ids.iter().any(|id| self.overlay.contains((*kind, *id)));
            self.drop_rows(*kind, &ids)?;
        }
        if is_leaving {
            meta::set(&self.cache.conn, "is_leaving", true)
        } else {
            meta::remove(&self.cache.conn, "is_leaving")
        }
    }

    /// Notes that rows are gone which were voided here and are not shown: should the server refuse that, they stay away.
    fn drop_voided_of_foreign_scopes(&self, scopes: &HashSet<Uuid>) -> Result<()> {
        for (kind, id) in self.overlay.keys().into_iter().filter(|key| key.0.def().scope_column().is_some()) {
            let base = self.cache.base((kind, id))?.filter(|base| !base.is_gone);
            let is_foreign = |base: &Base| !scopes.contains(&base.row.scope_id(kind.def(), Uuid::nil()));
            if let Some(base) = base.filter(is_foreign) {
                self.cache.keep_base(kind, &Base { is_gone: true, ..base })?;
            }
        }
        Ok(())
    }

    /// Lets the next complete download drop rows of scopes that the device does not hold. With the end of the cache it
    /// lost what it had come to hold meanwhile, and perhaps to hold no longer.
    pub(super) fn doubt_scopes(&self) -> Result<()> {
        meta::set(&self.cache.conn, DOUBTS_SCOPES, true)
    }

    /// Drops rows of scopes that turned out not to be the device's, once the server has said which ones are.
    pub(super) fn settle_doubt(&mut self) -> Result<()> {
        if meta::get::<bool>(&self.cache.conn, DOUBTS_SCOPES)?.unwrap_or(false) {
            self.drop_foreign_scopes()?;
            meta::remove(&self.cache.conn, DOUBTS_SCOPES)?;
        }
        Ok(())
    }

    /// Drops rows that only waited for their changes to be settled.
    pub(super) fn drop_settled_scopes(&mut self) -> Result<()> {
        let is_leaving = meta::get::<bool>(&self.cache.conn, "is_leaving")?.unwrap_or(false);
        if is_leaving { self.drop_foreign_scopes() } else { Ok(()) }
    }
}
