//! The request that goes out before the one before it is answered.

use sync_protocol::wire::Demand;

use super::*;

/// More than a first request holds.
const MANY: u128 = 1_500;

fn record_many(store: &Store) {
    let rows = (10_000..10_000 + MANY).map(|id| {
        let mut row = empty_row(KIND.def(), Uuid::from_u128(id));
        row.values[0] = Value::Uuid(SCOPE);
        row
    });
    store.write(|batch| rows.into_iter().try_for_each(|row| batch.put(KIND, row).map(drop))).unwrap();
}

/// What a server says that leaves the rows for the request that follows.
fn serve_pushes(hello: &Hello, pushes: &[Push], last: Last) -> Vec<u8> {
    if !hello.more {
        return serve(hello, pushes, last);
    }
    let mut body = Vec::new();
    welcome(&mut body, last);
    pushes.iter().for_each(|push| result_of(push).write(&mut body));
    Message::End(End { more: true, ..End::default() }).write(&mut body);
    body
}

/// Has something else under the device's numbers.
fn foreign(_: &Hello, _: &[Push], last: Last) -> Vec<u8> {
    let mut body = Vec::new();
    welcome(&mut body, last);
    let demand = Some(Demand::NewIncarnation);
    let nothing = PushResult { upto_no: 0, upto_hash: ChainHash::START, demand, commits: vec![], results: vec![] };
    Message::PushResult(nothing).write(&mut body);
    Message::End(End { more: true, ..End::default() }).write(&mut body);
    body
}

/// Returns a store that has everything, and much to push.
async fn full_store(folder: &Path) -> Arc<Store> {
    let store = store(folder);
    sync(&store, &Script::of(vec![Reply::Sends(serve, 1_000)])).await;
    record_many(&store);
    store
}

async fn sync(store: &Arc<Store>, script: &Arc<Script>) -> SyncReport {
    let syncer = syncer(store, script);
    let synced = tokio::time::timeout(Duration::from_secs(20), syncer.sync_once(SyncOptions::default())).await;
    synced.expect("the sync waits for something that does not come").unwrap()
}

#[tokio::test]
async fn the_next_request_goes_out_while_the_server_works() {
    let folder = tempfile::tempdir().unwrap();
    let store = full_store(folder.path()).await;
    // The first answer comes only when the second request is there.
    let script = Script::of(vec![Reply::After(serve_pushes, 2), Reply::Sends(serve_pushes, 1_000)]);
    let report = sync(&store, &script).await;
    assert!(report.complete);
    assert_eq!((report.pushed, report.requests), (MANY as u64, 2));
    let sent = script.requests.lock().iter().map(|(hello, _)| hello.more).collect::<Vec<_>>();
    assert_eq!(sent, [true, false], "the device says whether more follows");
    let firsts = script.requests.lock().iter().map(|(_, pushes)| pushes[0].first_no).collect::<Vec<_>>();
    assert_eq!(firsts, [1, 1_001], "the second request goes on after the first");
}

#[tokio::test]
async fn a_request_that_went_out_too_early_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = full_store(folder.path()).await;
    // The second request goes on from numbers that the server has given to something else.
    let served = || Reply::Sends(serve_pushes, 1_000);
    let replies = vec![Reply::After(foreign, 2), Reply::Sends(foreign, 1_000), served(), served(), served()];
    let script = Script::of(replies);
    let report = sync(&store, &script).await;
    assert!(report.complete);
    // The answer to the second request is not taken: one refusal makes one new incarnation.
    assert_eq!((report.pushed, report.requests), (MANY as u64, 3));
    let requests = script.requests.lock();
    let (first, third) = (&requests[0], &requests[2]);
    assert_ne!(first.0.incarnation, third.0.incarnation);
    assert_eq!(third.1[0].first_no, 1, "the new incarnation begins where the old one left off");
}

#[tokio::test]
async fn a_refused_early_request_is_sent_again_in_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let store = full_store(folder.path()).await;
    let busy = Failure::Busy { after_ms: 5_000 };
    let replies = vec![Reply::After(serve_pushes, 2), Reply::Fails(busy), Reply::Sends(serve_pushes, 1_000)];
    let script = Script::of(replies);
    let report = sync(&store, &script).await;
    assert!(report.complete);
    assert_eq!((report.pushed, script.requests.lock().len()), (MANY as u64, 3));
}
