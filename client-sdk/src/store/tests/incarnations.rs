//! Going on under other numbers, beside a copy of this phone.

use super::*;

#[test]
fn a_new_incarnation_numbers_pending_changes_from_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(1, 9, "a"));
    let first = answer(&store, 5, true, Vec::new());
    store.apply_result(&first).unwrap();
    put(&store, finding(2, 9, "b"));
    put(&store, finding(3, 9, "c"));
    let before = store.hello("test", 0).unwrap().incarnation;
    part(&store);
    assert_ne!(store.hello("test", 0).unwrap().incarnation, before);
    let push = &store.pushes().unwrap()[0];
    assert_eq!((push.first_no, push.prev_hash, push.mutations.len()), (1, ChainHash::START, 2));
    put(&store, finding(4, 9, "d"));
    drop(store);
    let store = open(folder.path());
    let numbers: Vec<_> = store.pending(10).unwrap().iter().map(|change| change.mutation.no).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let answer = answer(&store, 9, true, Vec::new());
    assert_eq!(store.apply_result(&answer).unwrap().pushed, 3);
}

#[test]
fn a_search_that_a_failing_disk_ended_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let before = store.hello("test", 0).unwrap().incarnation;
    let run = |sql: &str| store.inner.lock().outbox.conn.execute_batch(sql).unwrap();
    run("CREATE TEMP TRIGGER fails BEFORE INSERT ON main._meta BEGIN SELECT RAISE(ABORT, 'the disk fails'); END");
    let of_copy = ChainHash([1; 16]);
    store.meet(3, of_copy).unwrap_err();
    assert!(!store.sync_view().unwrap().is_seeking, "nothing is asked that could end the search");
    run("DROP TRIGGER fails");
    store.meet(3, of_copy).unwrap();
    assert_ne!(store.hello("test", 0).unwrap().incarnation, before);
}

/// The other copy may have sent what the server took for ours.
#[test]
fn rows_are_compared_after_a_new_incarnation_also_where_the_disk_failed_just_then() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let incarnation = || store.hello("test", 0).unwrap().incarnation;
    let is_due = || store.hello("test", 0).unwrap().verify_kinds > 0;
    let before = incarnation();
    store.inner.lock().verify_after_a_day().unwrap();
    assert!(!is_due());
    let run = |sql: &str| store.inner.lock().cache.conn.execute_batch(sql).unwrap();
    run("CREATE TEMP TRIGGER fails BEFORE DELETE ON main._meta BEGIN SELECT RAISE(ABORT, 'the disk fails'); END");
    store.meet(3, ChainHash([1; 16])).unwrap_err();
    assert_eq!(incarnation(), before, "nothing would tell any more that rows are to be compared");
    run("DROP TRIGGER fails");
    store.meet(3, ChainHash([1; 16])).unwrap();
    assert_ne!(incarnation(), before);
    assert!(is_due());
}

#[test]
fn the_answer_that_a_copy_got_tells_no_version_of_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(4, finding(1, 9, "a"))], Some(4))).unwrap();
    patch(&store, 1, "text", "before the copy");
    patch(&store, 1, "text", "here");
    // The commit holds what the copy did after that, too.
    let push = store.pushes().unwrap().remove(0);
    let (upto_no, upto_hash) = (1, push.prev_hash.then(&push.mutations[0]));
    let commits = vec![Commit { first_no: 1, last_no: 1, seq: 7, verbatim: true }];
    let demand = Some(Demand::NewIncarnation);
    store.apply_result(&PushResult { upto_no, upto_hash, demand, commits, results: Vec::new() }).unwrap();
    store.new_incarnation().unwrap();
    patch(&store, 1, "rule_ref", "I19");
    let bases: Vec<_> = store.pending(10).unwrap().iter().map(|change| change.mutation.base_seq).collect();
    assert_eq!(bases, [4, 0], "of what the copy did, nothing was seen");
    assert_eq!(shown(&store, 1).unwrap().0, "here");
    let wanted = store.checks().unwrap().into_iter().filter(|check| matches!(check, Message::Want(_)));
    assert_eq!(wanted.count(), 1);
    let earlier = store.hello("test", 0).unwrap().earlier;
    assert_eq!(earlier.iter().map(|(_, upto_no)| *upto_no).collect::<Vec<_>>(), [1], "what both have in common");
}
