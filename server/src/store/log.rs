//! Reading the commit-ordered log of a programme.
//!
//! A reader is correct only if the head and the rows come from one snapshot: reading them one after the other
//! loses rows that commit in between (15 % of them under stress). [`ProgrammeSnapshot`] is therefore the only
//! way to read the log, and it can only be made by opening one snapshot and reading the head in it.

use sync_protocol::cursor::{Cursor, Position};
use sync_protocol::entity::EntityKind;
use sync_protocol::mutation::ChainHash;
use sync_protocol::rows::{GoneReason, VersionedRow};
use uuid::Uuid;

use super::{Conn, Db, Sql, StoreError, Tx, rows};

/// One consistent view of a programme.
pub struct ProgrammeSnapshot {
    tx: Tx,
    programme: Uuid,
    head: Cursor,
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
}

impl ProgrammeSnapshot {
    /// Opens a snapshot. A programme without any change has an empty log with a nil epoch.
    pub async fn open(db: &Db, programme: Uuid) -> Result<Self, StoreError> {
        let mut tx = db.conn().await?.snapshot_tx().await?;
        let head = head_of(&mut tx, programme).await?;
        Ok(Self { tx, programme, head })
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
        own: Option<(Uuid, u64)>,
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
                          AND l.device_id = $7 AND l.verbatim)) \
                 ORDER BY h.seq, h.kind, h.row_id LIMIT $6) \
                UNION ALL \
                (SELECT x.seq, x.kind, x.row_id, x.scope_id, false, true FROM scope_exit x \
                 WHERE x.programme_id = $1 AND x.scope_id = s.scope_id \
                   AND (x.seq, x.kind, x.row_id) > (s.seq, s.kind::smallint, s.row_id) \
                   AND NOT EXISTS (SELECT 1 FROM sync_head n WHERE n.programme_id = $1 AND n.kind = x.kind \
                        AND n.row_id = x.row_id AND n.scope_id = ANY($9)) \
                   AND NOT ($7::uuid IS NOT NULL AND x.seq > $8 AND EXISTS ( \
                        SELECT 1 FROM seal_log l WHERE l.programme_id = $1 AND l.seq = x.seq \
                          AND l.device_id = $7 AND l.verbatim)) \
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
            .bind(own.map(|own| own.0))
            .bind(own.map_or(0, |own| own.1 as i64))
            .bind(held);
        self.tx.query(sql).await?.iter().map(entry_of).collect()
    }

    /// Returns how many rows the scopes hold after their positions, for a progress bar.
    pub async fn count(&mut self, lanes: &[(Uuid, Position)]) -> Result<u64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM unnest($2::uuid[], $3::bigint[]) AS s(scope_id, seq) \
             JOIN sync_head h ON h.programme_id = $1 AND h.scope_id = s.scope_id AND h.seq >= s.seq";
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

    /// Returns whether a cursor belongs to this history.
    pub async fn knows(&mut self, cursor: &Cursor) -> Result<bool, StoreError> {
        if cursor.seq == 0 {
            return Ok(true);
        }
        if cursor.epoch != self.head.epoch || cursor.seq > self.head.seq {
            return Ok(false);
        }
        if cursor.seq == self.head.seq {
            return Ok(cursor.chain == self.head.chain);
        }
        let sql = Sql::new("SELECT chain FROM seal_log WHERE programme_id = $1 AND seq = $2")
            .bind(self.programme)
            .bind(cursor.seq as i64);
        let found = self.tx.query_opt(sql).await?;
        found.map_or(Ok(false), |record| Ok(record.bytes(0)? == cursor.chain.0))
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
    let sql = Sql::new("SELECT epoch, seq, chain FROM programme_head WHERE programme_id = $1").bind(programme);
    let Some(record) = conn.query_opt(sql).await? else { return Ok(Cursor::default()) };
    Ok(Cursor { epoch: record.uuid(0)?, seq: record.int(1)? as u64, chain: chain_of(&record.bytes(2)?) })
}

pub(super) fn chain_of(bytes: &[u8]) -> ChainHash {
    bytes.try_into().map_or(ChainHash::START, ChainHash)
}

fn entry_of(record: &super::Record) -> Result<Entry, StoreError> {
    let position = Position { seq: record.int(0)? as u64, kind: record.int(1)? as u16, row_id: record.uuid(2)? };
    let gone = match (record.bool(4)?, record.bool(5)?) {
        (_, true) => Some(GoneReason::Left),
        (true, false) => Some(GoneReason::Deleted),
        (false, false) => None,
    };
    Ok(Entry { position, scope_id: record.uuid(3)?, gone })
}
