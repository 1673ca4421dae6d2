//! Tests of damage to the files: what is saved, what is counted, and who is told.

use sync_protocol::id::DeviceId;

use super::*;

/// A store with 40 changes: 1 to 30 answered, of which 5 is rejected and 6 held, the rest waiting.
fn store_with_everything(folder: &Path) -> (Uuid, DeviceId) {
    let store = open(folder);
    for n in 1..=30 {
        put(&store, finding(n, 9, &format!("answered {n} {}", "text ".repeat(30))));
    }
    let told = answer(&store, 5, true, vec![result(5, Outcome::Rejected), result(6, Outcome::Held)]);
    store.apply_result(&told).unwrap();
    for n in 31..=40 {
        put(&store, finding(n, 9, &format!("waiting {n} {}", "text ".repeat(if n == 35 { 2_000 } else { 30 }))));
    }
    let hello = store.hello("test", 0).unwrap();
    store.close().unwrap();
    (hello.incarnation, hello.device)
}

fn change_file(folder: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = folder.join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Copies a store as it is while it is open: with its journals.
pub(super) fn copy_open(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn assert_everything_is_there(store: &Store) {
    let status = store.status().unwrap();
    assert_eq!((status.pending, status.rejected, status.held), (10, 1, 1));
    assert!(shown(store, 35).unwrap().0.len() > 10_000);
    assert_eq!(shown(store, 5).unwrap().2, RowState::Rejected);
    assert_eq!(store.rejected(10).unwrap()[0].answer.as_ref().unwrap().rule.as_deref(), Some("I19"));
    assert_eq!(shown(store, 6).unwrap().2, RowState::Held);
}

#[test]
fn a_damaged_tree_costs_nothing_that_is_on_other_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (incarnation, device) = store_with_everything(folder.path());
    let pages = std::fs::metadata(folder.path().join("outbox.db")).unwrap().len() as usize / 4_096;
    let mut whole = 0;
    for page in 0..pages {
        let copy = copy_open(folder.path());
        change_file(copy.path(), "outbox.db", |bytes| bytes[page * 4_096..][..4_096].fill(0));
        let store = Store::open(options(copy.path(), 7)).unwrap();
        let (status, salvaged) = (store.status().unwrap(), store.report().salvaged.expect("the damage is seen"));
        assert_eq!(status.salvaged, salvaged);
        assert_eq!(salvaged.saved, status.pending + status.rejected + status.held);
        let hello = store.hello("test", 0).unwrap();
        assert_ne!(hello.incarnation, incarnation);
        assert_eq!(u64::from(hello.outbox.lost), salvaged.lost);
        if salvaged.lost == 0 && hello.device == device {
            whole += usize::from(status.held == 1);
            assert_eq!(status.pending + status.rejected, 11, "page {page}: {salvaged:?}");
        } else if hello.device == device {
            assert!(status.pending + status.rejected + salvaged.lost >= 11, "page {page}: {salvaged:?}");
        }
    }
    // The first page, the inner pages and the index hold no change.
    assert!(whole >= 4, "{whole} of {pages} pages could be missed");
}

/// Only the cipher proves a page, and the key with it.
#[cfg(feature = "cipher")]
#[test]
fn one_bit_costs_the_change_that_it_is_in_and_no_other_of_its_page() {
    let folder = tempfile::tempdir().unwrap();
    store_with_everything(folder.path());
    let length = std::fs::metadata(folder.path().join("outbox.db")).unwrap().len() as usize;
    for at in (4_096 * 2 + 700..length).step_by(4_096) {
        let copy = copy_open(folder.path());
        change_file(copy.path(), "outbox.db", |bytes| bytes[at] ^= 1);
        let store = Store::open(options(copy.path(), 7)).unwrap();
        let salvaged = store.report().salvaged.expect("the damage is seen");
        assert!(salvaged.lost <= 1, "byte {at}: {salvaged:?}");
    }
}

#[test]
fn what_the_server_refused_or_keeps_is_saved_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (incarnation, device) = store_with_everything(folder.path());
    change_file(folder.path(), "outbox.db", |bytes| bytes[..4_096].fill(0xA5));
    let store = open(folder.path());
    assert_eq!(store.report().salvaged, Some(Salvaged { saved: 12, lost: 0 }));
    assert_everything_is_there(&store);
    assert_eq!(store.hello("test", 0).unwrap().device, device);
    // Nothing of the earlier incarnation is lost: what was waiting has other numbers, and the rest is known there.
    let under_way = store.hello("test", 0).unwrap().incarnation;
    store.meet_earlier(&[(incarnation, 30)]).unwrap();
    assert_eq!(store.hello("test", 0).unwrap().incarnation, under_way);
    // The server names what it held by the number under the earlier incarnation.
    let at = |field: &str| EntityKind::HeldItem.def().position(field).unwrap();
    let mut item = empty_row(EntityKind::HeldItem.def(), Uuid::from_u128(77));
    item.values[at("device_id")] = Value::Uuid(device.0);
    item.values[at("incarnation")] = Value::Uuid(incarnation);
    item.values[at("mutation_no")] = Value::Int(6);
    item.values[at("state")] = text("APPLIED");
    let mut page = page(Vec::new(), Some(20));
    let rows = vec![VersionedRow { seq: 20, row: item }];
    page.rows = vec![Rows { kind: Some(EntityKind::HeldItem), rows, unknown: Vec::new() }];
    store.apply_page(&page).unwrap();
    assert_eq!(store.status().unwrap().held, 0);
}

#[test]
fn a_second_damage_adds_to_the_counts_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    store_with_everything(folder.path());
    for times in 1..=2 {
        change_file(folder.path(), "outbox.db", |bytes| bytes[..4_096].fill(0xA5));
        let store = open(folder.path());
        assert_everything_is_there(&store);
        assert_eq!(store.status().unwrap().salvaged, Salvaged { saved: times * 12, lost: 0 });
        store.close().unwrap();
    }
}

#[test]
fn a_journal_that_is_gone_or_broken_is_noticed_and_what_is_behind_the_break_saved() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 1..=20 {
        put(&store, finding(n, 9, "text"));
    }
    let wal = std::fs::metadata(folder.path().join("outbox.db-wal")).unwrap().len() as usize;
    for (damage, least_saved) in [("gone", 0), ("header", 20), ("middle", 19), ("end", 19)] {
        let copy = copy_open(folder.path());
        match damage {
            "gone" => std::fs::remove_file(copy.path().join("outbox.db-wal")).unwrap(),
            "header" => change_file(copy.path(), "outbox.db-wal", |bytes| bytes[3] ^= 1),
            "middle" => change_file(copy.path(), "outbox.db-wal", |bytes| bytes[wal / 2] ^= 1),
            _ => change_file(copy.path(), "outbox.db-wal", |bytes| bytes[wal - 300] ^= 1),
        }
        let damaged = Store::open(options(copy.path(), 7)).unwrap();
        let salvaged = damaged.report().salvaged.expect("the damage is seen");
        assert_eq!(salvaged.saved + salvaged.lost, 20, "{damage}");
        assert!(salvaged.saved >= least_saved, "{damage}: {salvaged:?}");
        assert_eq!(damaged.status().unwrap().pending, salvaged.saved, "{damage}");
    }
}

#[test]
fn an_outbox_that_is_gone_is_counted_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    store_with_everything(folder.path());
    for is_marked in [true, false] {
        let copy = copy_open(folder.path());
        std::fs::remove_file(copy.path().join("outbox.db")).unwrap();
        if !is_marked {
            // The cache tells of as many changes, though not which ones the server has.
            std::fs::remove_file(copy.path().join("outbox.mark")).unwrap();
        }
        let store = Store::open(options(copy.path(), 7)).unwrap();
        let lost = if is_marked { 11 } else { 40 };
        assert_eq!(store.report().salvaged, Some(Salvaged { saved: 0, lost }));
        assert_eq!(shown(&store, 31), None, "a row is shown that nobody will ever send");
        drop(store);
        assert_eq!(Store::open(options(copy.path(), 7)).unwrap().report().salvaged, None, "it is told once");
    }
}

#[test]
fn a_cache_that_turns_out_to_be_damaged_is_made_anew_while_the_application_runs() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let rows = (1..=400).map(|n| (10, finding(n, 9, &format!("from the server {n}")))).collect();
    store.apply_page(&page(rows, Some(10))).unwrap();
    patch(&store, 7, "text", "mine");
    put(&store, finding(500, 9, "mine too"));
    store.close().unwrap();
    // Everything but the first pages, which are read at the opening.
    change_file(folder.path(), "cache.db", |bytes| {
        let length = bytes.len();
        bytes[length / 2..].iter_mut().step_by(512).for_each(|byte| *byte ^= 1);
    });
    let store = open(folder.path());
    let rows = store.list(KIND, &Query::new().limit(u32::MAX)).unwrap();
    let ids: Vec<u128> = rows.iter().map(|shown| shown.row.id.as_u128()).collect();
    assert_eq!(ids, [500], "what the server has is fetched again, what is only here stays");
    assert_eq!(store.sync_view().unwrap().cursor, Cursor::default());
    assert_eq!(store.status().unwrap().pending, 2);
    put(&store, finding(501, 9, "goes on"));
    let rows = (1..=400).map(|n| (10, finding(n, 9, &format!("from the server {n}")))).collect();
    store.apply_page(&page(rows, Some(10))).unwrap();
    assert_eq!(shown(&store, 7).unwrap().0, "mine");
    store.close().unwrap();
    assert_eq!(open(folder.path()).count(KIND, &Query::new()).unwrap(), 402);
}

#[test]
fn a_damaged_key_file_leaves_everything_as_it_is_until_the_key_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let keys = tempfile::tempdir().unwrap();
    let world: crate::world::SharedWorld = Arc::new(FixedWorld::at(Timestamp(1_711_966_205_120)));
    let open = || {
        let keys = Arc::new(crate::key::FileKeyProvider::new(keys.path(), world.clone()));
        Store::open(StoreOptions { keys, ..options(folder.path(), 7) })
    };
    let store = open().unwrap();
    let token = || Zeroizing::new("token".to_owned());
    let account = Account { user: UserId(Uuid::from_u128(1)), programme: PROGRAMME };
    store.set_account(account, &Tokens { access: token(), refresh: token() }).unwrap();
    put(&store, finding(1, 9, "mine"));
    store.close().unwrap();
    let files = || ["outbox.db", "cache.db"].map(|name| std::fs::read(folder.path().join(name)).unwrap());
    let before = files();
    let path = keys.path().join("outbox.key");
    let key = std::fs::read(&path).unwrap();
    for (damaged, expected) in [(vec![0; 32], "WrongKey"), (key[..31].to_vec(), "Lost")] {
        std::fs::write(&path, damaged).unwrap();
        let refused = format!("{:?}", open().err().expect("the key does not fit"));
        assert!(refused.contains(expected), "{refused}");
        assert_eq!(files(), before);
    }
    std::fs::write(&path, key).unwrap();
    assert_eq!(shown(&open().unwrap(), 1).unwrap().0, "mine");
}

/// Only the cipher proves a page, and the key with it.
#[cfg(feature = "cipher")]
#[test]
fn a_damaged_fingerprint_of_the_right_key_locks_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    store_with_everything(folder.path());
    for name in ["outbox.keycheck", "cache.keycheck"] {
        change_file(folder.path(), name, |bytes| bytes[3] ^= 1);
        assert_everything_is_there(&open(folder.path()));
        assert!(matches!(Store::open(options(folder.path(), 8)), Err(Error::WrongKey { .. })));
    }
}

#[test]
fn a_cache_whose_broken_journal_would_hide_newer_pages_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for seq in 1..=20 {
        let rows = (1..=40).map(|n| (seq, finding(n, 9, &format!("version {seq} {}", "text ".repeat(20))))).collect();
        store.apply_page(&page(rows, Some(seq))).unwrap();
        store.flush().unwrap();
    }
    let cut = std::fs::metadata(folder.path().join("cache.db-wal")).unwrap().len() as usize;
    for is_moved in [false, true] {
        if is_moved {
            let inner = store.inner.lock();
            inner.cache.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
        for at in (4_096..cut).step_by(40_000) {
            let copy = copy_open(folder.path());
            change_file(copy.path(), "cache.db-wal", |bytes| bytes[at] ^= 1);
            let damaged = Store::open(options(copy.path(), 7)).unwrap();
            assert_eq!(damaged.report().new_cache, is_moved, "byte {at}");
            let versions: std::collections::BTreeSet<u64> =
                damaged.list(KIND, &Query::new()).unwrap().iter().map(|shown| shown.seq).collect();
            assert!(versions.len() <= 1, "byte {at}: versions {versions:?} are mixed");
        }
    }
}
