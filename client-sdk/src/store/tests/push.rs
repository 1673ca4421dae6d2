//! Tests of what is pushed.

use sync_protocol::frame::Reader;

use super::*;

#[test]
fn pushes_made_ahead_are_sent_only_while_they_are_what_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.write(|batch| (1..=6_000).try_for_each(|n| batch.put(KIND, finding(n, 9, "rând")).map(|_| ()))).unwrap();
    let first = store.push_bytes(None, REQUEST_BYTES).unwrap();
    let ahead = || store.push_bytes_after(&first, REQUEST_BYTES).unwrap().unwrap();
    let (stale, fresh) = (ahead(), ahead());
    assert_eq!(
        store.push_bytes(Some(stale), REQUEST_BYTES).unwrap().frames,
        first.frames,
        "nothing is acknowledged yet"
    );
    store.apply_result(&answer_upto(&store, 1_000)).unwrap();
    let sent = store.push_bytes(Some(fresh), REQUEST_BYTES).unwrap();
    assert_eq!(numbers(&sent), [(1_001, 2_000)]);
    part(&store);
    let anew = store.push_bytes(Some(sent), REQUEST_BYTES).unwrap();
    assert_eq!(numbers(&anew), [(1, 1_000)], "the numbers are others now");
}

#[test]
fn the_first_request_is_half_a_frame_and_each_after_it_twice_as_much() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.write(|batch| (1..=15_000).try_for_each(|n| batch.put(KIND, finding(n, 9, "rând")).map(|_| ()))).unwrap();
    let mut request = store.push_bytes(None, REQUEST_BYTES).unwrap();
    let mut lengths = Vec::new();
    loop {
        lengths.push(numbers(&request).iter().map(|(_, length)| length).sum::<usize>());
        match store.push_bytes_after(&request, REQUEST_BYTES).unwrap() {
            Some(next) => request = next,
            None => break,
        }
    }
    assert_eq!(lengths, [1_000, 2_000, 4_000, 5_000, 3_000]);
}

/// The first number and the length of each push.
fn numbers(request: &PushBytes) -> Vec<(u64, usize)> {
    let mut reader = Reader::new(8 << 20);
    reader.push(&request.frames);
    let frames = std::iter::from_fn(|| reader.next_frame().unwrap());
    let pushes = frames.map(|frame| match Message::read(&frame).unwrap() {
        Message::Push(push) => (push.first_no, push.mutations.len()),
        other => panic!("{other:?} is no push"),
    });
    pushes.collect()
}

/// The answer to the first `upto` of the changes that wait.
fn answer_upto(store: &Store, upto: u64) -> PushResult {
    let whole = answer(store, 77, true, Vec::new());
    let mut hash = ChainHash::START;
    let payloads = store.pushes().unwrap().into_iter().flat_map(|push| push.mutations);
    payloads.take(upto as usize).for_each(|payload| hash = hash.then(&payload));
    let commits = whole.commits.into_iter().map(|commit| Commit { last_no: upto, ..commit }).collect();
    PushResult { upto_no: upto, upto_hash: hash, commits, ..whole }
}
