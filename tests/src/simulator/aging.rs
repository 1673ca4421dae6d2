//! Files as an older version of the application left them, for the newer one to open.

use std::fmt::Write as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use sync_protocol::entity::EntityKind;

use super::disk::KEY;

/// Kinds of rows that phones only read: a field that an older version did not know has to be fetched.
const READ_ONLY: [EntityKind; 4] = [EntityKind::Enterprise, EntityKind::Programme, EntityKind::User, EntityKind::Form];

/// The outbox before answers were kept by the stretch: every change said itself what became of it. It had one
/// incarnation only, and nothing in it was emptied.
const OLDER_OUTBOX: &str = "
    BEGIN EXCLUSIVE;
    UPDATE change SET
        state = coalesce((SELECT a.state FROM answered a WHERE position BETWEEN a.first AND a.last), 5),
        seq = coalesce((SELECT a.seq FROM answered a WHERE position BETWEEN a.first AND a.last), 0)
        WHERE state = 0 AND position <= coalesce((SELECT value FROM _meta WHERE name = 'acked'), 0);
    DELETE FROM _meta WHERE name = 'acked';
    DROP TABLE answered;
    DROP TABLE earlier_incarnation;
    DROP TABLE emptied;
    PRAGMA user_version = 1;
    COMMIT;
";
/// Whether an older version could have left this outbox.
const COULD_BE_OLDER: &str = "
    SELECT NOT EXISTS (SELECT * FROM earlier_incarnation) AND NOT EXISTS (SELECT * FROM emptied)
";
/// The cache before rows were compared with the server's, and before new scopes were shown at once.
const OLDER_CACHE: &str = "
    BEGIN EXCLUSIVE;
    DROP TABLE _arriving;
    DROP TABLE _suspect;
    DROP TABLE _wanted;
    DELETE FROM _meta WHERE name = 'fields';
    PRAGMA user_version = 1;
    COMMIT;
";

/// Takes the files of a phone that is off back by one version, in which rows had a field less, or by two, in which
/// both files had a table less.
pub fn age(folder: &Path, vfs: &str, versions: u32) -> rusqlite::Result<()> {
    let cache = open(&folder.join("cache.db"), vfs)?;
    // The version before the last one was the first to say which fields it knew. First of all, for the disk may fail
    // at any of these steps.
    cache.execute("UPDATE _meta SET value = value + 1 WHERE name = 'fields'", [])?;
    for kind in READ_ONLY {
        if let Some(field) = newest_field(&cache, kind)? {
            cache.execute_batch(&format!("ALTER TABLE \"{}\" DROP COLUMN \"{field}\"", kind.def().name))?;
        }
    }
    if versions > 1 {
        cache.execute_batch(OLDER_CACHE)?;
        let outbox = open(&folder.join("outbox.db"), vfs)?;
        if outbox.query_row(COULD_BE_OLDER, [], |row| row.get(0))? {
            outbox.execute_batch(OLDER_OUTBOX)?;
        }
    }
    Ok(())
}

/// Returns the last field that no index needs.
fn newest_field(conn: &Connection, kind: EntityKind) -> rusqlite::Result<Option<&'static str>> {
    const INDEXED: &str = "SELECT count(*) FROM pragma_index_list(?1) l, pragma_index_info(l.name) i WHERE i.name = ?2";
    for field in kind.def().fields.iter().rev() {
        let count: i64 = conn.query_row(INDEXED, (kind.def().name, field.name), |row| row.get(0))?;
        if count == 0 {
            return Ok(Some(field.name));
        }
    }
    Ok(None)
}

fn open(path: &Path, vfs: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags_and_vfs(path, flags, vfs)?;
    let mut key = String::new();
    for byte in KEY {
        // Writing into a string cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    conn.execute_batch(&format!("PRAGMA key = \"x'{key}'\"; PRAGMA synchronous = FULL"))?;
    Ok(conn)
}
