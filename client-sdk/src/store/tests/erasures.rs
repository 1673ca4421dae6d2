//! What is left on the device of a person whose data was erased, and of the work around it.

use super::*;

const ATTENDEE: EntityKind = EntityKind::Attendee;

/// Records the person 1, who is then erased.
fn put_attendee(store: &Store) {
    let mut attendee = empty_row(ATTENDEE.def(), Uuid::from_u128(1));
    attendee.values[ATTENDEE.def().position("name").unwrap()] = text("Vasile Kanaru");
    attendee.values[ATTENDEE.def().position("enterprise_id").unwrap()] = Value::Uuid(Uuid::from_u128(9));
    store.write(|batch| batch.put(ATTENDEE, attendee)).unwrap();
}

/// A store with the person 1 between two findings, all of which the server has.
fn with_attendee_between(folder: &Path) -> Store {
    let store = open(folder);
    put(&store, finding(2, 9, "dinainte"));
    put_attendee(&store);
    put(&store, finding(3, 9, "după"));
    store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
    store
}

/// The page with which the server says that the person 1 was erased.
fn erasure(seq: u64) -> Page {
    let mut erasure = empty_row(EntityKind::Erasure.def(), Uuid::from_u128(7));
    let at = |name| EntityKind::Erasure.def().position(name).unwrap();
    erasure.values[at("subject_kind")] = text("ATTENDEE");
    erasure.values[at("subject_id")] = Value::Uuid(Uuid::from_u128(1));
    let rows = vec![VersionedRow { seq, row: erasure }];
    let erased = Rows { kind: Some(EntityKind::Erasure), rows, unknown: Vec::new() };
    Page { rows: vec![erased], ..page(Vec::new(), Some(seq)) }
}

#[test]
fn what_was_recorded_about_an_erased_person_is_emptied_and_never_sent_again_under_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put_attendee(&store);
    put(&store, finding(2, 9, "altceva"));
    store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
    let incarnation = store.hello("test", 0).unwrap().incarnation;
    store.apply_page(&erasure(6)).unwrap();
    assert_eq!(store.get(ATTENDEE, Uuid::from_u128(1)).unwrap(), None);
    let kept = |store: &Store| -> Vec<Vec<u8>> {
        let inner = store.inner.lock();
        let mut statement = inner.outbox.conn.prepare("SELECT payload FROM change ORDER BY position").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    let quotes = |payload: &Vec<u8>| payload.windows(6).any(|bytes| bytes == b"Kanaru");
    assert_eq!(kept(&store).iter().filter(|payload| quotes(payload)).count(), 0);
    store.flush().unwrap();
    drop(store);
    let store = open(folder.path());
    // A server that lost both gets the rest as it was, and of this one only that there was something.
    store.rewind(1).unwrap();
    assert_ne!(store.hello("test", 0).unwrap().incarnation, incarnation, "under its number went something else");
    let push = store.pushes().unwrap().remove(0);
    assert_eq!((push.first_no, push.prev_hash, push.mutations.len()), (1, ChainHash::START, 2));
    let refused = MutationResult { code: "REJECT_ERASED".to_owned(), ..result(1, Outcome::Rejected) };
    store.apply_result(&answer(&store, 9, false, vec![refused])).unwrap();
    assert_eq!(store.get(ATTENDEE, Uuid::from_u128(1)).unwrap(), None);
    assert_eq!(shown(&store, 2).unwrap().0, "altceva");
}

#[test]
fn what_was_sent_with_work_about_an_erased_person_gets_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(2, finding(2, 9, "înainte"))], Some(2))).unwrap();
    store.flush().unwrap();
    put_attendee(&store);
    patch(&store, 2, "text", "după");
    put(&store, finding(3, 9, "nou"));
    let refused = MutationResult { code: "REJECT_ERASED".to_owned(), ..result(1, Outcome::Rejected) };
    store.apply_result(&answer(&store, 5, true, vec![refused])).unwrap();
    assert_eq!(shown(&store, 2), Some(("după".to_owned(), 5, RowState::Synced)));
    assert_eq!(shown(&store, 3), Some(("nou".to_owned(), 5, RowState::Synced)));
    assert_eq!(store.rejected(10).unwrap().len(), 1);
}

#[test]
fn work_after_an_emptied_change_is_still_of_this_phone_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put_attendee(&store);
    store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
    store.apply_page(&erasure(6)).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = open(folder.path());
    put(&store, finding(2, 9, "nou"));
    let push = store.pushes().unwrap().remove(0);
    let upto_hash = push.mutations.iter().fold(push.prev_hash, |hash, bytes| hash.then(bytes));
    let answered = store.apply_result(&PushResult { upto_hash, ..answer(&store, 7, true, Vec::new()) }).unwrap();
    assert!(!answered.is_foreign, "the phone took its own work for that of a copy");
    assert_eq!(shown(&store, 2), Some(("nou".to_owned(), 7, RowState::Synced)));
}

#[test]
fn what_stands_before_an_emptied_change_is_compared_with_the_server_before_it_goes_under_other_numbers() {
    for is_lost in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        put(&store, finding(2, 9, "dinainte"));
        put_attendee(&store);
        store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
        store.apply_page(&erasure(6)).unwrap();
        store.meet(2, ChainHash([9; 16])).unwrap();
        let asked = store.pushes().unwrap().remove(0);
        assert_eq!((asked.first_no, asked.prev_hash, asked.mutations.len()), (1, ChainHash::START, 1));
        let upto_hash = if is_lost { ChainHash::START } else { ChainHash::START.then(&asked.mutations[0]) };
        // What the server has of it, it answers as at first: that the other change is another one there, nothing says.
        let demand = is_lost.then_some(Demand::NewIncarnation);
        let upto_no = u64::from(!is_lost);
        let told = PushResult { upto_no, upto_hash, demand, commits: Vec::new(), results: Vec::new() };
        assert_eq!(store.apply_result(&told).unwrap().is_foreign, !is_lost);
        store.new_incarnation().unwrap();
        let again = store.pushes().unwrap().remove(0);
        assert_eq!((again.first_no, again.prev_hash), (1, ChainHash::START));
        assert_eq!(again.mutations.len(), 1 + usize::from(is_lost), "lost there: {is_lost}");
    }
}

/// The phone failed after it had noted that it asks for answers again, and before it met what the server has.
#[test]
fn what_a_restored_server_takes_of_a_request_that_asks_again_does_not_come_a_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_attendee_between(folder.path());
    store.apply_page(&erasure(6)).unwrap();
    store.ask_again(0).unwrap();
    let hello = || store.hello("test", 0).unwrap();
    let before = hello().incarnation;
    let (first_no, told) = shared(&store);
    assert_eq!((first_no, told.upto_no), (1, 1));
    // The next request may be on its way before the answer comes.
    hello();
    store.inner.lock().verify_after_a_day().unwrap();
    store.meet(0, ChainHash::START).unwrap();
    let commits = vec![Commit { first_no: 1, last_no: 1, seq: 1_000_001, verbatim: true }];
    store.apply_result(&PushResult { commits, ..told.clone() }).unwrap();
    // The next one finds what the server still lacks, and goes under other numbers from there on.
    assert_eq!(hello().incarnation, before);
    assert!(hello().verify_kinds > 0, "what is answered again tells no version of a row");
    assert_eq!(store.pushes().unwrap()[0].first_no, 3);
    store.meet(1, told.upto_hash).unwrap();
    let (after, again) = (hello(), store.pushes().unwrap());
    assert_ne!(after.incarnation, before);
    assert_eq!(after.earlier, [(before, 1)]);
    assert_eq!(
        again.iter().map(|push| push.mutations.len()).sum::<usize>(),
        2,
        "what was emptied, and what is behind it"
    );
}

#[test]
fn what_stands_behind_an_emptied_change_is_compared_too_before_it_goes_under_other_numbers() {
    for is_lost in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = with_attendee_between(folder.path());
        // Everything is asked for again, and the search begins with that.
        store.ask_again(0).unwrap();
        store.meet(4, ChainHash([9; 16])).unwrap();
        store.apply_page(&erasure(6)).unwrap();
        let (first_no, told) = shared(&store);
        assert_eq!((first_no, told.upto_no), (1, 1));
        assert!(!store.apply_result(&told).unwrap().is_foreign, "that tells nothing of what comes after");
        let (first_no, told) = shared(&store);
        assert_eq!((first_no, told.upto_no), (3, 3));
        let demand = Some(Demand::NewIncarnation);
        let foreign = PushResult { upto_no: 2, upto_hash: ChainHash([8; 16]), demand, ..told.clone() };
        let told = if is_lost { foreign } else { told };
        assert_eq!(store.apply_result(&told).unwrap().is_foreign, !is_lost);
        store.new_incarnation().unwrap();
        let again = store.pushes().unwrap();
        let count: usize = again.iter().map(|push| push.mutations.len()).sum();
        assert_eq!(count, if is_lost { 2 } else { 0 }, "lost there: {is_lost}");
    }
}

#[test]
fn what_a_request_pushed_when_a_search_began_is_known_to_be_there_also_when_it_is_emptied_then() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(2, 9, "dinainte"));
    store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
    put_attendee(&store);
    // The greeting tells of more than this phone has; the answer to what was sent with it comes after.
    let (_, told) = shared(&store);
    store.meet(3, ChainHash([9; 16])).unwrap();
    assert!(store.apply_result(&told).unwrap().is_foreign, "the server has all of it, and more");
    store.apply_page(&erasure(6)).unwrap();
    store.new_incarnation().unwrap();
    assert!(store.pushes().unwrap().is_empty(), "nothing is sent a second time");
}

#[test]
fn a_search_that_asks_for_answers_again_comes_to_its_end_although_the_server_told_of_more_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, finding(2, 9, "dinainte"));
    store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
    put_attendee(&store);
    put(&store, finding(3, 9, "după"));
    let (_, told) = shared(&store);
    store.ask_again(0).unwrap();
    store.meet(4, ChainHash([9; 16])).unwrap();
    store.apply_result(&told).unwrap();
    store.apply_page(&erasure(6)).unwrap();
    for expected in [1, 3] {
        let (first_no, told) = shared(&store);
        assert_eq!(first_no, expected, "the same is asked again");
        assert_eq!(store.apply_result(&told).unwrap().is_foreign, expected == 3);
    }
    store.new_incarnation().unwrap();
    assert!(store.pushes().unwrap().is_empty());
}

#[test]
fn a_search_whose_changes_were_emptied_meanwhile_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put_attendee(&store);
    put(&store, finding(2, 9, "al doilea"));
    put(&store, finding(3, 9, "al treilea"));
    store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
    let foreign = ChainHash([9; 16]);
    store.meet(3, foreign).unwrap();
    assert_eq!(store.pushes().unwrap()[0].first_no, 3);
    store.new_incarnation().unwrap();
    // The search went back to the beginning, and of all that it has to send the first cannot be sent any more.
    store.apply_page(&erasure(6)).unwrap();
    assert!(store.pushes().unwrap().is_empty());
    store.meet(3, foreign).unwrap();
    assert_eq!(store.pushes().unwrap()[0].first_no, 3, "nothing is asked, for ever");
    store.new_incarnation().unwrap();
    assert_eq!(store.pushes().unwrap()[0].first_no, 2, "what stands behind the emptied change tells by itself");
}

#[test]
fn a_phone_that_can_prove_nothing_of_what_it_sent_goes_on_under_other_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put_attendee(&store);
    store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
    store.apply_page(&erasure(6)).unwrap();
    let before = store.hello("test", 0).unwrap().incarnation;
    store.meet(1, ChainHash([9; 16])).unwrap();
    assert_ne!(store.hello("test", 0).unwrap().incarnation, before, "nothing is left that the server could be asked");
    put(&store, finding(2, 9, "după"));
    assert_eq!(store.pushes().unwrap()[0].first_no, 1);
}

#[test]
fn what_was_emptied_is_passed_when_the_rest_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_attendee_between(folder.path());
    store.ask_again(0).unwrap();
    store.apply_page(&erasure(6)).unwrap();
    for expected in [1, 3] {
        let (first_no, told) = shared(&store);
        assert_eq!((first_no, told.upto_no), (expected, expected));
        let commits = vec![Commit { first_no: expected, last_no: expected, seq: 5, verbatim: true }];
        let told = PushResult { commits, ..told };
        assert!(!store.apply_result(&told).unwrap().is_foreign);
    }
    assert!(store.pushes().unwrap().is_empty() && !store.sync_view().unwrap().is_seeking);
}

#[test]
fn what_a_restored_server_has_erased_is_emptied_with_its_answer_and_shown_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put_attendee(&store);
    let told = answer(&store, 5, true, Vec::new());
    store.apply_result(&told).unwrap();
    store.ask_again(4).unwrap();
    store.rebase(&Cursor { seq: 4, ..store.sync_view().unwrap().cursor }).unwrap();
    let refused = MutationResult { code: "REJECT_ERASED".to_owned(), ..result(1, Outcome::Rejected) };
    let answered = store.apply_result(&PushResult { results: vec![refused], ..told }).unwrap();
    assert_eq!((answered, store.get(ATTENDEE, Uuid::from_u128(1)).unwrap()), (Answered::default(), None));
    let kept = store.inner.lock().outbox.mutation(1).unwrap();
    assert!(kept.patch.is_empty(), "{kept:?}");
}
