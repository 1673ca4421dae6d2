//! The cache: what is shown. Typed tables hold the server's rows with the unsettled changes laid over them; a
//! side table keeps the server's own version of those rows that have any.
//!
//! Local writes leave the transaction open: the outbox makes them durable, and what the cache lost is laid over
//! again at open. Two marks, written with every commit, tell how far the cache has seen the outbox.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _};
use sync_protocol::cbor::Malformed;
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::rows::{self, VersionedRow};
use uuid::Uuid;

use super::file::DbFile;
use super::outbox::{RowKey, execute};
use super::tables::table;
use super::value::{self, Bound};
use super::{fold, meta, tables};
use crate::error::{Doing as _, Error, Result};

/// The schema of the tables that are not made from field tables, step by step.
pub(super) const STEPS: &[&str] = &[
    "
    CREATE TABLE _meta (name TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
    CREATE TABLE _base (
        kind INTEGER NOT NULL,
        id BLOB NOT NULL,
        is_gone INTEGER NOT NULL DEFAULT 0,
        row BLOB NOT NULL,
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
    CREATE TABLE _scope (
        id BLOB PRIMARY KEY,
        behind_seq INTEGER,
        behind_kind INTEGER,
        behind_row BLOB
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE _suspect (
        scope BLOB NOT NULL,
        prefix BLOB NOT NULL,
        PRIMARY KEY (scope, prefix)
    ) WITHOUT ROWID;
    CREATE TABLE _wanted (
        kind INTEGER NOT NULL,
        id BLOB NOT NULL,
        is_asked INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
",
    "CREATE TABLE _arriving (scope BLOB PRIMARY KEY) WITHOUT ROWID;",
];

/// The version of rows that are not known to the server.
pub(super) const LOCAL_ONLY: i64 = 0;
/// The version of rows that a new download has not confirmed yet.
pub(super) const UNCONFIRMED: i64 = -1;
/// Puts every scope back to its beginning.
const REFETCH: &str = "UPDATE _scope SET behind_seq = 0, behind_kind = 0, behind_row = zeroblob(16)";
/// How many local writes one transaction takes at most: so many are laid over again after a crash.
const WRITES_PER_COMMIT: u32 = 512;

/// Rows of pages that one transaction takes at least, while more are on their way. A page of rows in no order of
/// their identifiers dirties most pages of an index, whether it is small or large.
const ROWS_PER_COMMIT: usize = 8_000;

/// The open cache.
pub(super) struct Cache {
    pub(super) conn: Connection,
    in_transaction: bool,
    writes: u32,
    rows: usize,
    /// Whether the open transaction holds pages.
    has_pages: bool,
    /// Whether pages of the reply under way were undone: what comes after them would leave a gap.
    has_gap: bool,
    /// Whether rows of some scope may be hidden until all of it is here.
    may_hide: bool,
    /// The position of the outbox up to which changes are in the cache.
    pub(super) applied: u64,
    /// The position of the outbox up to which confirmations are in the cache.
    pub(super) acked: u64,
}

/// A row and the server's version of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Base {
    pub(super) seq: i64,
    pub(super) row: Row,
    /// Whether the server has taken it away meanwhile.
    pub(super) is_gone: bool,
}

/// Opens the cache; makes it anew when it is missing, damaged, or to `start_anew`. Also returns whether it is new.
pub(super) fn open(file: &DbFile, start_anew: bool) -> Result<(Cache, bool)> {
    let is_new = start_anew || !file.path().exists();
    if start_anew {
        file.delete()?;
    }
    let load = || {
        file.refuse_torn_apart()?;
        Cache::load(file.open_current(STEPS, |_| Ok(()))?)
    };
    match file.believe_damage_twice(load) {
        Ok(cache) => Ok((cache, is_new)),
        Err(error) if error.is_damage() => {
            tracing::warn!(%error, "the cache is damaged; it is made anew");
            file.delete()?;
            load().map(|cache| (cache, true))
        }
        Err(error) => Err(error),
    }
}

impl Cache {
    /// Makes missing tables and reads the marks. Where rows may lack fields that are new here, all are asked for once
    /// more; the cursor stays. Both are one transaction: a loss of power in between would leave the fields empty.
    pub(super) fn load(conn: Connection) -> Result<Self> {
        fold::register(&conn)?;
        execute(&conn, "BEGIN IMMEDIATE")?;
        if tables::make(&conn)? {
            execute(&conn, REFETCH)?;
        }
        execute(&conn, "COMMIT")?;
        let mut cache = Self {
            conn,
            in_transaction: false,
            writes: 0,
            rows: 0,
            has_pages: false,
            has_gap: false,
            may_hide: true,
            applied: 0,
            acked: 0,
        };
        cache.read_marks()?;
        Ok(cache)
    }

    /// Lets go of a file that is about to be deleted: closing it later moves nothing, and deletes no journal of the
    /// file that takes its name.
    pub(super) fn give_up_file(&mut self) {
        self.roll_back();
        DbFile::move_journal_on_close(&self.conn, false);
    }

    /// Reads how far the cache has seen the outbox.
    pub(super) fn read_marks(&mut self) -> Result<()> {
        self.applied = meta::get::<i64>(&self.conn, "applied")?.unwrap_or(0) as u64;
        self.acked = meta::get::<i64>(&self.conn, "acked")?.unwrap_or(0) as u64;
        Ok(())
    }

    /// Returns whether SQLite gave the open transaction up, as it does on a full or failing disk.
    pub(super) fn is_rolled_back(&self) -> bool {
        self.in_transaction && self.conn.is_autocommit()
    }

    /// Opens the transaction unless it is open.
    pub(super) fn begin(&mut self) -> Result<()> {
        if !self.in_transaction {
            execute(&self.conn, "BEGIN IMMEDIATE")?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Moves the marks back: what the outbox has after a position counts as never seen.
    pub(super) fn forget_after(&mut self, position: u64) {
        (self.applied, self.acked) = (self.applied.min(position), self.acked.min(position));
    }

    /// Commits the open transaction so that no loss of power undoes it.
    pub(super) fn commit_durably(&mut self) -> Result<()> {
        // Not possible inside the transaction: the commit before ends what is open, the one after is synced with it.
        self.commit()?;
        execute(&self.conn, "PRAGMA synchronous = FULL")?;
        let outcome = self.begin().and_then(|()| self.count_durable()).and_then(|()| self.commit());
        execute(&self.conn, "PRAGMA synchronous = NORMAL")?;
        outcome
    }

    /// Changes a page: SQLite syncs nothing for a transaction that changes none.
    fn count_durable(&self) -> Result<()> {
        const COUNT: &str = "INSERT INTO _meta (name, value) VALUES ('durable_commits', 1)
                             ON CONFLICT (name) DO UPDATE SET value = value + 1";
        self.run(COUNT, [])
    }

    /// Commits the open transaction together with the marks.
    pub(super) fn commit(&mut self) -> Result<()> {
        if self.in_transaction {
            meta::set(&self.conn, "applied", self.applied as i64)?;
            meta::set(&self.conn, "acked", self.acked as i64)?;
            execute(&self.conn, "COMMIT")?;
            self.in_transaction = false;
            (self.writes, self.rows, self.has_pages) = (0, 0, false);
        }
        Ok(())
    }

    /// Undoes the open transaction. Local writes use a savepoint instead.
    pub(super) fn roll_back(&mut self) {
        // SQLite has rolled back by itself after some errors; then there is nothing to do.
        let _ = execute(&self.conn, "ROLLBACK");
        self.in_transaction = false;
        self.has_gap |= self.has_pages;
        (self.writes, self.rows, self.has_pages) = (0, 0, false);
    }

    /// Counts a local write and commits once there are many.
    pub(super) fn wrote(&mut self) -> Result<()> {
        self.writes += 1;
        if self.writes >= WRITES_PER_COMMIT { self.commit() } else { Ok(()) }
    }

    /// Takes no page until [`Cache::begin_reply`].
    pub(super) fn leave_gap(&mut self) {
        self.has_gap = true;
    }

    /// Notes that the device tells its place: the pages that come go on from there.
    pub(super) fn begin_reply(&mut self) {
        self.has_gap = false;
    }

    /// Fails when pages before this one were undone.
    pub(super) fn refuse_gap(&self) -> Result<()> {
        let gap = || Error::Storage("rows that had come were undone with a change that could not be saved".to_owned());
        if self.has_gap { Err(gap()) } else { Ok(()) }
    }

    /// Counts the rows of a page and commits once there are many.
    pub(super) fn received(&mut self, rows: usize) -> Result<()> {
        self.rows += rows;
        self.has_pages = true;
        if self.rows >= ROWS_PER_COMMIT { self.commit() } else { Ok(()) }
    }

    /// Commits the pages that are not in the file yet. Costs nothing when there are none.
    pub(super) fn keep_pages(&mut self) -> Result<()> {
        if self.has_pages { self.commit() } else { Ok(()) }
    }

    /// Returns a row as it is shown, with its version.
    pub(super) fn get(&self, key: RowKey) -> Result<Option<(i64, Row)>> {
        let fields = key.0.def().fields;
        let mut statement = self.prepare(&table(key.0).get)?;
        let found = statement.query_row([key.1.as_bytes()], |sql_row| {
            let values = fields.iter().enumerate();
            let values = values.map(|(at, field)| value::read(sql_row.get_ref(at + 1)?, field.field_type));
            Ok((sql_row.get(0)?, Row { id: key.1, values: values.collect::<rusqlite::Result<_>>()? }))
        });
        found.optional().doing("read a row")
    }

    /// Writes a row whatever is there.
    pub(super) fn show(&self, kind: EntityKind, seq: i64, row: &Row) -> Result<()> {
        let mut statement = self.prepare(&table(kind).replace)?;
        bind_row(&mut statement, seq, row)?;
        statement.raw_execute().doing("write a row")?;
        Ok(())
    }

    /// Writes a row with own changes, and shows its scope although more of it may be on its way: a person works there.
    pub(super) fn show_own(&self, kind: EntityKind, seq: i64, row: &Row) -> Result<()> {
        if kind.def().scope_column().is_some() {
            self.show_scope(row.scope_id(kind.def(), Uuid::nil()))?;
        }
        self.show(kind, seq, row)
    }

    /// Writes rows of one kind unless newer versions are there.
    pub(super) fn upsert<'r>(&self, kind: EntityKind, rows: impl Iterator<Item = &'r VersionedRow>) -> Result<()> {
        let mut statement = self.prepare(&table(kind).upsert)?;
        for row in rows {
            bind_row(&mut statement, row.seq as i64, &row.row)?;
            statement.raw_execute().doing("write a row")?;
        }
        Ok(())
    }

    /// Hides the rows of a scope until all of it is here.
    pub(super) fn hide_scope(&mut self, scope: Uuid) -> Result<()> {
        self.may_hide = true;
        self.run("INSERT OR IGNORE INTO _arriving (scope) VALUES (?1)", [scope.as_bytes()])
    }

    /// Shows the rows of a scope from now on.
    pub(super) fn show_scope(&self, scope: Uuid) -> Result<()> {
        if self.may_hide { self.run("DELETE FROM _arriving WHERE scope = ?1", [scope.as_bytes()]) } else { Ok(()) }
    }

    /// Shows the rows of all scopes. Returns whether some were hidden.
    pub(super) fn show_scopes(&mut self) -> Result<bool> {
        let were_hidden = self.prepare("DELETE FROM _arriving")?.execute([]).doing("show what has come")? > 0;
        self.may_hide = were_hidden;
        Ok(were_hidden)
    }

    /// Takes a row away.
    pub(super) fn hide(&self, key: RowKey) -> Result<()> {
        self.run(&table(key.0).delete, [key.1.as_bytes()])
    }

    /// Sets the version of a row whose content is right already.
    pub(super) fn set_seq(&self, key: RowKey, seq: u64) -> Result<()> {
        self.run(&table(key.0).set_seq, (key.1.as_bytes(), seq as i64))
    }

    /// Returns the server's version of a row: kept aside, or as shown when nothing was laid over it.
    pub(super) fn base(&self, key: RowKey) -> Result<Option<Base>> {
        const SQL: &str = "SELECT is_gone, row FROM _base WHERE kind = ?1 AND id = ?2";
        let mut statement = self.conn.prepare_cached(SQL).doing("read a row")?;
        let kept = statement.query_row((key.0.number(), key.1.as_bytes()), |row| {
            Ok((row.get::<_, bool>(0)?, rows::decode(row.get_ref(1)?.as_blob()?)))
        });
        if let Some((is_gone, decoded)) = kept.optional().doing("read a row")? {
            let first = decoded.map_err(damaged)?.rows.into_iter().next();
            return Ok(first.map(|row| Base { seq: row.seq as i64, row: row.row, is_gone }));
        }
        let shown = self.get(key)?.filter(|(seq, _)| *seq != LOCAL_ONLY);
        Ok(shown.map(|(seq, row)| Base { seq, row, is_gone: false }))
    }

    /// Returns the rows of which the server's version is kept aside.
    pub(super) fn base_keys(&self) -> Result<Vec<RowKey>> {
        let mut statement = self.prepare("SELECT kind, id FROM _base")?;
        let keys = statement.query_map([], |row| {
            let kind = EntityKind::from_number(row.get(0)?);
            Ok(kind.zip(value::uuid_of(row.get_ref(1)?).ok()))
        });
        let keys = keys.doing("read the cache")?;
        Ok(keys.collect::<rusqlite::Result<Vec<_>>>().doing("read the cache")?.into_iter().flatten().collect())
    }

    /// Keeps the server's version of a row aside.
    pub(super) fn keep_base(&self, kind: EntityKind, base: &Base) -> Result<()> {
        const SQL: &str = "INSERT INTO _base (kind, id, is_gone, row) VALUES (?1, ?2, ?3, ?4)
                           ON CONFLICT (kind, id) DO UPDATE SET is_gone = excluded.is_gone, row = excluded.row";
        let encoded = rows::encode(kind, &[VersionedRow { seq: base.seq.max(0) as u64, row: base.row.clone() }]);
        self.run(SQL, (kind.number(), base.row.id.as_bytes(), base.is_gone, encoded))
    }

    /// Returns whether the server's version of a row is kept aside.
    pub(super) fn is_kept_aside(&self, key: RowKey) -> Result<bool> {
        let mut statement = self.prepare("SELECT EXISTS (SELECT 1 FROM _base WHERE kind = ?1 AND id = ?2)")?;
        let values = (key.0.number(), key.1.as_bytes());
        statement.query_row(values, |row| row.get(0)).doing("read the cache")
    }

    /// Returns whether the server's version of any row is kept aside: after recording new rows only, none is.
    pub(super) fn has_bases(&self) -> Result<bool> {
        let mut statement = self.prepare("SELECT EXISTS (SELECT 1 FROM _base)")?;
        statement.query_row([], |row| row.get(0)).doing("read the cache")
    }

    /// Forgets the server's version of a row.
    pub(super) fn drop_base(&self, key: RowKey) -> Result<()> {
        self.run("DELETE FROM _base WHERE kind = ?1 AND id = ?2", (key.0.number(), key.1.as_bytes()))
    }

    /// Runs a statement with values through the statement cache.
    pub(super) fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<()> {
        self.prepare(sql)?.execute(params).doing("write to the cache")?;
        Ok(())
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.conn.prepare_cached(sql).doing("prepare a statement")
    }
}

/// Returns the rows of a selection of [`Table::columns`].
pub(super) fn read_row(sql_row: &rusqlite::Row<'_>, kind: EntityKind) -> rusqlite::Result<(i64, Row)> {
    let id: Uuid = value::uuid_of(sql_row.get_ref(0)?)?;
    let fields = kind.def().fields.iter().enumerate();
    let values = fields.map(|(at, field)| value::read(sql_row.get_ref(at + 2)?, field.field_type));
    Ok((sql_row.get(1)?, Row { id, values: values.collect::<rusqlite::Result<_>>()? }))
}

fn bind_row(statement: &mut CachedStatement<'_>, seq: i64, row: &Row) -> Result<()> {
    statement.raw_bind_parameter(1, row.id.as_bytes()).doing("write a row")?;
    statement.raw_bind_parameter(2, seq).doing("write a row")?;
    for (at, field) in row.values.iter().enumerate() {
        statement.raw_bind_parameter(at + 3, Bound(field)).doing("write a row")?;
    }
    Ok(())
}

/// A row that was kept aside is not what was written.
pub(super) fn damaged(found: Malformed) -> Error {
    Error::Damaged { file: "cache.db", what: found.to_string() }
}
