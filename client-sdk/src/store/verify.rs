//! Checking that the cache holds what the server holds, and putting right what differs.
//!
//! The server sends a digest of each scope. Where the device's own differs, the scope becomes suspect: the next
//! request carries the sums of its buckets, the server lists the rows of those that differ, and what is older or
//! missing is asked for row by row. Rows stay shown meanwhile. Pending changes are not touched: only the server's
//! own version of a row counts, whatever is laid over it.

use std::collections::{HashMap, HashSet};

use rusqlite::types::ValueRef;
use sync_protocol::cursor::{Cursor, Position};
use sync_protocol::digest::{self, Digest, MAX_DEPTH, Version};
use sync_protocol::entity::{EntityKind, OFFICE_SCOPE};
use sync_protocol::field::ScopeRule;
use sync_protocol::rows;
use sync_protocol::wire::{Digests, Listing, Message, Sums, Want};
use uuid::Uuid;

use super::cache::{Base, LOCAL_ONLY, UNCONFIRMED, damaged};
use super::outbox::RowKey;
use super::{Inner, Store, meta, value};
use crate::error::{Doing as _, Result};

/// The highest number of a kind that this version knows.
pub(super) const KINDS: u16 = EntityKind::ALL.len() as u16;
/// So many parts of scopes are compared in one request.
const SUMS_OF_REQUEST: u32 = 16;
/// So many rows are asked for in one request.
const WANTED_OF_REQUEST: u32 = 2_000;
/// After so many repairs that did not help, the rows of a scope are all fetched again.
const REPAIRS: i64 = 2;

/// What came of comparing the device's rows with the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Scopes that were compared.
    pub scopes: u64,
    /// Of these: scopes that differed. They are repaired in the requests that follow.
    pub differing: u64,
}

/// What was put right after a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Scopes that differed at first.
    pub scopes: u64,
    /// Rows that were missing or of another version; they are fetched again.
    pub fetched: u64,
    /// Rows that the server does not have; they are dropped.
    pub dropped: u64,
}

impl Repaired {
    /// Adds what followed in the same sync. A scope is compared again after its repair, and counts once.
    pub(crate) fn add(&mut self, later: Self) {
        self.scopes = self.scopes.max(later.scopes);
        self.fetched += later.fetched;
        self.dropped += later.dropped;
    }
}

impl Store {
    /// Lets the next sync compare every row with the server's.
    pub fn verify_soon(&self) -> Result<()> {
        self.in_cache(|inner| inner.verify_soon())
    }

    /// Notes that rows may be here which the server has deleted without telling: the next comparison finds them.
    pub fn expect_difference(&self) -> Result<()> {
        self.in_cache(|inner| inner.expect_difference())
    }

    /// Returns what is to be asked after the pushes: where the device differs, and the rows that it lacks.
    pub fn checks(&self) -> Result<Vec<Message>> {
        if !self.read(|inner| inner.is_repairing())? {
            return Ok(Vec::new());
        }
        self.in_cache(|inner| {
            let mut checks = inner.sums()?;
            checks.extend(inner.ask_for_wanted()?);
            Ok(checks)
        })
    }

    /// Compares the server's digests with the device's own, after everything up to the cursor was applied.
    pub fn apply_digests(&self, digests: &Digests) -> Result<Verified> {
        let now = self.world().now();
        let verified = self.in_cache(|inner| inner.compare_digests(digests, now.0))?;
        self.notify_shown();
        Ok(verified)
    }

    /// Takes the rows that the server lists: drops what it does not have, and notes what is to be asked for.
    pub fn apply_listing(&self, listing: &Listing) -> Result<Repaired> {
        let repaired = self.in_cache(|inner| inner.take_listing(listing))?;
        self.notify_shown();
        Ok(repaired)
    }

    /// Goes back to where the server's history and the device's part. What came after it is shown until the server
    /// has said whether it still has it; the outbox is not touched.
    pub fn rebase(&self, common: &Cursor) -> Result<()> {
        self.in_cache(|inner| inner.rebase(common))
    }

    fn in_cache<T>(&self, mut work: impl FnMut(&mut Inner) -> Result<T>) -> Result<T> {
        self.drain(|inner| {
            inner.cache.commit()?;
            inner.cache.begin()?;
            let value = work(inner)?;
            inner.cache.commit()?;
            Ok(value)
        })
    }
}

impl Inner {
    /// Whether rows differ from the server's and it is not yet put right.
    pub(super) fn is_repairing(&self) -> Result<bool> {
        Ok(self.repairs()? > 0 || self.has_questions()?)
    }

    /// Whether the next request is to ask for digests: the server's clock shows another day, something gave a reason, or a
    /// download is about to be complete. Not while it is known what differs.
    pub(super) fn is_verification_due(&self) -> Result<bool> {
        if self.repairs()? > 0 && self.has_questions()? {
            return Ok(false);
        }
        let verified_on = meta::get::<i64>(&self.cache.conn, "verified_on_ms")?;
        Ok(verified_on != Some(self.outbox.day_ms()?) || self.is_repairing()? || !self.behind()?.is_empty())
    }

    pub(super) fn verify_soon(&self) -> Result<()> {
        meta::remove(&self.cache.conn, "verified_on_ms")
    }

    /// Puts the next comparison off until the server's clock shows another day. The phone's own clock has no say: set
    /// back or forward by years, it would put it off for years, or ask for it at every sync.
    pub(super) fn verify_after_a_day(&self) -> Result<()> {
        meta::set(&self.cache.conn, "verified_on_ms", self.outbox.day_ms()?)
    }

    fn repairs(&self) -> Result<i64> {
        Ok(meta::get::<i64>(&self.cache.conn, "repairs")?.unwrap_or(0))
    }

    fn has_questions(&self) -> Result<bool> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM _suspect) OR EXISTS (SELECT 1 FROM _wanted)";
        let mut statement = self.cache.prepare(SQL)?;
        statement.query_row([], |row| row.get(0)).doing("read what differs")
    }

    /// Forgets what was found to differ.
    pub(super) fn forget_repair(&self) -> Result<()> {
        self.cache.run("DELETE FROM _suspect", [])?;
        self.cache.run("DELETE FROM _wanted", [])?;
        meta::remove(&self.cache.conn, "repairs")?;
        meta::remove(&self.cache.conn, "sweeps_when_equal")?;
        self.verify_soon()
    }

    /// Forgets the rows that were asked for, after a complete answer. Those that did not come are gone meanwhile, also
    /// where the server tells of no deletion because all of a scope was fetched anew.
    pub(super) fn forget_asked(&mut self) -> Result<()> {
        for key in self.asked()? {
            if self.cache.base(key)?.is_some_and(|base| base.seq <= LOCAL_ONLY) {
                self.drop_rows(key.0, &[key.1])?;
            }
        }
        self.cache.run("DELETE FROM _wanted WHERE is_asked", [])
    }

    fn asked(&self) -> Result<Vec<RowKey>> {
        let mut statement = self.cache.prepare("SELECT kind, id FROM _wanted WHERE is_asked")?;
        let asked = statement.query_map([], |row| Ok((row.get(0)?, value::uuid_of(row.get_ref(1)?)?)));
        let asked: Vec<(u16, Uuid)> = asked.and_then(Iterator::collect).doing("read what was asked for")?;
        Ok(asked.into_iter().filter_map(|(kind, id)| Some((EntityKind::from_number(kind)?, id))).collect())
    }

    fn compare_digests(&mut self, digests: &Digests, now_ms: i64) -> Result<Verified> {
        if self.repairs()? == 0 && self.has_questions()? {
            // A row is still to be asked for: then all are compared.
            self.verify_soon()?;
            return Ok(Verified::default());
        }
        let own = self.digests()?;
        let differs = |(scope, digest): &&(Uuid, Digest)| own.get(scope).copied().unwrap_or_default() != *digest;
        let differing: Vec<Uuid> = digests.scopes.iter().filter(differs).map(|(scope, _)| *scope).collect();
        let verified = Verified { scopes: digests.scopes.len() as u64, differing: differing.len() as u64 };
        if differing.is_empty() {
            self.found_equal(now_ms)?;
        } else {
            self.found_different(&differing)?;
        }
        Ok(verified)
    }

    fn found_equal(&mut self, now_ms: i64) -> Result<()> {
        if self.sweeps_when_equal()? {
            // All that the server has is here and confirmed: the rest is what it lost or never had.
            self.drop_unconfirmed()?;
        }
        self.forget_repair()?;
        self.verify_after_a_day()?;
        meta::set(&self.cache.conn, "verified_ms", now_ms)
    }

    fn found_different(&mut self, scopes: &[Uuid]) -> Result<()> {
        let repairs = self.repairs()? + 1;
        tracing::warn!(scopes = scopes.len(), repairs, "rows differ from the server's");
        meta::set(&self.cache.conn, "repairs", repairs)?;
        if repairs <= REPAIRS {
            return scopes.iter().try_for_each(|scope| self.suspect(*scope, &[]));
        }
        if repairs == REPAIRS + 1 {
            return self.fetch_again(scopes);
        }
        tracing::error!("a repair did not help; trying again in a day");
        self.forget_repair()?;
        self.verify_after_a_day()
    }

    fn sweeps_when_equal(&self) -> Result<bool> {
        Ok(meta::get::<bool>(&self.cache.conn, "sweeps_when_equal")?.unwrap_or(false))
    }

    fn suspect(&self, scope: Uuid, prefix: &[u8]) -> Result<()> {
        self.cache.run("INSERT OR IGNORE INTO _suspect (scope, prefix) VALUES (?1, ?2)", (scope.as_bytes(), prefix))
    }

    /// Fetches every row of scopes again; those that do not come are dropped once both sides are equal.
    fn fetch_again(&mut self, scopes: &[Uuid]) -> Result<()> {
        let mut keys = Vec::new();
        self.each_version(|scope, version| {
            if scopes.contains(&scope) {
                keys.push(version);
            }
        })?;
        for version in keys {
            if let Some(kind) = EntityKind::from_number(version.kind) {
                self.unconfirm((kind, version.row_id))?;
            }
        }
        meta::set(&self.cache.conn, "sweeps_when_equal", true)?;
        scopes.iter().try_for_each(|scope| self.put_scope(*scope, Some(&Position::default())))
    }

    fn rebase(&mut self, common: &Cursor) -> Result<()> {
        self.unconfirm_after(common.seq)?;
        let limit = Position::after(common.seq);
        for (scope, position) in self.behind()?.into_iter().filter(|(_, position)| *position > limit) {
            tracing::debug!(%scope, seq = position.seq, "a download goes back to where the histories part");
            self.put_scope(scope, Some(&limit))?;
        }
        self.set_cursor(common)?;
        self.forget_repair()?;
        self.expect_difference()
    }

    fn expect_difference(&self) -> Result<()> {
        self.verify_soon()?;
        meta::set(&self.cache.conn, "sweeps_when_equal", true)
    }

    /// Forgets the version of one row, so that any version that comes is taken.
    fn unconfirm(&self, key: RowKey) -> Result<()> {
        let kept = self.overlay.contains(key).then(|| self.cache.base(key)).transpose()?.flatten();
        if let Some(base) = kept {
            self.cache.keep_base(key.0, &Base { seq: 0, ..base })?;
        }
        let sql = format!("UPDATE \"{}\" SET seq = {UNCONFIRMED} WHERE id = ?1 AND seq > 0", key.0.def().name);
        self.cache.run(&sql, [key.1.as_bytes()])
    }

    /// Returns the sums of what is suspect.
    fn sums(&self) -> Result<Vec<Message>> {
        let suspects = self.suspects()?;
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        let scopes: HashSet<Uuid> = suspects.iter().map(|(scope, _)| *scope).collect();
        let mut held: HashMap<Uuid, Vec<Version>> = HashMap::new();
        self.each_version(|scope, version| {
            if scopes.contains(&scope) && version.seq > 0 {
                held.entry(scope).or_default().push(version);
            }
        })?;
        let is_expected = self.sweeps_when_equal()?;
        let sums = suspects.into_iter().map(|(scope, prefix)| {
            let buckets = digest::buckets(held.get(&scope).into_iter().flatten(), &prefix);
            Message::Sums(Sums { scope, prefix, buckets, kinds: KINDS, is_expected })
        });
        Ok(sums.collect())
    }

    fn suspects(&self) -> Result<Vec<(Uuid, Vec<u8>)>> {
        let mut statement = self.cache.prepare("SELECT scope, prefix FROM _suspect LIMIT ?1")?;
        let suspects =
            statement.query_map([SUMS_OF_REQUEST], |row| Ok((value::uuid_of(row.get_ref(0)?)?, row.get(1)?)));
        suspects.and_then(Iterator::collect).doing("read what differs")
    }

    fn ask_for_wanted(&self) -> Result<Option<Message>> {
        const ASK: &str = "UPDATE _wanted SET is_asked = 1 WHERE (kind, id) IN (SELECT kind, id FROM _wanted LIMIT ?1)
                           RETURNING kind, id";
        let mut statement = self.cache.prepare(ASK)?;
        let rows = statement.query_map([WANTED_OF_REQUEST], |row| Ok((row.get(0)?, value::uuid_of(row.get_ref(1)?)?)));
        let rows: Vec<(u16, Uuid)> = rows.and_then(Iterator::collect).doing("read what is missing")?;
        Ok((!rows.is_empty()).then_some(Message::Want(Want { rows })))
    }

    fn take_listing(&mut self, listing: &Listing) -> Result<Repaired> {
        let Listing { scope, prefix, listed, deeper, versions } = listing;
        let answered = (scope.as_bytes(), prefix);
        self.cache.run("DELETE FROM _suspect WHERE scope = ?1 AND prefix = ?2", answered)?;
        for bucket in deeper.iter().filter(|_| prefix.len() + 1 < MAX_DEPTH) {
            self.suspect(*scope, &[&prefix[..], &[*bucket]].concat())?;
        }
        let mut held = Vec::new();
        self.each_version(|of, version| {
            let is_listed = digest::bucket_of(&version, prefix).is_some_and(|bucket| listed.contains(&bucket));
            if of == *scope && is_listed {
                held.push(version);
            }
        })?;
        let difference = digest::compare(&held, versions);
        self.drop_beyond(&difference.beyond)?;
        difference.wanted.iter().try_for_each(|row| self.want(*row))?;
        let (fetched, dropped) = (difference.wanted.len() as u64, difference.beyond.len() as u64);
        Ok(Repaired { scopes: 0, fetched, dropped })
    }

    fn drop_beyond(&mut self, rows: &[(u16, Uuid)]) -> Result<()> {
        for (number, id) in rows {
            if let Some(kind) = EntityKind::from_number(*number) {
                self.drop_rows(kind, &[*id])?;
            }
        }
        if rows.is_empty() { Ok(()) } else { self.load_conflicts() }
    }

    /// Notes that a row is to be asked for.
    pub(super) fn want(&self, (number, id): (u16, Uuid)) -> Result<()> {
        let Some(kind) = EntityKind::from_number(number) else { return Ok(()) };
        self.unconfirm((kind, id))?;
        const WANT: &str = "INSERT INTO _wanted (kind, id) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET is_asked = 0";
        self.cache.run(WANT, (number, id.as_bytes()))
    }

    /// Returns the digest of every scope, of what the server has confirmed.
    fn digests(&self) -> Result<HashMap<Uuid, Digest>> {
        let mut digests: HashMap<Uuid, Digest> = HashMap::new();
        self.each_version(|scope, version| {
            if version.seq > 0 {
                digests.entry(scope).or_default().add(&version);
            }
        })?;
        Ok(digests)
    }

    /// Goes through the server's version of every row, with its scope; 0 is the version of one that is to come again.
    fn each_version(&self, mut visit: impl FnMut(Uuid, Version)) -> Result<()> {
        let programme = self.outbox.account.map_or(Uuid::nil(), |account| account.programme);
        let mut aside: HashSet<RowKey> = HashSet::new();
        self.each_base(|kind, base, is_gone| {
            aside.insert((kind, base.row.id));
            if !is_gone {
                let scope = base.row.scope_id(kind.def(), programme);
                visit(scope, Version { kind: kind.number(), row_id: base.row.id, seq: base.seq });
            }
        })?;
        for kind in EntityKind::ALL.iter().copied() {
            let (scope, fixed) = match kind.def().scope {
                ScopeRule::Programme => ("NULL", programme),
                ScopeRule::Office => ("NULL", OFFICE_SCOPE),
                _ => (kind.def().scope_column().unwrap_or("NULL"), OFFICE_SCOPE),
            };
            let sql = format!("SELECT id, seq, \"{scope}\" FROM \"{}\" WHERE seq <> 0", kind.def().name);
            let sql = sql.replace("\"NULL\"", "NULL");
            let mut statement = self.cache.prepare(&sql)?;
            let mut rows = statement.query([]).doing("read the rows")?;
            while let Some(row) = rows.next().doing("read the rows")? {
                let (row_id, seq, scope) = read_version(row, fixed).doing("read the rows")?;
                if !aside.contains(&(kind, row_id)) {
                    visit(scope, Version { kind: kind.number(), row_id, seq });
                }
            }
        }
        Ok(())
    }

    /// Goes through the versions that are kept aside, because something is laid over them.
    fn each_base(&self, mut visit: impl FnMut(EntityKind, rows::VersionedRow, bool)) -> Result<()> {
        let mut statement = self.cache.prepare("SELECT is_gone, row FROM _base")?;
        let mut bases = statement.query([]).doing("read the rows")?;
        while let Some(row) = bases.next().doing("read the rows")? {
            let is_gone: bool = row.get(0).doing("read the rows")?;
            let bytes = row.get_ref(1).and_then(|bytes| Ok(bytes.as_blob()?)).doing("read the rows")?;
            let decoded = rows::decode(bytes).map_err(damaged)?;
            if let Some((kind, base)) = decoded.kind.zip(decoded.rows.into_iter().next()) {
                visit(kind, base, is_gone);
            }
        }
        Ok(())
    }
}

fn read_version(row: &rusqlite::Row<'_>, fixed: Uuid) -> rusqlite::Result<(Uuid, u64, Uuid)> {
    let scope = match row.get_ref(2)? {
        ValueRef::Null => fixed,
        scope => value::uuid_of(scope)?,
    };
    Ok((value::uuid_of(row.get_ref(0)?)?, row.get::<_, i64>(1)?.max(0) as u64, scope))
}
