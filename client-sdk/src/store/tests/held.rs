//! What the server keeps, and how its decision arrives.

use super::*;

/// A page in which the server says what became of a number of an incarnation.
fn item(store: &Store, incarnation: Uuid, no: i64, state: &str, seq: u64) -> Page {
    let at = |field: &str| EntityKind::HeldItem.def().position(field).unwrap();
    let mut item = empty_row(EntityKind::HeldItem.def(), Uuid::from_u128(77));
    item.values[at("device_id")] = Value::Uuid(store.hello("test", 0).unwrap().device.0);
    item.values[at("incarnation")] = Value::Uuid(incarnation);
    item.values[at("mutation_no")] = Value::Int(no);
    item.values[at("state")] = text(state);
    let rows = vec![VersionedRow { seq, row: item }];
    let items = Rows { kind: Some(EntityKind::HeldItem), rows, unknown: Vec::new() };
    Page { rows: vec![items], ..page(Vec::new(), Some(seq)) }
}

#[test]
fn a_decision_that_a_loss_of_power_undid_in_the_outbox_is_known_from_the_cache() {
    for (decision, rejected) in [("APPLIED", 0), ("RETURNED", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        put(&store, finding(1, 9, "a"));
        store.apply_result(&answer(&store, 5, false, vec![result(1, Outcome::Held)])).unwrap();
        let incarnation = store.hello("test", 0).unwrap().incarnation;
        store.apply_page(&page(vec![(8, finding(1, 9, "a"))], None)).unwrap();
        store.apply_page(&item(&store, incarnation, 1, decision, 8)).unwrap();
        assert_eq!(store.status().unwrap().held, 0);
        store.flush().unwrap();
        store.inner.lock().outbox.set_state(1, ChangeState::Held, None).unwrap();
        drop(store);
        let store = open(folder.path());
        assert_eq!((store.status().unwrap().held, store.status().unwrap().rejected), (0, rejected), "{decision}");
        if rejected == 0 {
            assert_eq!(shown(&store, 1), Some(("a".to_owned(), 8, RowState::Synced)));
        }
    }
}

#[test]
fn a_decision_that_a_restored_server_lost_and_a_loss_of_power_took_from_the_cache_is_open_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    store.apply_result(&answer(&store, 5, false, vec![result(1, Outcome::Held)])).unwrap();
    let incarnation = store.hello("test", 0).unwrap().incarnation;
    store.apply_page(&item(&store, incarnation, 1, "HELD", 5)).unwrap();
    store.flush().unwrap();
    let saved = Saved::of(folder.path(), "cache.db");
    store.apply_page(&item(&store, incarnation, 1, "RETURNED", 8)).unwrap();
    store.flush().unwrap();
    drop(store);
    saved.put_back();
    let store = open(folder.path());
    assert_eq!((store.status().unwrap().held, store.status().unwrap().rejected), (0, 1));
    store.ask_again(4).unwrap();
    assert_eq!(store.status().unwrap().held, 0, "the item is of the history that was left");
    store.ask_again(5).unwrap();
    assert_eq!((store.status().unwrap().held, store.status().unwrap().rejected), (1, 0));
}

/// A server that has what is here up to a number, and something else after it.
fn part_after(store: &Store, upto_no: u64, upto_hash: ChainHash) {
    let demand = Some(Demand::NewIncarnation);
    let told = PushResult { upto_no, upto_hash, demand, commits: Vec::new(), results: Vec::new() };
    store.apply_result(&told).unwrap();
    store.new_incarnation().unwrap();
}

#[test]
fn what_a_copy_sent_after_both_parted_is_not_taken_for_what_has_its_place_here() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let shared = store.hello("test", 0).unwrap().incarnation;
    put(&store, finding(1, 9, "a"));
    let first = answer(&store, 5, true, Vec::new());
    store.apply_result(&first).unwrap();
    put(&store, finding(2, 9, "b"));
    part_after(&store, 1, first.upto_hash);
    store.apply_result(&answer(&store, 6, true, Vec::new())).unwrap();
    store.apply_page(&item(&store, shared, 2, "HELD", 7)).unwrap();
    assert_eq!(store.status().unwrap().held, 0, "the second one of the copy is another one");
    store.apply_page(&item(&store, shared, 1, "HELD", 8)).unwrap();
    assert_eq!(store.status().unwrap().held, 1, "the first one is of both");
}

#[test]
fn numbers_under_which_nothing_of_this_phone_is_left_mean_nothing_here() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let incarnation = || store.hello("test", 0).unwrap().incarnation;
    put(&store, finding(1, 9, "a"));
    let of_copy = incarnation();
    part_after(&store, 0, ChainHash::START);
    let own = incarnation();
    let first = answer(&store, 5, true, Vec::new());
    store.apply_result(&first).unwrap();
    put(&store, finding(2, 9, "b"));
    part_after(&store, 1, first.upto_hash);
    assert_eq!(store.hello("test", 0).unwrap().earlier, [(own, 1)]);
    store.apply_page(&item(&store, of_copy, 1, "HELD", 6)).unwrap();
    assert_eq!(store.status().unwrap().held, 0);
    store.apply_page(&item(&store, own, 1, "HELD", 7)).unwrap();
    assert_eq!(store.status().unwrap().held, 1);
}
