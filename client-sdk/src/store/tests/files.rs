//! Tests of the two files: keys, versions, damage, age.

use super::*;

fn flip(path: &Path, from: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    for byte in bytes.iter_mut().skip(from).step_by(512) {
        *byte ^= 0x55;
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_cache_is_made_anew_and_pending_rows_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(10, finding(2, 9, "server"))], Some(10))).unwrap();
    put(&store, finding(1, 9, "mine"));
    store.close().unwrap();
    flip(&folder.path().join("cache.db"), 0);
    let store = open(folder.path());
    assert!(store.report().new_cache);
    assert_eq!(shown(&store, 1).unwrap().0, "mine");
    assert_eq!(store.sync_view().unwrap().cursor, Cursor::default());
}

#[test]
fn a_damaged_outbox_is_put_aside_and_what_is_readable_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 1..=200 {
        put(&store, finding(n, 9, &"text ".repeat(30)));
    }
    let incarnation = store.hello("test", 0).unwrap().incarnation;
    store.close().unwrap();
    let path = folder.path().join("outbox.db");
    let length = std::fs::metadata(&path).unwrap().len();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[length as usize / 2] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let store = open(folder.path());
    let salvaged = store.report().salvaged.unwrap();
    assert!(salvaged.saved > 150 && salvaged.lost > 0, "{salvaged:?}");
    assert_eq!(salvaged.saved + salvaged.lost, 200);
    assert_eq!(store.status().unwrap().pending, salvaged.saved);
    assert_ne!(store.hello("test", 0).unwrap().incarnation, incarnation);
    assert_eq!(store.account().unwrap().unwrap().programme, PROGRAMME);
    let aside = std::fs::read_dir(folder.path()).unwrap();
    assert!(aside.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".quarantine")));
}

/// The names in the folder that end like this.
fn ending(folder: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(ending)).collect()
}

#[test]
fn a_salvage_that_was_interrupted_anywhere_hides_no_work() {
    // The new outbox is whole; the damaged one was put aside or not yet; an older attempt left something.
    for is_aside in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        put(&store, finding(1, 9, "mine"));
        store.close().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::rename(path("outbox.db"), path("outbox.1711966205120.whole")).unwrap();
        std::fs::write(path("outbox.salvage"), b"half").unwrap();
        if !is_aside {
            std::fs::write(path("outbox.db"), b"damaged").unwrap();
            std::fs::write(path("outbox.db-wal"), b"damaged").unwrap();
        }
        let store = open(folder.path());
        assert_eq!(shown(&store, 1).unwrap().0, "mine");
        assert_eq!(store.status().unwrap().pending, 1);
        assert_eq!(ending(folder.path(), ".quarantine").len(), usize::from(!is_aside));
        assert!(ending(folder.path(), ".whole").is_empty());
    }
}

/// Opens the store when the phone's clock and the server's are so many days on, and returns how many files are put aside.
fn put_aside_after(folder: &Path, phone_days: i64, server_days: i64, name: &str) -> usize {
    let at = |days: i64| Timestamp(1_711_966_205_120).plus_ms(days * 86_400_000);
    let open = || {
        let world = Arc::new(FixedWorld::at(at(phone_days)));
        Store::open(StoreOptions { world, ..options(folder, 7) }).unwrap()
    };
    open().note_day(at(server_days)).unwrap();
    drop(open());
    ending(folder, name).len()
}

#[test]
fn a_damaged_outbox_is_kept_for_thirty_days_of_both_clocks() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "mine"));
    store.close().unwrap();
    flip(&folder.path().join("outbox.db"), 4_096);
    for (phone_days, server_days, kept) in [(0, 0, 1), (30, 30, 1), (4_000, 30, 1), (30, 4_000, 1), (31, 31, 0)] {
        let found = put_aside_after(folder.path(), phone_days, server_days, ".quarantine");
        assert_eq!(found, kept, "after {phone_days} days of the phone and {server_days} of the server");
    }
}

#[test]
fn a_fingerprint_of_the_key_that_a_loss_of_power_emptied_locks_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "mine"));
    store.close().unwrap();
    for content in [&[0; 16][..], b"", b"half"] {
        std::fs::write(folder.path().join("outbox.keycheck"), content).unwrap();
        assert_eq!(shown(&open(folder.path()), 1).unwrap().0, "mine");
    }
    assert!(matches!(Store::open(options(folder.path(), 8)), Err(Error::WrongKey { .. })));
}

#[test]
fn a_wrong_key_is_not_taken_for_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    store.close().unwrap();
    let files = || ["outbox.db", "cache.db"].map(|name| std::fs::read(folder.path().join(name)).unwrap());
    let before = files();
    assert!(matches!(Store::open(options(folder.path(), 8)), Err(Error::WrongKey { file: "outbox.db" })));
    assert_eq!(files(), before);
    assert_eq!(shown(&open(folder.path()), 1).unwrap().0, "a");
}

/// The content of every file but the index of a journal, which is only memory, and of empty journals.
fn content(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let files = entries.map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).unwrap()));
    files.filter(|(name, bytes)| !name.ends_with("-shm") && !bytes.is_empty()).collect()
}

#[test]
fn a_file_of_a_newer_version_is_refused_untouched() {
    for newer in ["outbox.db", "cache.db"] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        put(&store, finding(1, 9, "mine"));
        store.flush().unwrap();
        {
            let inner = store.inner.lock();
            let conn = if newer == "outbox.db" { &inner.outbox.conn } else { &inner.cache.conn };
            conn.pragma_update(None, "user_version", 99).unwrap();
        }
        // With their journals, as after a crash, and closed.
        let crashed = damage::copy_open(folder.path());
        store.close().unwrap();
        for folder in [crashed.path(), folder.path()] {
            let before = content(folder);
            for _ in 0..2 {
                let refused = Store::open(options(folder, 7)).err();
                assert!(matches!(refused, Some(Error::NewerFile { file, found: 99, .. }) if file == newer));
                assert!(content(folder) == before, "files changed beside a newer {newer}");
            }
        }
    }
}

#[test]
fn an_outbox_without_tables_is_no_new_one_when_something_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "mine"));
    store.close().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let file = file::DbFile::new(&options(empty.path(), 7), crate::key::KeyPurpose::Outbox).unwrap();
    let conn = file.open().unwrap();
    conn.execute_batch("CREATE TABLE t (n); DROP TABLE t").unwrap();
    drop(conn);
    std::fs::copy(file.path(), folder.path().join("outbox.db")).unwrap();
    let store = open(folder.path());
    assert_eq!(store.report().salvaged, Some(Salvaged { saved: 0, lost: 1 }));
}

#[test]
fn an_outbox_is_copied_aside_before_it_is_migrated_and_the_copy_is_kept_for_thirty_days() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "mine"));
    let undo = "DROP TABLE emptied; DROP TABLE earlier_incarnation; PRAGMA user_version = 2";
    store.inner.lock().outbox.conn.execute_batch(undo).unwrap();
    store.close().unwrap();
    let store = open(folder.path());
    assert_eq!(store.status().unwrap().pending, 1);
    store.close().unwrap();
    assert_eq!(put_aside_after(folder.path(), 30, 30, ".quarantine-v2"), 1);
    let copies = ending(folder.path(), ".quarantine-v2");
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join(&copies[0]), elsewhere.path().join("outbox.db")).unwrap();
    assert_eq!(open(elsewhere.path()).status().unwrap().pending, 1);
    assert_eq!(put_aside_after(folder.path(), 31, 31, ".quarantine-v2"), 0);
}

#[test]
fn rows_that_an_application_with_other_fields_wrote_are_asked_for_again() {
    let asks_after = |change: &str| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let scopes = Scopes { scopes: vec![Uuid::from_u128(9)] };
        store.apply_scopes(&scopes).unwrap();
        store.apply_page(&page(vec![(10, finding(2, 9, "server"))], Some(10))).unwrap();
        store.inner.lock().cache.commit().unwrap();
        store.inner.lock().cache.conn.execute_batch(change).unwrap();
        store.close().unwrap();
        let asks = |store: &Store| !store.hello("test", 0).unwrap().behind.is_empty();
        let store = open(folder.path());
        let outcome = asks(&store);
        store.apply_page(&page(Vec::new(), Some(11))).unwrap();
        store.close().unwrap();
        assert!(!asks(&open(folder.path())), "asked for at every opening");
        outcome
    };
    let without_note = "DELETE FROM _meta WHERE name = 'fields';";
    let drop_field = "ALTER TABLE finding DROP COLUMN text;";
    assert!(!asks_after(""), "the same application");
    assert!(!asks_after(without_note), "the last application that took no note of its fields");
    assert!(asks_after(&format!("{without_note} {drop_field}")), "an older one");
    assert!(asks_after("UPDATE _meta SET value = value + 1 WHERE name = 'fields'"), "a newer one that went away again");
}

#[test]
fn one_process_at_a_time_uses_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    assert!(matches!(Store::open(options(folder.path(), 7)), Err(Error::InUse(_))));
}

#[cfg(feature = "cipher")]
#[test]
fn nothing_readable_is_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "needle in the haystack"));
    store.flush().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        let found = bytes.windows(6).any(|window| window == b"needle" || window == b"SQLite");
        assert!(!found, "{:?} is readable", entry.file_name());
    }
}

pub(super) fn server_day(days: i64) -> Timestamp {
    Timestamp(1_711_966_205_120).plus_ms(days * 86_400_000)
}

#[test]
fn settled_changes_are_deleted_after_thirty_days_of_the_server_and_the_numbering_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // The phone's own clock, years ahead, does not count.
    let later = |days: i64| {
        let world = Arc::new(FixedWorld::at(Timestamp(1_711_966_205_120).plus_ms(4_000 * 86_400_000)));
        let store = Store::open(StoreOptions { world, ..options(folder.path(), 7) }).unwrap();
        store.note_day(server_day(days)).unwrap();
        store
    };
    let store = open(folder.path());
    for n in 1..=3 {
        put(&store, finding(n, 9, "a"));
    }
    let all = answer(&store, 5, true, Vec::new());
    store.apply_result(&all).unwrap();
    store.note_day(server_day(0)).unwrap();
    drop(store);
    let kept = |store: &Store| store.inner.lock().outbox.heads_after(0).unwrap().len();
    assert_eq!(kept(&later(29)), 3);
    let store = later(31);
    assert_eq!(kept(&store), 1);
    put(&store, finding(4, 9, "b"));
    assert_eq!(store.pushes().unwrap()[0].first_no, 4);
    // A server that lost even what is no longer kept gets the rest under another incarnation.
    store.rewind(1).unwrap();
    let push = &store.pushes().unwrap()[0];
    assert_eq!((push.first_no, push.prev_hash, push.mutations.len()), (1, ChainHash::START, 2));
}

#[test]
fn what_waits_for_a_month_behind_deleted_changes_keeps_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let later = |days: i64| {
        let store = open(folder.path());
        store.note_day(server_day(days)).unwrap();
        store
    };
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    put(&store, finding(2, 9, "b"));
    let all = answer(&store, 5, true, Vec::new());
    store.apply_result(&all).unwrap();
    store.note_day(server_day(0)).unwrap();
    put(&store, finding(3, 9, "c"));
    let before = store.pushes().unwrap();
    assert_eq!(before[0].first_no, 3);
    drop(store);
    // The first opening deletes what is old, the second one has only what is left.
    drop(later(31));
    assert_eq!(later(32).pushes().unwrap(), before);
}

#[test]
fn a_cache_that_is_newer_than_the_outbox_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    store.close().unwrap();
    for name in ["outbox.db", "outbox.db-wal", "outbox.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    let store = open(folder.path());
    assert!(store.report().new_cache);
    assert_eq!(shown(&store, 1), None, "a row is shown that nobody will ever send");
}

#[test]
fn what_a_verified_backup_holds_is_deleted_at_once_and_nothing_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (id, seq) in [(1, 5), (2, 7), (3, 9)] {
        put(&store, finding(id, 9, "a"));
        let sent = answer(&store, seq, true, Vec::new());
        store.apply_result(&sent).unwrap();
    }
    put(&store, finding(4, 9, "b"));
    let first_kept = || store.inner.lock().outbox.heads_after(0).unwrap()[0].position;
    for (durable_seq, expected) in [(4, 1), (5, 2), (8, 3), (5, 3), (20, 3)] {
        store.note_durable(durable_seq).unwrap();
        assert_eq!(first_kept(), expected, "safe up to {durable_seq}; the newest that was answered stays");
    }
    assert_eq!(store.pushes().unwrap()[0].first_no, 4);
}

#[test]
fn a_statement_is_compiled_once_whatever_is_bound_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "mine"));
    let inner = store.inner.lock();
    let mut statement = inner.cache.prepare("SELECT id FROM \"finding\" LIMIT ?1").unwrap();
    for limit in 1..=3 {
        assert_eq!(statement.query_map([limit], |_| Ok(())).unwrap().count(), 1);
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
}
