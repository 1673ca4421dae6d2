//! Histories of a programme: when the database was restored from a backup, the next one begins.

use sync_protocol::cursor::{Cursor, Fork};
use sync_protocol::entity::{Entity as _, EntityKind, Erasure};
use sync_protocol::mutation::ChainHash;
use uuid::Uuid;

use super::log::chain_of;
use super::{Conn, Db, Sql, StoreError, Tx, rows};

/// Returns where histories of a programme were left.
pub async fn forks(conn: &mut Conn, programme: Uuid) -> Result<Vec<Fork>, StoreError> {
    const FORKS: &str = "SELECT parent_epoch, epoch, common_seq, resumed_seq FROM epoch_fork WHERE programme_id = $1";
    let records = conn.query(Sql::new(FORKS).bind(programme)).await?;
    let fork = |record: &super::Record| {
        Ok(Fork {
            parent: record.uuid(0)?,
            epoch: record.uuid(1)?,
            common_seq: record.int(2)? as u64,
            resumed_seq: record.int(3)? as u64,
        })
    };
    records.iter().map(fork).collect()
}

/// Returns the fingerprint of the history at a number, `None` when there is no such number.
pub async fn chain_at(conn: &mut Conn, programme: Uuid, seq: u64) -> Result<Option<ChainHash>, StoreError> {
    let sql = Sql::new("SELECT chain FROM seal_log WHERE programme_id = $1 AND seq = $2");
    let found = conn.query_opt(sql.bind(programme).bind(seq as i64)).await?;
    found.map(|record| Ok(chain_of(&record.bytes(0)?))).transpose()
}

/// Returns the head of every programme.
pub async fn heads(db: &Db) -> Result<Vec<(Uuid, Cursor)>, StoreError> {
    let sql = Sql::new("SELECT programme_id, epoch, seq, chain FROM programme_head ORDER BY programme_id");
    let records = db.conn().await?.query(sql).await?;
    let head = |record: &super::Record| {
        let chain = chain_of(&record.bytes(3)?);
        Ok((record.uuid(0)?, Cursor { epoch: record.uuid(1)?, seq: record.int(2)? as u64, chain }))
    };
    records.iter().map(head).collect()
}

/// Returns the head of a programme.
pub async fn head(db: &Db, programme: Uuid) -> Result<Option<Cursor>, StoreError> {
    Ok(heads(db).await?.into_iter().find(|(of, _)| *of == programme).map(|(_, head)| head))
}

/// Returns what was erased of a programme.
pub async fn erasures(db: &Db, programme: Uuid) -> Result<Vec<Erasure>, StoreError> {
    let sql = Sql::new("SELECT id FROM erasure WHERE programme_id = $1 ORDER BY erased_at, id").bind(programme);
    let mut conn = db.conn().await?;
    let ids =
        conn.query(sql).await?.iter().map(|record| Ok((record.uuid(0)?, 0))).collect::<Result<Vec<_>, StoreError>>()?;
    let rows = rows::read_page(&mut conn, programme, EntityKind::Erasure, &ids).await?;
    Ok(rows.iter().filter_map(|found| Erasure::from_row(&found.row).ok()).collect())
}

/// Returns which of the points are in the history of a programme as it is, the newest first.
pub async fn known_points(db: &Db, programme: Uuid, points: &[(u64, ChainHash)]) -> Result<Vec<u64>, StoreError> {
    const KNOWN: &str = "SELECT l.seq FROM unnest($2::bigint[], $3::bytea[]) AS p(seq, chain) \
         JOIN seal_log l ON l.programme_id = $1 AND l.seq = p.seq AND l.chain = p.chain ORDER BY 1 DESC";
    let sql = Sql::new(KNOWN)
        .bind(programme)
        .bind(points.iter().map(|point| point.0 as i64).collect::<Vec<_>>())
        .bind(points.iter().map(|point| point.1.0.to_vec()).collect::<Vec<_>>());
    let records = db.conn().await?.query(sql).await?;
    records.iter().map(|record| Ok(record.int(0)? as u64)).collect()
}

/// Notes that everything up to a number is in a verified backup. Returns whether the number with this fingerprint is in
/// the history of the programme; otherwise nothing is noted. The note never goes back.
pub async fn mark_durable(db: &Db, programme: Uuid, seq: u64, chain: ChainHash) -> Result<bool, StoreError> {
    const MARK: &str = "UPDATE programme_head SET durable_seq = greatest(durable_seq, $2) \
         WHERE programme_id = $1 \
           AND EXISTS (SELECT 1 FROM seal_log WHERE programme_id = $1 AND seq = $2 AND chain = $3) \
         RETURNING durable_seq";
    let sql = Sql::new(MARK).bind(programme).bind(seq as i64).bind(chain.0.as_slice());
    Ok(db.conn().await?.query_opt(sql).await?.is_some())
}

/// Begins a new history: `parents` are left at `common_seq`, and the next number is `resumed_seq`. Returns the new
/// head; `None` when the programme has no history.
///
/// The programme's row is locked meanwhile, so that no commit falls between the two.
pub async fn begin(
    db: &Db,
    programme: Uuid,
    parents: &[Uuid],
    common_seq: u64,
    resumed_seq: u64,
    epoch: Uuid,
) -> Result<Option<Cursor>, StoreError> {
    let mut tx = db.conn().await?.write_tx().await?;
    let Some(left) = lock_head(&mut tx, programme).await? else { return Ok(None) };
    let resumed_seq = resumed_seq.max(left.seq + 1);
    for parent in parents.iter().copied().chain([left.epoch]) {
        leave(&mut tx, programme, &Fork { parent, epoch, common_seq, resumed_seq }).await?;
    }
    const MOVE: &str = "UPDATE programme_head SET epoch = $2, seq = $3, \
             chain = substr(sha256(chain || int8send($3) || uuid_send($2)), 1, 16) \
         WHERE programme_id = $1 RETURNING chain";
    let moved = tx.query_opt(Sql::new(MOVE).bind(programme).bind(epoch).bind(resumed_seq as i64)).await?;
    let chain = moved.map_or(Ok(ChainHash::START), |record| Ok::<_, StoreError>(chain_of(&record.bytes(0)?)))?;
    const LINE: &str = "INSERT INTO seal_log (programme_id, seq, chain, writer) VALUES ($1, $2, $3, 'new epoch')";
    tx.execute(Sql::new(LINE).bind(programme).bind(resumed_seq as i64).bind(chain.0.as_slice())).await?;
    tx.commit().await?;
    Ok(Some(Cursor { epoch, seq: resumed_seq, chain }))
}

async fn lock_head(tx: &mut Tx, programme: Uuid) -> Result<Option<Cursor>, StoreError> {
    const LOCK: &str = "SELECT epoch, seq, chain FROM programme_head WHERE programme_id = $1 FOR UPDATE";
    let found = tx.query_opt(Sql::new(LOCK).bind(programme)).await?;
    let head = |record: super::Record| {
        Ok(Cursor { epoch: record.uuid(0)?, seq: record.int(1)? as u64, chain: chain_of(&record.bytes(2)?) })
    };
    found.map(head).transpose()
}

async fn leave(tx: &mut Tx, programme: Uuid, fork: &Fork) -> Result<(), StoreError> {
    // A history that is left again, by a second restore from before the first one, has less in common.
    const LEAVE: &str = "INSERT INTO epoch_fork AS f (programme_id, parent_epoch, epoch, common_seq, resumed_seq) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (programme_id, parent_epoch) DO UPDATE SET epoch = excluded.epoch, \
             common_seq = least(f.common_seq, excluded.common_seq), resumed_seq = excluded.resumed_seq";
    let sql = Sql::new(LEAVE).bind(programme).bind(fork.parent).bind(fork.epoch);
    tx.execute(sql.bind(fork.common_seq as i64).bind(fork.resumed_seq as i64)).await?;
    Ok(())
}
