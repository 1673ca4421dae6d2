//! Forgetting old deletions: the places of deleted rows in the log, and what says that a row left a scope.
//!
//! What is forgotten raises the programme's floor in the same transaction. A device that stands below the floor is
//! told so, and compares digests instead of waiting for deletions that nobody tells any more. The rows as they were,
//! and who deleted them, stay in the change log.

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::{Conn, Db, Record, Sql, StoreError, Tx};

/// Which deletions may be forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Horizon {
    /// Those that were committed before this instant.
    pub before: Timestamp,
    /// But none that a device has not heard of which was in touch since this instant.
    pub heard_since: Timestamp,
}

/// A place in the log that may be forgotten.
#[derive(Debug)]
struct Place {
    seq: i64,
    kind: i32,
    row_id: Uuid,
    /// Of a row that left a scope: which one.
    left_scope: Option<Uuid>,
}

/// Returns every programme that has a log.
pub async fn programmes(conn: &mut Conn) -> Result<Vec<Uuid>, StoreError> {
    let records = conn.query(Sql::new("SELECT programme_id FROM programme_head ORDER BY 1")).await?;
    records.iter().map(|record| record.uuid(0)).collect()
}

/// Forgets the oldest deletions of a programme, at most `batch`, and returns how many there were.
///
/// They are searched without a lock. Then the programme's head is locked, as every writer of the log does, for as
/// long as it takes to delete that many rows by their keys.
pub async fn prune(db: &Db, programme: Uuid, horizon: &Horizon, batch: usize) -> Result<usize, StoreError> {
    let mut conn = db.conn().await?;
    let places = ripe(&mut conn, programme, horizon, batch).await?;
    let Some(newest) = places.iter().map(|place| place.seq).max() else { return Ok(0) };
    let mut tx = conn.write_tx().await?;
    raise_floor(&mut tx, programme, newest).await?;
    let (exits, graves): (Vec<Place>, Vec<Place>) = places.into_iter().partition(|place| place.left_scope.is_some());
    let forgotten =
        forget_graves(&mut tx, programme, &graves).await? + forget_exits(&mut tx, programme, &exits).await?;
    tx.commit().await?;
    Ok(forgotten)
}

/// Returns the oldest deletions of which all are within the horizon.
async fn ripe(conn: &mut Conn, programme: Uuid, horizon: &Horizon, limit: usize) -> Result<Vec<Place>, StoreError> {
    const RIPE: &str = "\
        SELECT o.seq, o.kind::int, o.row_id, o.left_scope FROM ( \
            (SELECT h.seq, h.kind, h.row_id, NULL::uuid AS left_scope FROM sync_head h \
             WHERE h.programme_id = $1 AND h.deleted ORDER BY h.seq LIMIT $4) \
            UNION ALL \
            (SELECT x.seq, x.kind, x.row_id, x.scope_id FROM scope_exit x \
             WHERE x.programme_id = $1 ORDER BY x.seq LIMIT $4) \
            ORDER BY seq LIMIT $4 \
        ) o \
        JOIN seal_log l ON l.programme_id = $1 AND l.seq = o.seq \
        WHERE l.sealed_at < $2 AND o.seq <= coalesce(( \
            SELECT min(c.heard_seq) FROM device_contact c \
            JOIN device d ON d.programme_id = c.programme_id AND d.id = c.device_id \
            WHERE c.programme_id = $1 AND c.contact_at >= $3 AND d.status = 'ACTIVE'), o.seq)";
    let sql = Sql::new(RIPE).bind(programme).bind(horizon.before).bind(horizon.heard_since).bind(limit as i64);
    conn.query(sql).await?.iter().map(place).collect()
}

fn place(record: &Record) -> Result<Place, StoreError> {
    Ok(Place {
        seq: record.int(0)?,
        kind: record.int(1)? as i32,
        row_id: record.uuid(2)?,
        left_scope: record.opt_uuid(3)?,
    })
}

/// Locks the head, and says from now on that deletions up to a number are no longer told.
async fn raise_floor(tx: &mut Tx, programme: Uuid, seq: i64) -> Result<(), StoreError> {
    const RAISE: &str = "UPDATE programme_head SET floor_seq = greatest(floor_seq, $2) WHERE programme_id = $1";
    tx.execute(Sql::new(RAISE).bind(programme).bind(seq)).await?;
    Ok(())
}

/// Forgets places of deleted rows. A row that came again meanwhile has another number and keeps its place.
async fn forget_graves(tx: &mut Tx, programme: Uuid, places: &[Place]) -> Result<usize, StoreError> {
    const FORGET: &str = "DELETE FROM sync_head h USING unnest($2::int[], $3::uuid[], $4::bigint[]) AS p(kind, row_id, seq) \
         WHERE h.programme_id = $1 AND h.kind = p.kind::smallint AND h.row_id = p.row_id AND h.seq = p.seq AND h.deleted";
    tx.execute(keys(FORGET, programme, places)).await
}

/// Forgets that rows left scopes.
async fn forget_exits(tx: &mut Tx, programme: Uuid, places: &[Place]) -> Result<usize, StoreError> {
    const FORGET: &str = "DELETE FROM scope_exit x \
         USING unnest($2::int[], $3::uuid[], $4::bigint[], $5::uuid[]) AS p(kind, row_id, seq, scope_id) \
         WHERE x.programme_id = $1 AND x.scope_id = p.scope_id AND x.seq = p.seq AND x.kind = p.kind::smallint \
           AND x.row_id = p.row_id";
    let scopes: Vec<Uuid> = places.iter().filter_map(|place| place.left_scope).collect();
    tx.execute(keys(FORGET, programme, places).bind(scopes)).await
}

fn keys(statement: &'static str, programme: Uuid, places: &[Place]) -> Sql {
    Sql::new(statement)
        .bind(programme)
        .bind(places.iter().map(|place| place.kind).collect::<Vec<_>>())
        .bind(places.iter().map(|place| place.row_id).collect::<Vec<_>>())
        .bind(places.iter().map(|place| place.seq).collect::<Vec<_>>())
}
