//! Tests of the disk itself: without a disk that forgets, its tests of others prove nothing.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::*;

fn open(disk: &FaultDisk, folder: &Path, settings: &str) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags_and_vfs(folder.join("a.db"), OpenFlags::default(), disk.name())?;
    conn.execute_batch(settings)?;
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, filling BLOB)")?;
    Ok(conn)
}

fn insert(conn: &Connection) -> rusqlite::Result<usize> {
    conn.execute("INSERT INTO t (filling) VALUES (randomblob(3000))", [])
}

/// Returns how many rows are there and what SQLite thinks of the file.
fn look(disk: &FaultDisk, folder: &Path) -> (u64, String) {
    let conn = match open(disk, folder, "") {
        Ok(conn) => conn,
        Err(error) => return (0, error.to_string()),
    };
    let count = conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap_or(-1);
    let verdict = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    (count as u64, verdict.unwrap_or_else(|error| error.to_string()))
}

/// Inserts rows until the power goes at a random call and returns how many were lost of those that SQLite had
/// promised, and whether the file is sound.
fn history(seed: u64, settings: &str) -> (i64, bool) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let disk = FaultDisk::new();
    let conn = open(&disk, folder.path(), settings).expect("the file can be made");
    disk.fail_once_at(1 + seed % 40, Fault::PowerCut(seed));
    let promised = std::iter::from_fn(|| insert(&conn).ok()).count();
    assert!(disk.has_failed());
    drop(conn);
    let (found, verdict) = look(&disk, folder.path());
    (promised as i64 - found as i64, verdict == "ok")
}

#[test]
fn what_is_synced_survives_and_what_is_not_is_lost() {
    let lost = |settings: &str| (0..300).map(|seed| history(seed, settings)).filter(|(lost, _)| *lost > 0).count();
    assert_eq!(lost("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"), 0);
    assert_eq!(lost("PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA"), 0);
    assert!(lost("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL") > 100, "the disk syncs by itself");
}

#[test]
fn without_syncs_files_break() {
    let settings = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF";
    let broken = (0..200).map(|seed| history(seed, settings)).filter(|(_, sound)| !sound).count();
    assert!(broken > 20, "only {broken} of 200 are broken: nothing is torn");
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL";
    assert!((0..200).all(|seed| history(seed, settings).1));
}

#[test]
fn a_seed_gives_the_same_cut_again() {
    let content = |seed| {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let disk = FaultDisk::new();
        let conn = open(&disk, folder.path(), "PRAGMA synchronous = OFF").expect("the file can be made");
        for n in 0..20 {
            conn.execute("INSERT INTO t (filling) VALUES (zeroblob(1000 + ?1))", [n]).expect("it is written");
        }
        disk.cut_power(seed);
        drop(conn);
        std::fs::read(folder.path().join("a.db")).unwrap_or_default()
    };
    assert_eq!(content(3), content(3));
    assert!((0..10).any(|seed| content(seed) != content(3)));
}

#[test]
fn after_a_cut_every_handle_is_dead_and_nothing_opens_before_they_are_closed() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let disk = FaultDisk::new();
    let conn = open(&disk, folder.path(), "PRAGMA journal_mode = WAL").expect("the file can be made");
    insert(&conn).expect("it is written");
    disk.cut_power(1);
    assert!(insert(&conn).is_err());
    assert!(open(&disk, folder.path(), "").is_err(), "a dead and a living handle share the locks of the file");
    drop(conn);
    assert_eq!(look(&disk, folder.path()).1, "ok");
}

#[test]
fn a_planned_fault_comes_at_its_call_and_goes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let disk = FaultDisk::new();
    let conn = open(&disk, folder.path(), "PRAGMA journal_mode = WAL").expect("the file can be made");
    disk.fail_once_at(1, Fault::Io);
    let code = |error: rusqlite::Error| error.sqlite_error_code();
    assert_eq!(insert(&conn).map_err(code), Err(Some(ErrorCode::SystemIoFailure)));
    insert(&conn).expect("the fault is gone");
    disk.fail_from(1, Fault::Full);
    for _ in 0..3 {
        assert_eq!(insert(&conn).map_err(code), Err(Some(ErrorCode::DiskFull)));
    }
    disk.heal();
    insert(&conn).expect("there is room again");
    drop(conn);
    assert_eq!(look(&disk, folder.path()), (2, "ok".to_owned()));
}

#[test]
fn a_full_disk_takes_no_more_and_stays_sound() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let disk = FaultDisk::new();
    let conn = open(&disk, folder.path(), "PRAGMA journal_mode = WAL").expect("the file can be made");
    disk.set_capacity(Some(200_000));
    let count = std::iter::from_fn(|| insert(&conn).ok()).count();
    assert!((5..60).contains(&count), "{count} rows went into 200 kB");
    disk.set_capacity(None);
    insert(&conn).expect("there is room again");
    drop(conn);
    assert_eq!(look(&disk, folder.path()), (count as u64 + 1, "ok".to_owned()));
}
