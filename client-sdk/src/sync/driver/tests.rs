use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use parking_lot::Mutex;
use sync_protocol::cursor::Cursor;
use sync_protocol::entity::EntityKind;
use sync_protocol::frame::Reader;
use sync_protocol::id::UserId;
use sync_protocol::mutation::ChainHash;
use sync_protocol::patch::empty_row;
use sync_protocol::rows::VersionedRow;
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use sync_protocol::wire::{
    Checkpoint, Commit, End, Hello, History, Message, PROTOCOL, Push, PushResult, Scopes, Welcome, write_rows,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;
use crate::key::FixedKeyProvider;
use crate::store::{AcceptAll, Account, Query, StoreOptions, Tokens};
use crate::sync::transport::{Exchange, Response};
use crate::world::FixedWorld;

mod ahead;

const KIND: EntityKind = EntityKind::Finding;
const EPOCH: Uuid = Uuid::from_u128(5);
const SCOPE: Uuid = Uuid::from_u128(9);

/// One answer of the script.
enum Reply {
    Fails(Failure),
    /// The frames, cut into chunks of this many bytes.
    Sends(Answerer, usize),
    /// The start of the frames, and then nothing.
    Hangs(Answerer),
    /// The frames, when so many requests have come.
    After(Answerer, usize),
}

/// Answers a request, given the last change that the server has.
type Answerer = fn(&Hello, &[Push], Last) -> Vec<u8>;

/// The number of the last change that the server has, and the chain at it.
type Last = (u64, ChainHash);

/// What a request held.
type Asked = (Hello, Vec<Push>);

/// A server that follows a script.
#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    requests: Arc<Mutex<Vec<Asked>>>,
    refreshes: Mutex<VecDeque<bool>>,
    last: Mutex<Last>,
}

impl Script {
    fn of(replies: Vec<Reply>) -> Arc<Self> {
        Arc::new(Self { replies: Mutex::new(replies.into()), ..Self::default() })
    }
}

impl Transport for Script {
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Response, Failure>> {
        let (hello, pushes) = read_request(&exchange.body);
        let reply = self.replies.lock().pop_front();
        let last = *self.last.lock();
        let mut sent = pushes
            .iter()
            .filter_map(|push| Some((push.first_no.checked_sub(1)? + push.mutations.len() as u64, upto_hash(push))));
        *self.last.lock() = sent.next_back().unwrap_or(last);
        let reply = match reply {
            None => Ok(stream::pending().boxed()),
            Some(Reply::Fails(failure)) => Err(failure),
            Some(Reply::Sends(answer, chunk)) => Ok(chunks(&answer(&hello, &pushes, last), chunk).boxed()),
            Some(Reply::Hangs(answer)) => {
                Ok(chunks(&answer(&hello, &pushes, last), 1_000).chain(stream::pending()).boxed())
            }
            Some(Reply::After(answer, count)) => {
                let requests = Arc::clone(&self.requests);
                let come = async move { until(|| requests.lock().len() >= count).await };
                let frames = chunks(&answer(&hello, &pushes, last), 1_000);
                Ok(stream::once(come).filter_map(|()| std::future::ready(None)).chain(frames).boxed())
            }
        };
        self.requests.lock().push((hello, pushes));
        std::future::ready(reply).boxed()
    }
}

impl TokenKeeper for Script {
    fn refresh(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        std::future::ready(Ok(self.refreshes.lock().pop_front().unwrap_or(false))).boxed()
    }
}

fn chunks(bytes: &[u8], size: usize) -> impl futures::Stream<Item = Result<bytes::Bytes, Failure>> + Send + use<> {
    let chunks: Vec<_> = bytes.chunks(size).map(|chunk| Ok(bytes::Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks)
}

fn read_request(body: &[u8]) -> (Hello, Vec<Push>) {
    let mut reader = Reader::new(MAX_FRAME_BYTES);
    reader.push(body);
    let (mut hello, mut pushes) = (None, Vec::new());
    while let Some(frame) = reader.next_frame().unwrap() {
        match Message::read(&frame).unwrap() {
            Message::Hello(message) => hello = Some(message),
            Message::Push(push) => pushes.push(push),
            other => panic!("a request holds {other:?}"),
        }
    }
    (hello.unwrap(), pushes)
}

fn upto_hash(push: &Push) -> ChainHash {
    push.mutations.iter().fold(push.prev_hash, |hash, payload| hash.then(payload))
}

fn welcome(body: &mut Vec<u8>, (last_no, last_hash): Last) {
    let welcome = Welcome {
        protocol: PROTOCOL,
        now: Timestamp(0),
        user: UserId(Uuid::from_u128(1)),
        programme: Uuid::from_u128(2),
        epoch: EPOCH,
        head: 7,
        history: History::Same,
        last_no,
        last_hash,
        common: None,
        durable_seq: None,
        floor: None,
        earlier: Vec::new(),
    };
    Message::Welcome(welcome).write(body);
}

/// Applies every push as sent, sends three pages for a fresh device, and ends.
fn serve(hello: &Hello, pushes: &[Push], last: Last) -> Vec<u8> {
    let mut body = Vec::new();
    welcome(&mut body, last);
    pushes.iter().for_each(|push| result_of(push).write(&mut body));
    if hello.scope_count == 0 {
        Message::Scopes(Scopes { scopes: vec![SCOPE] }).write(&mut body);
    }
    let done = hello.behind.first().map_or(0, |(_, position)| position.seq);
    let is_fresh = hello.cursor.seq == 0;
    for page in (done + 1..=3).filter(|_| is_fresh) {
        let rows: Vec<_> = (0..100).map(|n| row(page, n)).collect();
        write_rows(&mut body, KIND, &rows);
        let behind = vec![(SCOPE, sync_protocol::cursor::Position::after(page))];
        Message::Checkpoint(Checkpoint { cursor: None, behind, rows_sent: page * 100, rows_expected: 300 })
            .write(&mut body);
    }
    let cursor = Some(Cursor { epoch: EPOCH, seq: 7, chain: ChainHash([1; 16]) });
    Message::Checkpoint(Checkpoint { cursor, behind: Vec::new(), rows_sent: 300, rows_expected: 300 }).write(&mut body);
    Message::End(End::default()).write(&mut body);
    body
}

fn result_of(push: &Push) -> Message {
    let upto_no = push.first_no + push.mutations.len() as u64 - 1;
    let commits = vec![Commit { first_no: push.first_no, last_no: upto_no, seq: 7, verbatim: true }];
    Message::PushResult(PushResult { upto_no, upto_hash: upto_hash(push), demand: None, commits, results: Vec::new() })
}

fn row(page: u64, n: u64) -> VersionedRow {
    let mut row = empty_row(KIND.def(), Uuid::from_u128(u128::from(page * 1_000 + n)));
    row.values[0] = Value::Uuid(SCOPE);
    VersionedRow { seq: page, row }
}

/// What [`serve`] sends, cut in the middle.
fn serve_half(hello: &Hello, pushes: &[Push], last: Last) -> Vec<u8> {
    let mut body = serve(hello, pushes, last);
    body.truncate(body.len() * 2 / 3);
    body
}

fn garbage(_: &Hello, _: &[Push], _: Last) -> Vec<u8> {
    b"<html><body>Welcome to the hotel</body></html>".to_vec()
}

fn store(folder: &Path) -> Arc<Store> {
    let store = Store::open(StoreOptions {
        folder: folder.to_owned(),
        keys: Arc::new(FixedKeyProvider([7; 32])),
        world: Arc::new(FixedWorld::at(Timestamp(1_711_966_205_120))),
        validator: Arc::new(AcceptAll),
        vfs: None,
        ballast_bytes: 0,
    })
    .unwrap();
    let token = || Zeroizing::new("token".to_owned());
    let account = Account { user: UserId(Uuid::from_u128(1)), programme: Uuid::from_u128(2) };
    store.set_account(account, &Tokens { access: token(), refresh: token() }).unwrap();
    Arc::new(store)
}

fn syncer(store: &Arc<Store>, script: &Arc<Script>) -> Syncer {
    Syncer::new(Arc::clone(store), script.clone(), script.clone(), "test/1", 25_000)
}

fn record(store: &Store, id: u128) {
    let mut row = empty_row(KIND.def(), Uuid::from_u128(id));
    row.values[0] = Value::Uuid(SCOPE);
    store.write(|batch| batch.put(KIND, row)).unwrap();
}

#[tokio::test]
async fn a_first_sync_pushes_and_fetches_everything() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    record(&store, 1);
    let script = Script::of(vec![Reply::Sends(serve, 13)]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let options = SyncOptions { watcher: Some(Arc::new(move |progress: Progress| log.lock().push(progress.rows))) };
    let report = syncer(&store, &script).sync_once(options).await.unwrap();
    assert!(report.complete);
    assert_eq!((report.pushed, report.applied, report.pulled_rows, report.requests), (1, 1, 300, 1));
    assert_eq!(store.count(KIND, &Query::new()).unwrap(), 301);
    assert_eq!(seen.lock()[..4], [100, 200, 300, 300]);
    assert!(store.status().unwrap().last_complete_at.is_some());
}

#[tokio::test]
async fn a_sync_that_broke_off_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    record(&store, 1);
    let script = Script::of(vec![Reply::Sends(serve_half, 50), Reply::Sends(serve, 50)]);
    let syncer = syncer(&store, &script);
    let broken = syncer.sync_once(SyncOptions::default()).await;
    assert!(matches!(broken, Err(Error::Network(_))), "{broken:?}");
    let report = syncer.sync_once(SyncOptions::default()).await.unwrap();
    assert!(report.complete && report.pushed == 0);
    assert!(report.pulled_rows > 0 && report.pulled_rows < 300, "everything was fetched again: {report:?}");
    assert_eq!(store.count(KIND, &Query::new()).unwrap(), 301);
}

#[tokio::test]
async fn a_sign_in_page_of_a_network_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    record(&store, 1);
    let script = Script::of(vec![Reply::Sends(garbage, 10)]);
    let outcome = syncer(&store, &script).sync_once(SyncOptions::default()).await;
    assert!(matches!(outcome, Err(Error::NotOurServer(_))), "{outcome:?}");
    assert_eq!(store.status().unwrap().pending, 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_sync_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    record(&store, 1);
    let script = Script::of(vec![Reply::Fails(Failure::Unauthorised), Reply::Sends(serve, 1_000)]);
    script.refreshes.lock().push_back(true);
    assert!(syncer(&store, &script).sync_once(SyncOptions::default()).await.unwrap().complete);

    record(&store, 2);
    let script = Script::of(vec![Reply::Fails(Failure::Unauthorised)]);
    let outcome = syncer(&store, &script).sync_once(SyncOptions::default()).await;
    assert!(matches!(outcome, Err(Error::NeedsSignIn)));
    assert_eq!(store.status().unwrap().pending, 1, "local work stopped");
}

#[tokio::test]
async fn a_sync_that_is_dropped_leaves_whole_pages() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let script = Script::of(vec![Reply::Hangs(serve_half), Reply::Sends(serve, 1_000)]);
    let syncer = syncer(&store, &script);
    let cut = tokio::time::timeout(Duration::from_millis(300), syncer.sync_once(SyncOptions::default())).await;
    assert!(cut.is_err());
    assert_eq!(store.count(KIND, &Query::new()).unwrap() % 100, 0);
    assert!(syncer.sync_once(SyncOptions::default()).await.unwrap().complete);
    assert_eq!(store.count(KIND, &Query::new()).unwrap(), 300);
}

#[tokio::test]
async fn a_connected_device_pushes_what_is_recorded_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    // A complete sync, a poll that waits, the push, and then only waiting.
    let replies = vec![Reply::Sends(serve, 1_000), Reply::Hangs(|_, _, _| Vec::new()), Reply::Sends(serve, 1_000)];
    let script = Script::of(replies);
    let syncer = Arc::new(syncer(&store, &script));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let connected = Arc::clone(&syncer);
    let task = tokio::spawn(async move {
        let cancel = async move { drop(stopped.await) };
        connected.run_connected(SyncOptions::default(), cancel, |_| {}).await
    });
    let polls = || script.requests.lock().iter().filter(|(hello, _)| hello.wait_ms > 0).count();
    until(|| polls() == 1).await;
    record(&store, 1);
    until(|| store.status().unwrap().pending == 0 && polls() == 2).await;
    let pushes = script.requests.lock().iter().map(|(_, pushes)| pushes.len()).collect::<Vec<_>>();
    assert_eq!(pushes, [0, 0, 1, 0]);
    drop(stop);
    task.await.unwrap().unwrap();
}

async fn until(holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within 5 s");
}

#[tokio::test]
async fn an_idle_request_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let script = Script::of(vec![Reply::Sends(serve, 1_000), Reply::Sends(serve, 1_000)]);
    let syncer = syncer(&store, &script);
    syncer.sync_once(SyncOptions::default()).await.unwrap();
    let idle = syncer.sync_once(SyncOptions::default()).await.unwrap();
    assert_eq!((idle.requests, idle.pulled_rows), (1, 0));
    assert!(idle.bytes_sent <= 350, "an idle request has {} bytes before the headers", idle.bytes_sent);
}
