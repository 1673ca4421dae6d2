//! The outbox: every change recorded here, numbered and chained, durable before anything is sent.
//!
//! Changes have a position that only grows. Within an incarnation the number on the wire is the position less
//! an offset; a new incarnation moves the offset and starts the chain anew.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow};
use sync_protocol::cbor::Malformed;
use sync_protocol::entity::EntityKind;
use sync_protocol::mutation::{ChainHash, Mutation};
use uuid::Uuid;

use super::account::{Account, stored_account};
use super::again;
use super::answers::{self, Stretches};
use super::change::{Answer, Change, ChangeState};
use super::file::DbFile;
use super::mark::{Mark, Reached};
use super::seek::Seek;
use super::{meta, value};
use crate::error::{Doing as _, Error, Result};
use crate::world::World;

/// The schema, step by step. Steps are never changed once they are released.
pub(super) const STEPS: &[&str] = &[
    "
    CREATE TABLE _meta (name TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
    CREATE TABLE change (
        position INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,
        row_id BLOB NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        seq INTEGER NOT NULL DEFAULT 0,
        group_no INTEGER,
        captured_ms INTEGER NOT NULL,
        answer TEXT,
        prev_hash BLOB NOT NULL,
        hash BLOB NOT NULL,
        payload BLOB NOT NULL
    );
    CREATE INDEX change_open ON change (state, position) WHERE state BETWEEN 2 AND 4;
",
    "
    CREATE TABLE answered (
        last INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        state INTEGER NOT NULL,
        seq INTEGER NOT NULL
    );
",
    "
    CREATE TABLE earlier_incarnation (id BLOB PRIMARY KEY, number_offset INTEGER NOT NULL) WITHOUT ROWID;
",
    "
    CREATE TABLE emptied (position INTEGER PRIMARY KEY, sent_hash BLOB NOT NULL);
",
];

/// A row and its kind.
pub(super) type RowKey = (EntityKind, Uuid);

/// The open outbox.
pub(super) struct Outbox {
    pub(super) conn: Connection,
    /// The device, the same for the life of the file.
    pub(super) device: Uuid,
    /// Who works on the device.
    pub(super) account: Option<Account>,
    /// The incarnation that new changes belong to.
    pub(super) incarnation: Uuid,
    /// The incarnation of the request that is under way, once there was one: the answer speaks of its numbers.
    pub(super) asked_as: Option<Uuid>,
    /// The position after which the newest request with pushes begins to push.
    pub(super) pushed_after: Option<u64>,
    /// What to take from a position for the number on the wire.
    pub(super) offset: u64,
    /// The newest position.
    pub(super) last: u64,
    /// The chain at `last`.
    pub(super) last_hash: ChainHash,
    /// The position up to which the server has everything.
    pub(super) acked: u64,
    /// What it said of those changes that do not say it themselves.
    pub(super) stretches: Stretches,
    /// Set while it is looked for where the server's changes and these part.
    pub(super) seek: Option<Seek>,
    /// Set while answers of a history that the server has left are asked for again: up to here that is done.
    pub(super) asked: Option<u64>,
    /// Where it is noted how far this has come; `None` while the file is not in its place.
    pub(super) mark: Option<Mark>,
}

/// A change as it stands in the file, without its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) position: u64,
    pub(super) key: RowKey,
    pub(super) state: ChangeState,
    pub(super) seq: u64,
}

impl Outbox {
    /// Reads where the outbox stands; names the device when the file is new.
    pub(super) fn load(conn: Connection, world: &dyn World) -> Result<Self> {
        // As it was sent, should the newest one have been emptied since.
        const NEWEST: &str = "SELECT position,
                coalesce((SELECT sent_hash FROM emptied e WHERE e.position = c.position), hash)
            FROM change c ORDER BY position DESC LIMIT 1";
        let device = named_id(&conn, "device", world)?;
        let incarnation = named_id(&conn, "incarnation", world)?;
        let offset = meta::get::<i64>(&conn, "offset")?.unwrap_or(0) as u64;
        let newest = conn.query_row(NEWEST, [], |row| Ok((row.get::<_, i64>(0)? as u64, hash_of(row.get_ref(1)?)?)));
        let (last, hash) = newest.optional().doing("read the outbox")?.unwrap_or((0, ChainHash::START));
        let last_hash = if last > offset { hash } else { ChainHash::START };
        let acked = acked(&conn)?;
        let stretches = Stretches::load(&conn)?;
        let account = stored_account(&conn)?;
        let asked = again::noted_asked(&conn)?;
        let last = last.max(offset);
        Ok(Self {
            conn,
            device,
            account,
            incarnation,
            asked_as: None,
            pushed_after: None,
            offset,
            last,
            last_hash,
            acked,
            stretches,
            seek: None,
            asked,
            mark: None,
        })
    }

    /// Closes the file without moving anything into it.
    pub(super) fn close_untouched(self) {
        DbFile::move_journal_on_close(&self.conn, false);
    }

    /// Returns the number on the wire of a position; 0 when it belongs to an earlier incarnation.
    pub(super) fn number(&self, position: u64) -> u64 {
        position.saturating_sub(self.offset)
    }

    /// Returns the position that a number of an incarnation means. Of an earlier one only those count that are of this
    /// outbox: under the numbers after them, a copy may have sent something else.
    pub(super) fn position(&self, incarnation: Uuid, number: u64) -> Result<Option<u64>> {
        const SQL: &str = "SELECT number_offset, (SELECT min(number_offset) FROM earlier_incarnation later
                WHERE later.number_offset > e.number_offset)
            FROM earlier_incarnation e WHERE id = ?1";
        if incarnation == self.incarnation {
            return Ok(Some(self.offset + number));
        }
        let mut statement = self.conn.prepare_cached(SQL).doing("read the outbox")?;
        let known = statement.query_row([incarnation.as_bytes()], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, Option<i64>>(1)?))
        });
        let known = known.optional().doing("read the outbox")?;
        let position = known.map(|(offset, next)| (offset + number, next.map_or(self.offset, |next| next as u64)));
        Ok(position.filter(|(position, end)| position <= end).map(|(position, _)| position))
    }

    /// Returns the earlier incarnations, the oldest first, each with the last of its numbers that is of this outbox: a
    /// copy may have gone on from there.
    pub(super) fn earlier(&self) -> Result<Vec<(Uuid, u64)>> {
        const SQL: &str = "SELECT id, number_offset FROM earlier_incarnation ORDER BY number_offset";
        let mut statement = self.conn.prepare_cached(SQL).doing("read the outbox")?;
        let known = statement.query_map([], |row| Ok((value::uuid_of(row.get_ref(0)?)?, row.get::<_, i64>(1)? as u64)));
        let known: Vec<(Uuid, u64)> = known.and_then(Iterator::collect).doing("read the outbox")?;
        let ends = known.iter().skip(1).map(|(_, offset)| *offset).chain([self.offset]);
        let earlier = known.iter().zip(ends).map(|((id, offset), end)| (*id, end.saturating_sub(*offset)));
        Ok(earlier.filter(|(_, upto_no)| *upto_no > 0).collect())
    }

    /// Appends a change inside the transaction that is open.
    pub(super) fn append(&mut self, mutation: &Mutation) -> Result<u64> {
        const SQL: &str = "INSERT INTO change (position, kind, row_id, group_no, captured_ms, prev_hash, hash, payload)
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let payload = mutation.encode();
        let hash = self.last_hash.then(&payload);
        let position = self.last + 1;
        let mut statement = self.conn.prepare_cached(SQL).doing("record a change")?;
        statement
            .execute((
                position as i64,
                mutation.kind.number(),
                mutation.row_id.as_bytes(),
                mutation.group.map(|group| group as i64),
                mutation.captured_at.0,
                self.last_hash.0,
                hash.0,
                payload,
            ))
            .doing("record a change")?;
        (self.last, self.last_hash) = (position, hash);
        Ok(position)
    }

    /// Returns what was recorded at a position.
    pub(super) fn mutation(&self, position: u64) -> Result<Mutation> {
        let mut statement =
            self.conn.prepare_cached("SELECT payload FROM change WHERE position = ?1").doing("read a change")?;
        let decoded = statement
            .query_row([position as i64], |row| Ok(Mutation::decode(row.get_ref(0)?.as_blob()?)))
            .doing("read a change")?;
        Ok(decoded?)
    }

    /// Returns whether a change was refused: then the person gave it up, or put another one in its place.
    pub(super) fn is_given_up(&self, position: u64) -> Result<bool> {
        let answer = self.answer(position)?;
        Ok(answer.is_some_and(|answer| answer.is_refusal() || answer.code.starts_with("HELD")))
    }

    /// Returns whether a change that is sent again was refused before, and its author has been through with that.
    pub(super) fn was_given_up(&self, position: u64) -> Result<bool> {
        const SQL: &str = "SELECT answer FROM change WHERE position = ?1 AND state IN (0, 5)";
        Ok(self.read_answer(SQL, position)?.is_some_and(|answer| answer.is_refusal()))
    }

    /// Returns what the server answered to a change, where that is more than "applied as sent".
    pub(super) fn answer(&self, position: u64) -> Result<Option<Answer>> {
        self.read_answer("SELECT answer FROM change WHERE position = ?1 AND state <> 0", position)
    }

    fn read_answer(&self, sql: &'static str, position: u64) -> Result<Option<Answer>> {
        let mut statement = self.conn.prepare_cached(sql).doing("read a change")?;
        let answer = statement.query_row([position as i64], |row| row.get::<_, Option<String>>(0)).optional();
        let answer = answer.doing("read a change")?.flatten();
        Ok(answer.and_then(|answer| serde_json::from_str(&answer).ok()))
    }

    /// Returns the rows of changes that were refused or held once and are settled now.
    pub(super) fn given_up(&self) -> Result<Vec<RowKey>> {
        const SQL: &str = "SELECT position, kind, row_id, state, seq FROM change
                           WHERE state = ?1 AND answer IS NOT NULL";
        let mut statement = self.conn.prepare_cached(SQL).doing("read the outbox")?;
        let heads = statement.query_map([ChangeState::Settled.number()], head).doing("read the outbox")?;
        heads.map(|head| head.map(|head| head.key)).collect::<rusqlite::Result<_>>().doing("read the outbox")
    }

    /// Returns the changes after a position, oldest first.
    pub(super) fn heads_after(&self, position: u64) -> Result<Vec<Head>> {
        self.heads_between(position, self.last)
    }

    /// Returns the changes in `(after, upto]`, oldest first.
    pub(super) fn heads_between(&self, after: u64, upto: u64) -> Result<Vec<Head>> {
        const SQL: &str = "SELECT position, kind, row_id, state, seq FROM change
                           WHERE position > ?1 AND position <= ?2 ORDER BY position";
        let mut statement = self.conn.prepare_cached(SQL).doing("read the outbox")?;
        let heads = statement.query_map([after as i64, upto as i64], head).doing("read the outbox")?;
        let heads = heads.map(|head| head.map(|head| self.answered(head)));
        heads.collect::<rusqlite::Result<_>>().doing("read the outbox")
    }

    /// Completes a change that does not say itself what became of it.
    fn answered(&self, head: Head) -> Head {
        if head.state != ChangeState::Pending || head.position > self.acked {
            return head;
        }
        let told = self.stretches.of(head.position).map(|stretch| (stretch.state, stretch.seq));
        let (state, seq) = told.unwrap_or((ChangeState::Settled, 0));
        Head { state, seq, ..head }
    }

    /// Returns the changes that are still laid over the server's rows, oldest first.
    pub(super) fn open_heads(&self) -> Result<Vec<Head>> {
        const SQL: &str = "SELECT position, kind, row_id, state, seq FROM change
                           WHERE state BETWEEN 2 AND 4 AND position <= ?1";
        let mut statement = self.conn.prepare_cached(SQL).doing("read the outbox")?;
        let heads = statement.query_map([self.acked as i64], head).doing("read the outbox")?;
        let mut heads = heads.collect::<rusqlite::Result<Vec<_>>>().doing("read the outbox")?;
        heads.sort_unstable_by_key(|head| head.position);
        heads.extend(self.heads_after(self.acked)?);
        Ok(heads)
    }

    /// Sets what became of one change.
    pub(super) fn set_state(&self, position: u64, state: ChangeState, answer: Option<&Answer>) -> Result<()> {
        const SQL: &str = "UPDATE change SET state = ?2, answer = coalesce(?3, answer) WHERE position = ?1";
        let answer = answer.and_then(|answer| serde_json::to_string(answer).ok());
        let mut statement = self.conn.prepare_cached(SQL).doing("record an answer")?;
        statement.execute((position as i64, state.number(), answer)).doing("record an answer")?;
        Ok(())
    }

    /// Returns the changes in a state, oldest first.
    pub(super) fn changes(&self, state: ChangeState, limit: u32) -> Result<Vec<Change>> {
        const OPEN: &str = "SELECT position, state, answer, payload FROM change
                            WHERE state = ?1 AND state BETWEEN 2 AND 4 ORDER BY position LIMIT ?2";
        const PENDING: &str = "SELECT position, state, NULL, payload FROM change
                               WHERE position > ?3 AND state = ?1 ORDER BY position LIMIT ?2";
        let read = |row: &SqlRow<'_>| Ok(change(row));
        let list: Vec<Result<Change>> = if state == ChangeState::Pending {
            let mut statement = self.conn.prepare_cached(PENDING).doing("list changes")?;
            let rows = statement.query_map((0, limit, self.acked as i64), read).doing("list changes")?;
            rows.collect::<rusqlite::Result<_>>().doing("list changes")?
        } else {
            let mut statement = self.conn.prepare_cached(OPEN).doing("list changes")?;
            let rows = statement.query_map((state.number(), limit), read).doing("list changes")?;
            rows.collect::<rusqlite::Result<_>>().doing("list changes")?
        };
        list.into_iter().collect()
    }

    /// Returns how many changes are in a state in which something is still to happen.
    pub(super) fn count(&self, state: ChangeState) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM change WHERE state = ?1 AND state BETWEEN 2 AND 4";
        let mut statement = self.conn.prepare_cached(SQL).doing("count changes")?;
        let count = statement.query_row([state.number()], |row| row.get::<_, i64>(0)).doing("count changes")?;
        Ok(count as u64)
    }

    /// Returns when the oldest pending change was recorded.
    pub(super) fn oldest_pending_ms(&self) -> Result<Option<i64>> {
        let sql = "SELECT captured_ms FROM change WHERE position > ?1 ORDER BY position LIMIT 1";
        let mut statement = self.conn.prepare_cached(sql).doing("read the outbox")?;
        statement.query_row([self.acked as i64], |row| row.get(0)).optional().doing("read the outbox")
    }

    /// Returns the chain at a position of this incarnation, as it was sent.
    pub(super) fn hash_at(&self, position: u64) -> Result<Option<ChainHash>> {
        const SQL: &str = "SELECT coalesce((SELECT sent_hash FROM emptied e WHERE e.position = c.position), hash)
                           FROM change c WHERE position = ?1";
        if position <= self.offset {
            return Ok((position == self.offset).then_some(ChainHash::START));
        }
        let mut statement = self.conn.prepare_cached(SQL).doing("read the outbox")?;
        let hash = statement.query_row([position as i64], |row| hash_of(row.get_ref(0)?));
        hash.optional().doing("read the outbox")
    }

    /// Returns the chain before a position, which the change there knows when the one before it is no longer kept.
    pub(super) fn hash_before(&self, position: u64) -> Result<Option<ChainHash>> {
        if let Some(hash) = self.hash_at(position - 1)? {
            return Ok(Some(hash));
        }
        let mut statement =
            self.conn.prepare_cached("SELECT prev_hash FROM change WHERE position = ?1").doing("read the outbox")?;
        let hash = statement.query_row([position as i64], |row| hash_of(row.get_ref(0)?));
        hash.optional().doing("read the outbox")
    }

    /// Runs `work` in one transaction, which is durable when this returns.
    pub(super) fn durably<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin()?;
        let before = (self.incarnation, self.offset, self.last, self.last_hash, self.acked, self.asked);
        let outcome = work(self).and_then(|value| self.commit().map(|()| value));
        if outcome.is_ok() {
            // Not before: where the file keeps them, what was said of them counts.
            self.stretches.forget_after(self.acked);
        } else {
            self.roll_back();
            (self.incarnation, self.offset, self.last, self.last_hash, self.acked, self.asked) = before;
        }
        outcome
    }

    /// Runs `work` in one transaction that a loss of power may undo, for what the server knows too: an answer that
    /// is lost is asked for again, and comes again. The next durable write carries it to the disk.
    pub(super) fn lazily<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        execute(&self.conn, "PRAGMA synchronous = NORMAL")?;
        let outcome = self.durably(work);
        execute(&self.conn, "PRAGMA synchronous = FULL")?;
        outcome
    }

    pub(super) fn begin(&self) -> Result<()> {
        execute(&self.conn, "BEGIN IMMEDIATE")
    }

    pub(super) fn commit(&self) -> Result<()> {
        execute(&self.conn, "COMMIT")?;
        self.note_reached();
        Ok(())
    }

    /// Notes beside the file how far it has come.
    pub(super) fn note_reached(&self) {
        if let Some(mark) = &self.mark {
            let rejected = self.count(ChangeState::Rejected).unwrap_or(0);
            mark.note(Reached { last: self.last, acked: self.acked, rejected });
        }
    }

    pub(super) fn roll_back(&self) {
        // SQLite has rolled back by itself after some errors; then there is nothing to do.
        let _ = execute(&self.conn, "ROLLBACK");
    }
}

/// Keeps which positions the numbers of an incarnation mean: what the server holds, it names by them.
pub(super) fn keep_incarnation(conn: &Connection, id: Uuid, offset: u64) -> Result<()> {
    const SQL: &str = "INSERT OR IGNORE INTO earlier_incarnation (id, number_offset) VALUES (?1, ?2)";
    conn.execute(SQL, (id.as_bytes(), offset as i64)).doing("keep an incarnation")?;
    Ok(())
}

/// Runs a statement without values through the statement cache.
pub(super) fn execute(conn: &Connection, sql: &'static str) -> Result<()> {
    conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).doing(sql)?;
    Ok(())
}

/// Returns the position up to which the server has everything. Where it was never noted, every change says itself
/// what became of it, and the newest one that is not pending is found from the end.
fn acked(conn: &Connection) -> Result<u64> {
    if let Some(noted) = answers::noted_acked(conn)? {
        return Ok(noted);
    }
    let sql = "SELECT position FROM change WHERE state <> 0 ORDER BY position DESC LIMIT 1";
    let found = conn.query_row(sql, [], |row| row.get::<_, i64>(0)).optional().doing("read the outbox")?;
    Ok(found.unwrap_or(0) as u64)
}

fn named_id(conn: &Connection, name: &str, world: &dyn World) -> Result<Uuid> {
    if let Some(bytes) = meta::get::<[u8; 16]>(conn, name)? {
        return Ok(Uuid::from_bytes(bytes));
    }
    let id = world.new_id();
    meta::set(conn, name, id.as_bytes())?;
    Ok(id)
}

fn head(row: &SqlRow<'_>) -> rusqlite::Result<Head> {
    let number = row.get::<_, u16>(1)?;
    let kind = EntityKind::from_number(number).ok_or(rusqlite::types::FromSqlError::OutOfRange(i64::from(number)))?;
    Ok(Head {
        position: row.get::<_, i64>(0)? as u64,
        key: (kind, value::uuid_of(row.get_ref(2)?)?),
        state: ChangeState::from_number(row.get(3)?),
        seq: row.get::<_, i64>(4)? as u64,
    })
}

fn change(row: &SqlRow<'_>) -> Result<Change> {
    let part = |at: usize| row.get_ref(at).doing("read a change");
    let position = part(0)?.as_i64().map_err(rusqlite::Error::from).doing("read a change")?;
    let state = part(1)?.as_i64().map_err(rusqlite::Error::from).doing("read a change")?;
    let answer = part(2)?.as_str_or_null().map_err(rusqlite::Error::from).doing("read a change")?;
    let payload = part(3)?.as_blob().map_err(rusqlite::Error::from).doing("read a change")?;
    let answer = answer.map(serde_json::from_str).transpose();
    Ok(Change {
        change_id: position as u64,
        state: ChangeState::from_number(state),
        mutation: Mutation::decode(payload)?,
        answer: answer.map_err(|error| Error::Malformed(Malformed(error.to_string())))?,
    })
}

pub(super) fn hash_of(value: ValueRef<'_>) -> rusqlite::Result<ChainHash> {
    let bytes = value.as_blob()?;
    bytes.try_into().map(ChainHash).map_err(|_| rusqlite::types::FromSqlError::InvalidType.into())
}
