//! Answers about many changes at once, kept in one line for each stretch.

use super::*;

/// Records findings and has all of them answered but for `results`.
fn answered(store: &Store, count: u128, results: Vec<MutationResult>) {
    store.write(|batch| (1..=count).try_for_each(|n| batch.put(KIND, finding(n, 9, "rând")).map(|_| ()))).unwrap();
    let answer = answer(store, 77, true, results);
    store.apply_result(&answer).unwrap();
}

fn states(store: &Store, ids: &[u128]) -> Vec<(u64, RowState)> {
    ids.iter().map(|id| shown(store, *id).map(|(_, seq, state)| (seq, state)).unwrap()).collect()
}

#[test]
fn what_was_said_of_one_change_counts_more_than_what_was_said_of_its_stretch() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let results = vec![result(4, Outcome::Rejected), result(7, Outcome::Held), result(9, Outcome::Conflict)];
    answered(&store, 10, results);
    let expected = [(77, RowState::Synced), (0, RowState::Rejected), (0, RowState::Held), (77, RowState::Synced)];
    assert_eq!(states(&store, &[3, 4, 7, 10]), expected);
    // The one that met another edit stays laid over its row until the row of that commit comes.
    let waits = |store: &Store| store.inner.lock().overlay.in_state(ChangeState::Accepted);
    assert_eq!(waits(&store).iter().map(|(position, _, seq)| (*position, *seq)).collect::<Vec<_>>(), [(9, 77)]);
    drop(store);
    let store = open(folder.path());
    assert_eq!(states(&store, &[3, 4, 7, 10]), expected);
    assert_eq!(waits(&store).len(), 1);
    let status = store.status().unwrap();
    assert_eq!((status.pending, status.held, status.rejected), (0, 1, 1));
}

#[test]
fn an_answer_that_the_cache_lost_is_made_up_from_its_stretch() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.write(|batch| (1..=5).try_for_each(|n| batch.put(KIND, finding(n, 9, "rând")).map(|_| ()))).unwrap();
    store.flush().unwrap();
    let saved = Saved::of(folder.path(), "cache.db");
    let answer = answer(&store, 77, true, Vec::new());
    store.apply_result(&answer).unwrap();
    drop(store);
    saved.put_back();
    assert_eq!(states(&open(folder.path()), &[1, 5]), [(77, RowState::Synced); 2]);
}

#[test]
fn an_answer_that_the_outbox_lost_comes_again_also_from_a_restored_server_which_has_taken_the_change_anew() {
    let cases = [(true, 77, false), (true, 77, true), (true, 1_000_001, false), (false, 1_000_001, false)];
    for (is_verbatim, seq, is_gone) in cases {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        put(&store, finding(1, 9, "rând"));
        store.flush().unwrap();
        let saved = Saved::of(folder.path(), "outbox.db");
        store.apply_result(&answer(&store, 77, is_verbatim, Vec::new())).unwrap();
        if is_gone {
            let gone = vec![Gone { rows: vec![(KIND.number(), Uuid::from_u128(1), GoneReason::Deleted)] }];
            store.apply_page(&Page { gone, ..page(Vec::new(), Some(80)) }).unwrap();
        }
        store.flush().unwrap();
        drop(store);
        saved.put_back();
        let store = open(folder.path());
        assert_eq!(store.status().unwrap().pending, 1);
        store.apply_result(&answer(&store, seq, true, Vec::new())).unwrap();
        let expected = (!is_gone).then(|| ("rând".to_owned(), seq, RowState::Synced));
        assert_eq!(shown(&store, 1), expected);
    }
}

#[test]
fn an_answer_that_comes_again_shows_no_row_of_a_scope_that_was_left_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let [left, stays] = [9, 8].map(Uuid::from_u128);
    store.apply_scopes(&Scopes { scopes: vec![left, stays] }).unwrap();
    put(&store, finding(1, 9, "plecat"));
    put(&store, finding(2, 8, "rămas"));
    store.flush().unwrap();
    let saved = Saved::of(folder.path(), "outbox.db");
    store.apply_result(&answer(&store, 77, true, Vec::new())).unwrap();
    store.apply_scopes(&Scopes { scopes: vec![stays] }).unwrap();
    store.flush().unwrap();
    drop(store);
    saved.put_back();
    let store = open(folder.path());
    store.apply_result(&answer(&store, 77, true, Vec::new())).unwrap();
    assert_eq!((shown(&store, 1), shown(&store, 2).is_some()), (None, true));
}

#[test]
fn a_server_that_lost_the_end_of_a_stretch_gets_only_that_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    answered(&store, 10, Vec::new());
    store.rewind(6).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.status().unwrap().pending, 5);
    let push = &store.pushes().unwrap()[0];
    assert_eq!((push.first_no, push.mutations.len()), (6, 5));
    let answer = answer(&store, 80, true, Vec::new());
    assert_eq!(store.apply_result(&answer).unwrap().pushed, 5);
    let heads = store.inner.lock().outbox.heads_after(4).unwrap();
    assert_eq!(heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [77, 80, 80, 80, 80, 80]);
}

#[test]
fn what_was_said_of_a_stretch_is_known_when_sending_it_again_could_not_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    answered(&store, 10, Vec::new());
    let outbox = &mut store.inner.lock().outbox;
    let failed: crate::error::Result<()> = outbox.durably(|outbox| {
        outbox.pend_from(6)?;
        Err(Error::Storage("a disk that fails".to_owned()))
    });
    let heads = outbox.heads_after(0).unwrap();
    let told = heads.iter().map(|head| (head.state, head.seq)).collect::<Vec<_>>();
    assert_eq!((failed.is_err(), told), (true, vec![(ChangeState::Confirmed, 77); 10]));
}

#[test]
fn what_was_answered_is_not_saved_as_pending_from_a_damaged_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    answered(&store, 200, Vec::new());
    for n in 201..=220 {
        put(&store, finding(n, 9, &"text ".repeat(30)));
    }
    store.close().unwrap();
    let path = folder.path().join("outbox.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let store = open(folder.path());
    let salvaged = store.report().salvaged.unwrap();
    assert_eq!((salvaged.saved, store.status().unwrap().pending), (20, 20), "{salvaged:?}");
}

#[test]
fn a_request_ends_behind_the_last_group_however_long_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = |batch: &mut WriteBatch<'_>, mut ids: std::ops::RangeInclusive<u128>| {
        ids.try_for_each(|n| batch.put(KIND, finding(n, 9, "rând")).map(|_| ()))
    };
    store.write(|batch| record(batch, 1..=4_990)).unwrap();
    store
        .write(|batch| {
            batch.group();
            record(batch, 4_991..=6_500)
        })
        .unwrap();
    store.write(|batch| record(batch, 6_501..=6_510)).unwrap();
    let lengths: Vec<usize> = store.pushes().unwrap().iter().map(|push| push.mutations.len()).collect();
    assert_eq!(lengths, [2_000, 2_000, 990, 1_510]);
}

#[test]
fn what_was_given_up_and_is_refused_once_more_does_not_come_before_the_person_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_page(&page(vec![(1, finding(1, 9, "a"))], Some(1))).unwrap();
    let refuse = |store: &Store, no, code: &str| {
        let refused = MutationResult { code: code.to_owned(), ..result(no, Outcome::Rejected) };
        store.apply_result(&answer(store, 0, true, vec![refused])).unwrap()
    };
    patch(&store, 1, "text", "refused");
    refuse(&store, 1, "REJECT_RULE");
    patch(&store, 1, "text", "put right");
    refuse(&store, 2, "REJECT_RULE");
    for _ in 0..2 {
        store.rewind(1).unwrap();
        assert!(store.pending(10).unwrap().iter().all(|change| change.answer.is_none()));
        let refused = [1, 2].map(|no| MutationResult { code: "REJECT_SCOPE".into(), ..result(no, Outcome::Rejected) });
        let answered = store.apply_result(&answer(&store, 0, true, refused.to_vec())).unwrap();
        assert_eq!((answered.pushed, answered.rejected), (2, 1));
        let rejected: Vec<u64> = store.rejected(10).unwrap().iter().map(|change| change.change_id).collect();
        assert_eq!((rejected, shown(&store, 1).unwrap().0.as_str()), (vec![2], "put right"));
    }
    store.discard(2).unwrap();
    store.rewind(1).unwrap();
    assert_eq!(refuse(&store, 2, "RETURNED").rejected, 0);
    drop(store);
    assert_eq!(shown(&open(folder.path()), 1), Some(("a".to_owned(), 1, RowState::Synced)));
}
