//! What is shown of a row with refused changes, and of one that a restored server no longer has.

use super::*;

#[test]
fn a_refused_change_does_not_hide_what_was_written_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(1, finding(1, 9, "a"))], Some(1))).unwrap();
    store.flush().unwrap();
    patch(&store, 1, "text", "b");
    patch(&store, 1, "text", "c");
    let refused = MutationResult { code: "REJECT_RULE".to_owned(), ..result(1, Outcome::Rejected) };
    let answered = answer(&store, 2, false, vec![refused]);
    store.apply_result(&answered).unwrap();
    store.apply_page(&page(vec![(2, finding(1, 9, "c"))], Some(2))).unwrap();
    store.flush().unwrap();
    let expected = Some(("c".to_owned(), 2, RowState::Rejected));
    assert_eq!(shown(&store, 1), expected, "the older, refused text came back");
    drop(store);
    let store = open(folder.path());
    assert_eq!(shown(&store, 1), expected, "the older, refused text came back with the next start");
    patch(&store, 1, "rule_ref", "I19");
    assert_eq!(store.pending(10).unwrap()[0].mutation.patch, [(at("rule_ref"), text("I19"))]);
}

#[test]
fn a_row_that_was_changed_here_and_is_lost_there_is_not_shown_again() {
    type Change = fn(&Store);
    let void: Change = |store| store.write(|batch| batch.delete(KIND, Uuid::from_u128(1))).unwrap();
    let change: Change = |store| patch(store, 1, "text", "mine");
    let cases = [(void, Outcome::Applied), (change, Outcome::Rejected)];
    for ((change, outcome), is_answered_first) in cases.into_iter().flat_map(|of| [(of, true), (of, false)]) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(9)] }).unwrap();
        store.apply_page(&page(vec![(1, finding(1, 9, "a"))], Some(1))).unwrap();
        change(&store);
        store.start_over().unwrap();
        store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(9)] }).unwrap();
        let answered = answer(&store, 0, false, vec![result(1, outcome)]);
        let everything = page(Vec::new(), Some(1_000_000));
        if !is_answered_first {
            store.apply_page(&everything).unwrap();
        }
        store.apply_result(&answered).unwrap();
        store.apply_page(&everything).unwrap();
        store.flush().unwrap();
        for refused in store.rejected(1).unwrap() {
            assert_eq!(shown(&store, 1).unwrap().0, "mine", "a refused change stays for the person to decide");
            store.discard(refused.change_id).unwrap();
        }
        assert_eq!(shown(&store, 1), None, "{outcome:?}, answered before everything is here: {is_answered_first}");
    }
}

#[test]
fn a_row_of_a_lost_scope_does_not_come_back_when_its_voiding_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(8), Uuid::from_u128(9)] }).unwrap();
    store.apply_page(&page(vec![(1, finding(1, 9, "a"))], Some(1))).unwrap();
    store.write(|batch| batch.delete(KIND, Uuid::from_u128(1))).unwrap();
    store.apply_result(&answer(&store, 0, false, vec![result(1, Outcome::Rejected)])).unwrap();
    store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(8)] }).unwrap();
    store.discard(store.rejected(1).unwrap()[0].change_id).unwrap();
    assert_eq!(shown(&store, 1), None);
}

#[test]
fn a_change_of_what_a_lost_history_had_waits_for_the_row_as_the_server_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(9)] }).unwrap();
    store.apply_page(&page(vec![(6, finding(1, 9, "lost"))], Some(6))).unwrap();
    patch(&store, 1, "rule_ref", "I19");
    put(&store, finding(2, 9, "mine"));
    store.rebase(&Cursor { seq: 4, ..store.sync_view().unwrap().cursor }).unwrap();
    let answered = answer(&store, 1_000_001, true, Vec::new());
    store.apply_result(&answered).unwrap();
    assert_eq!(shown(&store, 2).unwrap().1, 1_000_001);
    let version = store.get(KIND, Uuid::from_u128(1)).unwrap().unwrap().seq;
    assert!(version < 1_000_001, "the device does not know what the server has in the other fields");
    store.apply_page(&page(vec![(1_000_001, finding(1, 9, "as it was"))], Some(1_000_001))).unwrap();
    assert_eq!(shown(&store, 1), Some(("as it was".to_owned(), 1_000_001, RowState::Synced)));
}

#[test]
fn a_row_that_is_brought_back_shows_nothing_that_others_wrote_in_the_lost_history() {
    for is_changed_again in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(9)] }).unwrap();
        put(&store, finding(1, 9, "mine"));
        store.apply_result(&answer(&store, 5, true, Vec::new())).unwrap();
        let mut theirs = finding(1, 9, "mine");
        theirs.values[at("rule_ref")] = text("I19");
        store.apply_page(&page(vec![(6, theirs)], Some(6))).unwrap();
        if is_changed_again {
            patch(&store, 1, "text", "mine, again");
        }
        store.rebase(&Cursor { seq: 4, ..store.sync_view().unwrap().cursor }).unwrap();
        store.rewind(1).unwrap();
        store.apply_result(&answer(&store, 1_000_001, true, Vec::new())).unwrap();
        let row = store.get(KIND, Uuid::from_u128(1)).unwrap().unwrap();
        assert_eq!((row.seq, row.state), (1_000_001, RowState::Synced));
        assert_eq!(row.row.values[at("rule_ref")], Value::Null, "the server has heard of it from nobody");
    }
}

/// After a loss of power an older version may be beneath a change than the one that it was made on.
#[test]
fn a_change_on_an_older_version_than_it_was_made_on_asks_for_the_row() {
    for is_answered_before_the_loss in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let row = finding(1, 9, "theirs, older");
        store.apply_page(&page(vec![(10, row.clone())], Some(10))).unwrap();
        store.flush().unwrap();
        store.apply_page(&page(vec![(15, finding(1, 9, "theirs"))], Some(15))).unwrap();
        patch(&store, 1, "rule_ref", "I19");
        let confirmed = answer(&store, 16, true, Vec::new());
        if is_answered_before_the_loss {
            store.apply_result(&confirmed).unwrap();
        }
        take_the_cache_back(&store, &row);
        if !is_answered_before_the_loss {
            store.apply_result(&confirmed).unwrap();
        }
        let seen = store.get(KIND, Uuid::from_u128(1)).unwrap().unwrap().seq;
        assert!(seen < 15, "who changes the text now has not seen what stands there");
        assert!(matches!(store.checks().unwrap()[..], [Message::Want(_)]));
        store.apply_page(&page(vec![(16, finding(1, 9, "theirs"))], Some(16))).unwrap();
        assert_eq!(shown(&store, 1), Some(("theirs".to_owned(), 16, RowState::Synced)));
        assert!(store.checks().unwrap().is_empty());
    }
}

/// As a loss of power does that undoes what was not synced.
fn take_the_cache_back(store: &Store, row: &Row) {
    let mut inner = store.inner.lock();
    inner.cache.begin().unwrap();
    inner.cache.drop_base((KIND, row.id)).unwrap();
    inner.cache.show(KIND, 10, row).unwrap();
    inner.cache.forget_after(0);
    inner.cache.commit().unwrap();
    inner.give_up_cache();
}

#[test]
fn who_puts_a_refused_change_right_has_not_seen_what_it_hid() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(1, finding(1, 9, "a"))], Some(1))).unwrap();
    store.flush().unwrap();
    patch(&store, 1, "text", "mine");
    let refused = MutationResult { code: "REJECT_RULE".to_owned(), ..result(1, Outcome::Rejected) };
    let answered = answer(&store, 0, false, vec![refused]);
    store.apply_result(&answered).unwrap();
    store.apply_page(&page(vec![(7, finding(1, 9, "theirs"))], Some(7))).unwrap();
    store.flush().unwrap();
    assert_eq!(shown(&store, 1).unwrap().0, "mine", "the refused text hides theirs");

    patch(&store, 1, "rule_ref", "I19");
    let again = store.pending(10).unwrap().remove(0).mutation;
    assert_eq!(again.patch, [(at("text"), text("mine")), (at("rule_ref"), text("I19"))]);
    assert_eq!((again.base_of(at("text")), again.base_of(at("rule_ref"))), (1, 7));
    assert_eq!(store.rejected(10).unwrap(), []);
}

#[test]
fn what_is_shown_over_an_overruled_change_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(1, finding(1, 9, "a"))], Some(1))).unwrap();
    store.flush().unwrap();
    patch(&store, 1, "text", "b");
    patch(&store, 1, "text", "c");
    let answered = answer(&store, 2, false, vec![result(1, Outcome::Held)]);
    store.apply_result(&answered).unwrap();
    store.apply_page(&page(vec![(8, finding(1, 9, "theirs"))], Some(8))).unwrap();
    store.flush().unwrap();
    assert_eq!(shown(&store, 1).unwrap().0, "theirs");
    patch(&store, 1, "text", "d");
    assert_eq!(store.pending(10).unwrap()[0].mutation.base_of(at("text")), 8);
}

#[test]
fn a_refused_change_that_a_lost_history_had_is_said_again_when_it_is_put_right() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(9)] }).unwrap();
    store.apply_page(&page(vec![(1, finding(1, 9, "a"))], Some(1))).unwrap();
    patch(&store, 1, "text", "mine");
    store.apply_page(&page(vec![(2, finding(1, 9, "mine"))], Some(2))).unwrap();
    store.start_over().unwrap();
    let refused = MutationResult { code: "REJECT_RULE".to_owned(), ..result(1, Outcome::Rejected) };
    store.apply_result(&answer(&store, 1_000_001, false, vec![refused])).unwrap();
    patch(&store, 1, "rule_ref", "I19");
    let said = &store.pending(10).unwrap()[0].mutation.patch;
    assert!(said.contains(&(at("text"), text("mine"))), "{said:?}");
}

#[test]
fn a_row_that_the_server_keeps_against_its_voiding_is_shown_without_what_was_refused_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(1, finding(1, 9, "a"))], Some(1))).unwrap();
    patch(&store, 1, "text", "mine");
    let refused = MutationResult { code: "REJECT_RULE".to_owned(), ..result(1, Outcome::Rejected) };
    store.apply_result(&answer(&store, 0, false, vec![refused])).unwrap();
    store.write(|batch| batch.delete(KIND, Uuid::from_u128(1))).unwrap();
    store.apply_result(&answer(&store, 2, false, vec![result(2, Outcome::Conflict)])).unwrap();
    store.apply_page(&page(Vec::new(), Some(2))).unwrap();
    store.flush().unwrap();
    let kept = shown(&store, 1).map(|(text, seq, _)| (text, seq));
    assert_eq!(kept, Some(("a".to_owned(), 1)));
}

#[test]
fn a_row_that_a_restored_server_has_yet_to_send_again_is_deleted_there_although_a_change_of_it_was_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(5, finding(1, 9, "al serverului"))], Some(5))).unwrap();
    patch(&store, 1, "text", "refuzat");
    store.start_over().unwrap();
    store.apply_result(&answer(&store, 0, false, vec![result(1, Outcome::Rejected)])).unwrap();
    store.write(|batch| batch.delete(KIND, Uuid::from_u128(1))).unwrap();
    assert_eq!((shown(&store, 1), store.status().unwrap().pending), (None, 1));
}
