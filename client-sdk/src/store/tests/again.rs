//! Answers of a history that a restored server has left, which it gives again.

use super::*;

/// Records findings, one push each, and has them answered in the commits 5, 6, …, as the cases say.
fn answered(folder: &Path, outcomes: &[Outcome]) -> Store {
    let store = open(folder);
    store.apply_scopes(&Scopes { scopes: vec![Uuid::from_u128(9)] }).unwrap();
    for (at, outcome) in outcomes.iter().enumerate() {
        put(&store, finding(at as u128 + 1, 9, "rând"));
        store.apply_result(&answer(&store, at as u64 + 5, true, said(at as u64 + 1, *outcome))).unwrap();
    }
    store.apply_page(&page(Vec::new(), Some(100))).unwrap();
    store
}

fn said(no: u64, outcome: Outcome) -> Vec<MutationResult> {
    let refusal = || MutationResult { code: "REJECT_RULE".to_owned(), ..result(no, outcome) };
    if outcome == Outcome::Applied { Vec::new() } else { vec![refusal()] }
}

/// The server's answer to what is asked for again, all of it in one commit.
fn again(store: &Store, seq: u64, results: Vec<MutationResult>) -> PushResult {
    let (first_no, told) = shared(store);
    let commits = vec![Commit { first_no, last_no: told.upto_no, seq, verbatim: true }];
    PushResult { commits, results, ..told }
}

fn asked(store: &Store) -> Option<(u64, usize)> {
    store.pushes().unwrap().first().map(|push| (push.first_no, push.mutations.len()))
}

fn state(store: &Store, id: u128) -> Option<RowState> {
    shown(store, id).map(|(_, _, state)| state)
}

#[test]
fn what_was_answered_in_a_history_that_was_left_is_asked_for_again_until_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = answered(folder.path(), &[Outcome::Applied; 4]);
    for (after_seq, expected) in [(8, None), (7, Some((4, 1))), (6, Some((3, 2))), (7, Some((3, 2)))] {
        store.ask_again(after_seq).unwrap();
        assert_eq!(asked(&store), expected, "everything up to {after_seq} is certain");
        assert_eq!(store.sync_view().unwrap().is_seeking, expected.is_some());
    }
    assert_eq!(
        (store.status().unwrap().pending, state(&store, 3)),
        (0, Some(RowState::Synced)),
        "it waits for nothing"
    );
    drop(store);
    let store = open(folder.path());
    let answered = store.apply_result(&again(&store, 1_000_001, Vec::new())).unwrap();
    assert_eq!((answered, asked(&store)), (Answered::default(), None));
    drop(store);
    let store = open(folder.path());
    assert!(!store.sync_view().unwrap().is_seeking);
    // Once more: the answers of the history before are as little certain as those that were given again.
    store.ask_again(1_000_000).unwrap();
    assert_eq!(asked(&store), Some((3, 2)));
}

#[test]
fn a_row_that_is_gone_is_not_shown_again_because_an_answer_came_again() {
    for comes_first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = answered(folder.path(), &[Outcome::Applied; 2]);
        store.ask_again(0).unwrap();
        store.start_over().unwrap();
        let told = again(&store, 6, Vec::new());
        if comes_first {
            store.apply_result(&told).unwrap();
        }
        // The server voided the first row, and says nothing more of it: everything is fetched anew.
        store.apply_page(&page(vec![(90, finding(2, 9, "de la birou"))], Some(110))).unwrap();
        store.apply_result(&told).unwrap();
        store.apply_page(&page(Vec::new(), Some(111))).unwrap();
        assert_eq!(shown(&store, 1), None);
        assert_eq!(shown(&store, 2), Some(("de la birou".to_owned(), 90, RowState::Synced)), "newer than the answer");
    }
}

#[test]
fn what_took_effect_after_all_waits_for_its_row_and_for_nothing_else() {
    for was in [Outcome::Held, Outcome::Rejected] {
        let folder = tempfile::tempdir().unwrap();
        let store = answered(folder.path(), &[was]);
        store.ask_again(0).unwrap();
        store.apply_result(&again(&store, 1_000_001, Vec::new())).unwrap();
        let status = store.status().unwrap();
        assert_eq!((status.held, status.rejected, shown(&store, 1).unwrap().0.as_str()), (0, 0, "rând"), "{was:?}");
        store.apply_page(&page(vec![(1_000_001, finding(1, 9, "al serverului"))], Some(1_000_001))).unwrap();
        assert_eq!(shown(&store, 1), Some(("al serverului".to_owned(), 1_000_001, RowState::Synced)), "{was:?}");
    }
}

#[test]
fn what_is_refused_or_held_now_is_shown_so_and_counted_once() {
    for (outcome, expected) in [(Outcome::Rejected, RowState::Rejected), (Outcome::Held, RowState::Held)] {
        let folder = tempfile::tempdir().unwrap();
        let store = answered(folder.path(), &[Outcome::Applied; 3]);
        store.flush().unwrap();
        let saved = Saved::of(folder.path(), "cache.db");
        store.ask_again(0).unwrap();
        store.start_over().unwrap();
        let others = [1, 3].map(|id| (1_000_001, finding(id, 9, "rând")));
        store.apply_page(&page(others.to_vec(), Some(1_000_001))).unwrap();
        assert_eq!(state(&store, 2), None, "the server has no such row");
        for counted in [1, 0] {
            store.ask_again(0).unwrap();
            let told = store.apply_result(&again(&store, 1_000_001, said(2, outcome))).unwrap();
            assert_eq!((told.pushed, told.rejected + told.held), (counted, counted));
        }
        let list = store.rejected(9).unwrap().into_iter().chain(store.held(9).unwrap()).collect::<Vec<_>>();
        let reasons: Vec<_> =
            list.iter().filter_map(|change| change.answer.as_ref()).map(|a| a.code.as_str()).collect();
        assert_eq!(reasons, ["REJECT_RULE"]);
        assert_eq!([1, 2, 3].map(|id| state(&store, id).unwrap()), [RowState::Synced, expected, RowState::Synced]);
        drop(store);
        // The cache loses it with the power.
        saved.put_back();
        assert_eq!(state(&open(folder.path()), 2), Some(expected));
    }
}

#[test]
fn what_was_given_up_is_not_brought_before_the_person_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = answered(folder.path(), &[Outcome::Rejected]);
    store.discard(1).unwrap();
    store.ask_again(0).unwrap();
    let told = store.apply_result(&again(&store, 1_000_001, said(1, Outcome::Rejected))).unwrap();
    assert_eq!((told.rejected, store.status().unwrap().rejected, state(&store, 1)), (0, 0, None));
}

#[test]
fn an_answer_to_something_else_that_was_under_way_is_not_taken_for_one_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = answered(folder.path(), &[Outcome::Applied; 3]);
    put(&store, finding(4, 9, "rând"));
    let under_way = answer(&store, 1_000_001, true, Vec::new());
    store.ask_again(5).unwrap();
    assert_eq!(store.apply_result(&under_way).unwrap().pushed, 1);
    assert_eq!((state(&store, 4), asked(&store)), (Some(RowState::Synced), Some((2, 3))));
    let upto_hash = store.inner.lock().outbox.hash_at(4).unwrap().unwrap();
    let demand = Some(Demand::ResendFrom(5));
    let demanded = PushResult { upto_no: 4, upto_hash, demand, commits: Vec::new(), results: Vec::new() };
    store.apply_result(&demanded).unwrap();
    assert_eq!(asked(&store), Some((2, 3)), "a demand answers nothing");
}

#[test]
fn an_answer_that_tells_of_new_work_as_well_is_taken_for_both() {
    let folder = tempfile::tempdir().unwrap();
    let store = answered(folder.path(), &[Outcome::Applied; 2]);
    put(&store, finding(3, 9, "nou"));
    store.ask_again(5).unwrap();
    let results = [2, 3].map(|no| said(no, Outcome::Rejected)).concat();
    let told = store.apply_result(&again(&store, 1_000_001, results)).unwrap();
    assert_eq!((told.pushed, told.rejected, asked(&store)), (2, 2, None));
    assert_eq!([1, 2, 3].map(|id| state(&store, id).unwrap() == RowState::Rejected), [false, true, true]);
}

#[test]
fn what_the_server_lost_is_sent_and_not_only_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = answered(folder.path(), &[Outcome::Applied; 3]);
    store.ask_again(0).unwrap();
    store.rewind(2).unwrap();
    assert_eq!((asked(&store), store.status().unwrap().pending), (Some((1, 3)), 2));
    store.rewind(1).unwrap();
    assert_eq!((asked(&store), store.status().unwrap().pending), (Some((1, 3)), 3));
    store.apply_result(&answer(&store, 1_000_001, true, Vec::new())).unwrap();
    assert_eq!(asked(&store), None);
}

#[test]
fn what_is_asked_for_is_kept_however_old_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = answered(folder.path(), &[Outcome::Applied; 4]);
    store.ask_again(6).unwrap();
    store.note_durable(1_000_000).unwrap();
    assert_eq!(asked(&store), Some((3, 2)));
}

#[test]
fn a_copy_hears_again_of_what_both_have_before_it_goes_on_under_other_numbers() {
    for has_pushed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = answered(folder.path(), &[Outcome::Held, Outcome::Applied, Outcome::Applied, Outcome::Applied]);
        if has_pushed {
            put(&store, finding(5, 9, "rând"));
        }
        let told = has_pushed.then(|| again(&store, 1_000_001, Vec::new()));
        store.ask_again(0).unwrap();
        // The server has another change, which this copy did not send.
        store.meet(6, ChainHash([9; 16])).unwrap();
        if let Some(told) = told {
            // That both have it says nothing of what became of those before it.
            assert!(!store.apply_result(&told).unwrap().is_foreign);
        }
        assert_eq!(asked(&store), Some((1, 4 + usize::from(has_pushed))));
        let answered = store.apply_result(&again(&store, 1_000_001, Vec::new())).unwrap();
        assert!(answered.is_foreign);
        store.new_incarnation().unwrap();
        assert_eq!((store.status().unwrap().held, asked(&store)), (0, None));
    }
}

/// A phone from its backup looks for what the server has of its work, and the server is restored to before all of it.
#[test]
fn what_a_search_has_found_and_a_restored_server_lost_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    (1..=4).for_each(|id| put(&store, finding(id, 9, "rând")));
    store.meet(6, ChainHash([9; 16])).unwrap();
    store.pushes().unwrap();
    let shared = store.inner.lock().outbox.hash_at(2).unwrap().unwrap();
    let commits = vec![Commit { first_no: 1, last_no: 2, seq: 5, verbatim: true }];
    let found = PushResult { upto_no: 2, upto_hash: shared, demand: None, commits, results: Vec::new() };
    store.apply_result(&found).unwrap();
    assert_eq!(store.status().unwrap().pending, 2);
    store.rewind(1).unwrap();
    assert_eq!((store.status().unwrap().pending, store.sync_view().unwrap().last_no), (4, 4));
    assert!(!store.sync_view().unwrap().is_seeking);
}

/// A late copy of a request told a restored server of the newest incarnation before the phone came.
#[test]
fn what_a_restored_server_lacks_of_an_earlier_incarnation_is_sent_again_although_it_knows_the_newest_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = answered(folder.path(), &[Outcome::Applied; 2]);
    put(&store, finding(3, 9, "rând"));
    store.meet(3, ChainHash([9; 16])).unwrap();
    store.pushes().unwrap();
    let shared = store.inner.lock().outbox.hash_at(2).unwrap().unwrap();
    let of_copy = PushResult {
        upto_no: 2,
        upto_hash: shared,
        demand: Some(Demand::NewIncarnation),
        commits: Vec::new(),
        results: Vec::new(),
    };
    store.apply_result(&of_copy).unwrap();
    store.new_incarnation().unwrap();
    store.apply_result(&answer(&store, 7, true, Vec::new())).unwrap();
    let hello = store.hello("test", 0).unwrap();
    let (earlier, upto_no) = hello.earlier[0];
    assert_eq!((upto_no, store.sync_view().unwrap().acked_no), (2, 1));
    let hash = store.sync_view().unwrap().acked_hash;
    store.meet_earlier(&[(earlier, 0)]).unwrap();
    // What the response says of the numbers that the request told.
    store.meet(1, hash).unwrap();
    store.rewind(1).unwrap();
    store.new_incarnation().unwrap();
    let view = store.sync_view().unwrap();
    assert_eq!((store.status().unwrap().pending, view.last_no, view.is_seeking), (3, 3, false));
}
