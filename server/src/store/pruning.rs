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
    /// Where it is in its table.
    tuple: String,
    /// Whether it says that a row left a scope.
    is_exit: bool,
}

/// Returns every programme that has a log.
pub async fn programmes(conn: &mut Conn) -> Result<Vec<Uuid>, StoreError> {
    let records = conn.query(Sql::new("SELECT programme_id FROM programme_head ORDER BY 1")).await?;
    records.iter().map(|record| record.uuid(0)).collect()
}

/// Forgets the oldest deletions of a programme, at most `batch`, and returns how many there were.
///
/// They are searched without a lock. Then the programme's head is locked, as every writer of the log does, for as
/// long as it takes to delete that many rows.
pub async fn prune(db: &Db, programme: Uuid, horizon: &Horizon, batch: usize) -> Result<usize, StoreError> {
    let mut tx = db.conn().await?.write_tx().await?;
    let places = ripe(&mut tx, programme, horizon, batch).await?;
    let Some(newest) = places.iter().map(|place| place.seq).max() else {
        tx.rollback().await?;
        return Ok(0);
    };
    raise_floor(&mut tx, programme, newest).await?;
    let forgotten = forget(&mut tx, programme, &places, newest).await?;
    tx.commit().await?;
    Ok(forgotten)
}

/// Returns the oldest deletions, of which all are within the horizon.
async fn ripe(tx: &mut Tx, programme: Uuid, horizon: &Horizon, limit: usize) -> Result<Vec<Place>, StoreError> {
    const RIPE: &str = "\
        SELECT o.seq, o.tuple, o.is_exit FROM ( \
            (SELECT h.seq, h.ctid::text AS tuple, false AS is_exit FROM sync_head h \
             WHERE h.programme_id = $1 AND h.deleted ORDER BY h.seq LIMIT $4) \
            UNION ALL \
            (SELECT x.seq, x.ctid::text, true FROM scope_exit x \
             WHERE x.programme_id = $1 ORDER BY x.seq LIMIT $4) \
            ORDER BY seq LIMIT $4 \
        ) o \
        WHERE (SELECT l.sealed_at FROM seal_log l WHERE l.programme_id = $1 AND l.seq = o.seq) < $2 \
          AND o.seq <= coalesce(( \
            SELECT min(c.heard_seq) FROM device_contact c \
            JOIN device d ON d.programme_id = c.programme_id AND d.id = c.device_id \
            WHERE c.programme_id = $1 AND c.contact_at >= $3 AND d.status = 'ACTIVE'), o.seq)";
    // In the order of the indexes: whoever sorts reads every deletion that there is.
    tx.batch("SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off").await?;
    let sql = Sql::new(RIPE).bind(programme).bind(horizon.before).bind(horizon.heard_since).bind(limit as i64);
    tx.query(sql).await?.iter().map(place).collect()
}

fn place(record: &Record) -> Result<Place, StoreError> {
    Ok(Place { seq: record.int(0)?, tuple: record.text(1)?, is_exit: record.bool(2)? })
}

/// Locks the head, and says from now on that deletions up to a number are no longer told.
async fn raise_floor(tx: &mut Tx, programme: Uuid, seq: i64) -> Result<(), StoreError> {
    const RAISE: &str = "UPDATE programme_head SET floor_seq = greatest(floor_seq, $2) WHERE programme_id = $1";
    tx.execute(Sql::new(RAISE).bind(programme).bind(seq)).await?;
    Ok(())
}

/// Forgets places up to the new floor. One that is another row's meanwhile has a number above it.
async fn forget(tx: &mut Tx, programme: Uuid, places: &[Place], floor: i64) -> Result<usize, StoreError> {
    const GRAVES: &str = "DELETE FROM sync_head \
         WHERE ctid = ANY($2::text[]::tid[]) AND programme_id = $1 AND seq <= $3 AND deleted";
    const EXITS: &str = "DELETE FROM scope_exit \
         WHERE ctid = ANY($2::text[]::tid[]) AND programme_id = $1 AND seq <= $3";
    let mut forgotten = 0;
    for (statement, are_exits) in [(GRAVES, false), (EXITS, true)] {
        let of_table = places.iter().filter(|place| place.is_exit == are_exits);
        let tuples: Vec<String> = of_table.map(|place| place.tuple.clone()).collect();
        if !tuples.is_empty() {
            forgotten += tx.execute(Sql::new(statement).bind(programme).bind(tuples).bind(floor)).await?;
        }
    }
    Ok(forgotten)
}
