//! Reading the commit-ordered log of a programme.
//!
//! A reader is correct only if the head and the rows come from one snapshot: reading them one after the other
//! loses rows that commit in between (15 % of them under stress). [`ProgrammeSnapshot`] is therefore the only
//! way to read the log, and it can only be made by opening one snapshot and reading the head in it.

use std::collections::HashMap;

use sync_protocol::cursor::{self, Cursor, Position};
use sync_protocol::digest::Version;
use sync_protocol::entity::EntityKind;
use sync_protocol::mutation::ChainHash;
use sync_protocol::rows::{GoneReason, VersionedRow};
use uuid::Uuid;

use super::{Conn, Db, Sql, StoreError, Tx, epochs, rows};

/// One consistent view of a programme.
pub struct ProgrammeSnapshot {
    tx: Tx,
    programme: Uuid,
    head: Cursor,
    bounds: Bounds,
}

/// What is no longer kept of the log, and what is kept for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Up to this number deletions are no longer told.
    pub floor_seq: u64,
    /// Up to this number everything is in a verified backup; 0 when nobody said so.
    pub durable_seq: u64,
}

/// What a device shows already: what its own outbox committed. A copy of the phone is the same device, but has another
/// incarnation once it has sent something of its own.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// The device.
    pub device: Uuid,
    /// The incarnation of its outbox.
    pub incarnation: Uuid,
    /// Only after this number: what came before, it may have lost.
    pub after_seq: u64,
}

/// An entry of the log.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// Its scope.
    pub scope_id: Uuid,
    /// Set when the row is to be dropped.
    pub gone: Option<GoneReason>,
    /// With `gone`: where the row came from, when that is still known.
    pub origin: Option<Origin>,
}

/// The commit that created a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its number.
    pub seq: u64,
    /// The device that pushed it; `None` for the office and other writers.
    pub device: Option<Uuid>,
}

impl ProgrammeSnapshot {
    /// Opens a snapshot. A programme without any change has an empty log with a nil epoch.
    pub async fn open(db: &Db, programme: Uuid) -> Result<Self, StoreError> {
        let mut tx = db.conn().await?.snapshot_tx().await?;
        let (head, bounds) = head_and_bounds(&mut tx, programme).await?;
        Ok(Self { tx, programme, head, bounds })
    }

    /// Returns what is no longer kept, and what is kept for good.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Returns the newest number, with its epoch and chain.
    pub fn head(&self) -> Cursor {
        self.head
    }

    /// Returns the entries of scopes after their own positions, oldest first, at most `limit`.
    ///
    /// Entries that `own` committed verbatim are left out: that device shows them already. So are exits to
    /// another of the `held` scopes: the row itself comes, and an exit after it would drop it again. Both are left
    /// out before the limit counts: fewer entries than the limit must mean that there are no more.
    pub async fn entries(
        &mut self,
        lanes: &[(Uuid, Position)],
        held: &[Uuid],
        own: Option<Own>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        const ENTRIES: &str = "\
            SELECT e.seq, e.kind, e.row_id, e.scope_id, e.deleted, e.left_scope \
            FROM unnest($2::uuid[], $3::bigint[], $4::int[], $5::uuid[]) AS s(scope_id, seq, kind, row_id) \
            CROSS JOIN LATERAL ( \
                (SELECT h.seq, h.kind, h.row_id, h.scope_id, h.deleted, false AS left_scope FROM sync_head h \
                 WHERE h.programme_id = $1 AND h.scope_id = s.scope_id \
                   AND (h.seq, h.kind, h.row_id) > (s.seq, s.kind::smallint, s.row_id) \
                   AND NOT ($7::uuid IS NOT NULL AND h.seq > $8 AND EXISTS ( \
                        SELECT 1 FROM seal_log l WHERE l.programme_id = $1 AND l.seq = h.seq \
                          AND l.device_id = $7 AND l.incarnation = $10 AND l.verbatim)) \
                 ORDER BY h.seq, h.kind, h.row_id LIMIT $6) \
                UNION ALL \
                (SELECT x.seq, x.kind, x.row_id, x.scope_id, false, true FROM scope_exit x \
                 WHERE x.programme_id = $1 AND x.scope_id = s.scope_id \
                   AND (x.seq, x.kind, x.row_id) > (s.seq, s.kind::smallint, s.row_id) \
                   AND NOT coalesce((SELECT n.scope_id = ANY($9) AND NOT n.deleted FROM sync_head n \
                        WHERE n.programme_id = $1 AND n.kind = x.kind AND n.row_id = x.row_id), false) \
                   AND NOT ($7::uuid IS NOT NULL AND x.seq > $8 AND EXISTS ( \
                        SELECT 1 FROM seal_log l WHERE l.programme_id = $1 AND l.seq = x.seq \
                          AND l.device_id = $7 AND l.incarnation = $10 AND l.verbatim)) \
                 ORDER BY x.seq, x.kind, x.row_id LIMIT $6) \
            ) e \
            ORDER BY e.seq, e.kind, e.row_id LIMIT $6";
        let sql = Sql::new(ENTRIES)
            .bind(self.programme)
            .bind(lanes.iter().map(|lane| lane.0).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| lane.1.seq as i64).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| i32::from(lane.1.kind.min(i16::MAX as u16))).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| lane.1.row_id).collect::<Vec<_>>())
            .bind(limit as i64)
            .bind(own.map(|own| own.device))
            .bind(own.map_or(0, |own| own.after_seq as i64))
            .bind(held)
            .bind(own.map(|own| own.incarnation));
        let mut entries: Vec<Entry> = self.tx.query(sql).await?.iter().map(entry_of).collect::<Result<_, _>>()?;
        self.add_origins(&mut entries).await?;
        Ok(entries)
    }

    /// Adds to what is gone where it came from. Asked apart: most pages hold nothing that is gone, and joined to every
    /// page this was the dearest part of a small one.
    async fn add_origins(&mut self, entries: &mut [Entry]) -> Result<(), StoreError> {
        const ORIGINS: &str = "SELECT h.kind, h.row_id, h.created_seq, l.device_id \
            FROM unnest($2::int[], $3::uuid[]) AS g(kind, row_id) \
            JOIN sync_head h ON h.programme_id = $1 AND h.kind = g.kind::smallint AND h.row_id = g.row_id \
            LEFT JOIN seal_log l ON l.programme_id = $1 AND l.seq = h.created_seq";
        let gone = || entries.iter().filter(|entry| entry.gone.is_some()).map(|entry| entry.position);
        let kinds: Vec<i32> = gone().map(|position| position.kind.into()).collect();
        if kinds.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = gone().map(|position| position.row_id).collect();
        let records = self.tx.query(Sql::new(ORIGINS).bind(self.programme).bind(kinds).bind(ids)).await?;
        let origins = records.iter().map(origin_of).collect::<Result<HashMap<_, _>, _>>()?;
        for entry in entries.iter_mut().filter(|entry| entry.gone.is_some()) {
            entry.origin = origins.get(&(entry.position.kind, entry.position.row_id)).copied().flatten();
        }
        Ok(())
    }

    /// Returns how many rows the scopes hold after their positions, for a progress bar.
    pub async fn count(&mut self, lanes: &[(Uuid, Position)]) -> Result<u64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM unnest($2::uuid[], $3::bigint[]) AS s(scope_id, seq) \
             JOIN sync_head h ON h.programme_id = $1 AND h.scope_id = s.scope_id AND h.seq >= s.seq \
             WHERE NOT h.deleted";
        let sql = Sql::new(COUNT)
            .bind(self.programme)
            .bind(lanes.iter().map(|lane| lane.0).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| lane.1.seq as i64).collect::<Vec<_>>());
        let counted = self.tx.query_opt(sql).await?;
        counted.map_or(Ok(0), |record| Ok(record.int(0)? as u64))
    }

    /// Returns the rows of entries of one kind, in the same order.
    pub async fn rows(&mut self, kind: EntityKind, entries: &[(Uuid, u64)]) -> Result<Vec<VersionedRow>, StoreError> {
        rows::read_page(&mut self.tx, self.programme, kind, entries).await
    }

    /// Returns the newest number of each scope, of rows that came as of rows that left. One look at the end of an
    /// index for each scope.
    pub async fn scope_heads(&mut self, scopes: &[Uuid]) -> Result<Vec<(Uuid, u64)>, StoreError> {
        const HEADS: &str = "SELECT s.id, greatest( \
                (SELECT h.seq FROM sync_head h WHERE h.programme_id = $1 AND h.scope_id = s.id \
                 ORDER BY h.seq DESC LIMIT 1), \
                (SELECT x.seq FROM scope_exit x WHERE x.programme_id = $1 AND x.scope_id = s.id \
                 ORDER BY x.seq DESC LIMIT 1), 0) \
             FROM unnest($2::uuid[]) AS s(id)";
        let records = self.tx.query(Sql::new(HEADS).bind(self.programme).bind(scopes)).await?;
        records.iter().map(|record| Ok((record.uuid(0)?, record.int(1)? as u64))).collect()
    }

    /// Returns every live row of a scope with its version.
    pub async fn versions(&mut self, scope: Uuid) -> Result<Vec<Version>, StoreError> {
        const VERSIONS: &str = "SELECT kind, row_id, seq FROM sync_head \
             WHERE programme_id = $1 AND scope_id = $2 AND NOT deleted";
        let records = self.tx.query(Sql::new(VERSIONS).bind(self.programme).bind(scope)).await?;
        records.iter().map(version_of).collect()
    }

    /// Returns those of the wanted rows that live in one of the scopes, with their scope.
    pub async fn standing(
        &mut self,
        scopes: &[Uuid],
        wanted: &[(u16, Uuid)],
    ) -> Result<Vec<(Version, Uuid)>, StoreError> {
        const STANDING: &str = "SELECT h.kind, h.row_id, h.seq, h.scope_id \
             FROM unnest($2::int[], $3::uuid[]) AS w(kind, row_id) \
             JOIN sync_head h ON h.programme_id = $1 AND h.kind = w.kind::smallint AND h.row_id = w.row_id \
             WHERE NOT h.deleted AND h.scope_id = ANY($4)";
        let kinds: Vec<i32> = wanted.iter().map(|(kind, _)| i32::from((*kind).min(i16::MAX as u16))).collect();
        let ids: Vec<Uuid> = wanted.iter().map(|(_, id)| *id).collect();
        let sql = Sql::new(STANDING).bind(self.programme).bind(kinds).bind(ids).bind(scopes);
        let records = self.tx.query(sql).await?;
        records.iter().map(|record| Ok((version_of(record)?, record.uuid(3)?))).collect()
    }

    /// Returns whether a cursor belongs to this history, or to one that it continues.
    pub async fn knows(&mut self, cursor: &Cursor) -> Result<bool, StoreError> {
        // A first download is under way, or was when the server was restored: then its positions mean nothing any more.
        if cursor.seq == 0 {
            return Ok(cursor.epoch.is_nil() || cursor.epoch == self.head.epoch);
        }
        if cursor.seq == self.head.seq && cursor.epoch == self.head.epoch {
            return Ok(cursor.chain == self.head.chain);
        }
        if cursor.seq > self.head.seq {
            return Ok(false);
        }
        let is_ours = cursor.epoch == self.head.epoch
            || self.common_seq(cursor.epoch).await?.is_some_and(|common| cursor.seq <= common);
        Ok(is_ours && epochs::chain_at(&mut self.tx, self.programme, cursor.seq).await? == Some(cursor.chain))
    }

    /// Returns up to where a cursor of a history that was left has the same one, `None` when that is not known.
    pub async fn common_with(&mut self, cursor: &Cursor) -> Result<Option<Cursor>, StoreError> {
        if cursor.epoch == self.head.epoch {
            return Ok(None);
        }
        let Some(seq) = self.common_seq(cursor.epoch).await?.filter(|common| *common < cursor.seq) else {
            return Ok(None);
        };
        let chain = epochs::chain_at(&mut self.tx, self.programme, seq).await?;
        Ok(chain.map(|chain| Cursor { epoch: self.head.epoch, seq, chain }))
    }

    async fn common_seq(&mut self, epoch: Uuid) -> Result<Option<u64>, StoreError> {
        let forks = epochs::forks(&mut self.tx, self.programme).await?;
        Ok(cursor::common_seq(&forks, epoch, self.head.epoch))
    }

    /// Gives access to other tables within the same snapshot.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.tx
    }

    /// Ends the snapshot and gives the connection back.
    pub async fn close(self) -> Result<Conn, StoreError> {
        self.tx.commit().await
    }
}

/// Reads the head of a programme; outside a snapshot it only says whether there is news.
pub async fn head_of(conn: &mut Conn, programme: Uuid) -> Result<Cursor, StoreError> {
    Ok(head_and_bounds(conn, programme).await?.0)
}

async fn head_and_bounds(conn: &mut Conn, programme: Uuid) -> Result<(Cursor, Bounds), StoreError> {
    const HEAD: &str = "SELECT epoch, seq, chain, floor_seq, durable_seq FROM programme_head WHERE programme_id = $1";
    let Some(record) = conn.query_opt(Sql::new(HEAD).bind(programme)).await? else { return Ok(Default::default()) };
    let head = Cursor { epoch: record.uuid(0)?, seq: record.int(1)? as u64, chain: chain_of(&record.bytes(2)?) };
    Ok((head, Bounds { floor_seq: record.int(3)? as u64, durable_seq: record.int(4)? as u64 }))
}

pub(super) fn chain_of(bytes: &[u8]) -> ChainHash {
    bytes.try_into().map_or(ChainHash::START, ChainHash)
}

fn version_of(record: &super::Record) -> Result<Version, StoreError> {
    Ok(Version { kind: record.int(0)? as u16, row_id: record.uuid(1)?, seq: record.int(2)? as u64 })
}

fn entry_of(record: &super::Record) -> Result<Entry, StoreError> {
    let position = Position { seq: record.int(0)? as u64, kind: record.int(1)? as u16, row_id: record.uuid(2)? };
    let gone = match (record.bool(4)?, record.bool(5)?) {
        (_, true) => Some(GoneReason::Left),
        (true, false) => Some(GoneReason::Deleted),
        (false, false) => None,
    };
    Ok(Entry { position, scope_id: record.uuid(3)?, gone, origin: None })
}

fn origin_of(record: &super::Record) -> Result<((u16, Uuid), Option<Origin>), StoreError> {
    let device = record.opt_uuid(3)?;
    let origin = record.opt_int(2)?.map(|seq| Origin { seq: seq as u64, device });
    Ok(((record.int(0)? as u16, record.uuid(1)?), origin))
}
