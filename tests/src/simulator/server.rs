//! The server of the simulator: the real sessions, write path and rules on a store in memory.
//!
//! Real are the reader of requests, the session with its welcome, pushes and pages, the deduplication, the loading
//! and deciding of batches, and the operations of the office. In the place of Postgres stands [`MemoryStore`]; the
//! way there (HTTP, accounts) is the simulator's own.

pub mod memory;
pub mod state;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use bytes::Bytes;
use server::domain::feed::Feed;
use server::domain::office::{self, Reply, Request};
use server::domain::operation::Operation;
use server::domain::viewers::Viewers;
use server::ops::metrics::SyncSignals;
use server::store::{StoreError, SyncStore as _, WriteTx as _};
use server::sync::{Caller, Desk, Door, FrameLimits, Verification, parse};
use server::world::SharedWorld;
use sync_protocol::entity::{Entity, EntityKind};
use sync_protocol::frame::Reader;
use sync_protocol::id::DeviceId;
use sync_protocol::wire::Message;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::bug::Bug;

pub use memory::{CrashAt, Meanwhile, MemoryStore};
pub use state::{Seal, State, Touch};

/// More frames than any answer has, so that no answer waits for its reader.
const FRAMES: usize = 1 << 16;

/// Who sends, as a token would say.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The programme.
    pub programme: Uuid,
    /// The person.
    pub user: Uuid,
    /// The device.
    pub device: Uuid,
}

/// What happens during one request.
#[derive(Default)]
pub struct During {
    /// Where the process dies.
    pub crash: Option<CrashAt>,
    /// What others do right before the n-th snapshot of the request is opened.
    pub meanwhile: Option<(u32, Meanwhile)>,
}

/// What came back.
#[derive(Debug)]
pub enum Response {
    /// The frames, in the pieces in which they were sent.
    Frames(Vec<Bytes>),
    /// The request was refused with a status and a code.
    Refused(u16, String),
    /// The process died; what it had sent before may have arrived.
    Died(Vec<Bytes>),
}

impl Response {
    /// Returns the messages of an answer that came whole; anything else is a failure of the test.
    pub fn messages(self) -> Vec<Message> {
        let Self::Frames(chunks) = self else { panic!("{self:?}") };
        let mut reader = Reader::new(16 << 20);
        chunks.iter().for_each(|chunk| reader.push(chunk));
        let mut messages = Vec::new();
        while let Some(frame) = reader.next_frame().expect("the server sends frames") {
            messages.push(Message::read(&frame).expect("the server sends messages"));
        }
        messages
    }
}

/// A running server.
pub struct SimServer {
    store: MemoryStore,
    world: SharedWorld,
    limits: FrameLimits,
    page_rows: usize,
    desk: Arc<Desk<MemoryStore>>,
    bug: Option<Bug>,
}

impl SimServer {
    /// Starts a server with an empty store.
    pub fn new(world: SharedWorld, page_rows: usize) -> Self {
        Self::on(MemoryStore::default(), world, page_rows)
    }

    /// Starts another process on the same database: it may answer while this one is in the middle of a request.
    pub fn beside(&self) -> Self {
        Self::on(self.store.beside(), self.world.clone(), self.page_rows)
    }

    fn on(store: MemoryStore, world: SharedWorld, page_rows: usize) -> Self {
        let desk = desk(&store, &world, page_rows);
        let limits = FrameLimits { max_frame_bytes: 1 << 20, max_mutations: 2_000, max_bytes: 16 << 20 };
        Self { store, world, limits, page_rows, desk, bug: None }
    }

    /// Plants a mistake.
    pub fn plant(&mut self, bug: Option<Bug>) {
        self.bug = bug;
        self.store.plant(bug);
        self.restart();
    }

    /// Returns the store, to look into it.
    pub fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// Answers one request.
    pub fn exchange(&mut self, sender: Sender, body: &[u8], during: During) -> Response {
        let request = match parse(body, &self.limits) {
            Ok(parsed) => parsed,
            Err(refusal) => return Response::Refused(refusal.status.as_u16(), refusal.code.to_owned()),
        };
        if request.hello.device != DeviceId(sender.device) {
            return Response::Refused(403, "FORBIDDEN".to_owned());
        }
        self.store.begin(during.crash, during.meanwhile);
        if let Some(push) = request.pushes.first().filter(|_| self.bug == Some(Bug::RetryWithoutDedupe)) {
            self.store.forget((push.first_no.saturating_sub(1), push.prev_hash));
        }
        let (frames, mut received) = mpsc::channel(FRAMES);
        let caller = Caller { programme: sender.programme, user: sender.user, session: Uuid::nil() };
        let answer = self.desk.clone().answer(caller, request, frames);
        let _inside = helpers().enter();
        let is_done = run(answer, || self.store.is_dead()).is_some();
        let mut sent = Vec::new();
        while let Ok(bytes) = received.try_recv() {
            sent.push(bytes);
        }
        if is_done {
            return Response::Frames(sent);
        }
        self.restart();
        Response::Died(sent)
    }

    /// Starts the process anew: what it remembered is gone, what it committed is there.
    pub fn restart(&mut self) {
        self.desk = desk(&self.store, &self.world, self.page_rows);
    }

    /// Returns the state as a backup.
    pub fn backup(&self) -> State {
        (*self.store.state()).clone()
    }

    /// Restores a backup: every programme starts another history above what was ever told. The newest mark of what
    /// both have in common is so many commits older than the backup.
    pub fn restore(&mut self, mut backup: State, marks_ago: usize) {
        let lost = self.store.state();
        backup.draw_after(&lost);
        for (programme, head) in &lost.heads {
            backup.start_epoch(*programme, head, marks_ago);
        }
        self.store.replace(backup);
        self.restart();
    }

    /// Carries out an operation of the office.
    pub fn office(
        &mut self,
        programme: Uuid,
        user: Uuid,
        mutation_id: Uuid,
        operation: Operation,
    ) -> Result<Reply, StoreError> {
        self.store.begin(None, None);
        let (store, now) = (self.store.clone(), self.world.now());
        let work = async move {
            let mut tx = store.write_tx().await?;
            let Some(viewer) = tx.viewer(programme, user).await? else { return Ok(Reply::NotPermitted) };
            let request = Request { viewer: &viewer, now, mutation_id, expected_version: None, operation };
            let reply = office::perform(&mut tx, &request).await?;
            if matches!(reply, Reply::Done(_)) {
                tx.commit().await?;
            } else {
                tx.rollback().await?;
            }
            Ok(reply)
        };
        run(work, || false).expect("nothing dies")
    }

    /// Writes rows as an import does.
    pub fn import<T: Entity>(&mut self, programme: Uuid, entities: &[T]) -> u64 {
        let rows = entities.iter().map(|entity| Touch::Put(T::DEF.kind, entity.to_row()));
        self.store.change(|state| state.commit(programme, rows.collect(), Seal::default()))
    }

    /// Deletes a row as a person with access to the database does.
    pub fn delete(&mut self, programme: Uuid, kind: EntityKind, id: Uuid) -> u64 {
        self.store.change(|state| state.commit(programme, vec![Touch::Delete(kind, id)], Seal::default()))
    }
}

/// The threads that decode pushes, shared by all servers.
fn helpers() -> &'static Runtime {
    static HELPERS: OnceLock<Runtime> = OnceLock::new();
    HELPERS.get_or_init(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made"))
}

fn desk(store: &MemoryStore, world: &SharedWorld, page_rows: usize) -> Arc<Desk<MemoryStore>> {
    let signals = Arc::new(SyncSignals::default());
    Arc::new(Desk {
        store: store.clone(),
        world: world.clone(),
        viewers: Viewers::default(),
        feed: Arc::new(Feed::default()),
        verification: Verification::default(),
        page_rows,
        door: Door::new(1, 64, Duration::from_secs(10), world.clone(), signals.clone()),
        fleet: Arc::default(),
        signals,
        stopping: CancellationToken::new(),
    })
}

/// Runs a future to its end on this thread, `None` when the process dies first. May be used within itself.
fn run<T>(work: impl Future<Output = T>, is_dead: impl Fn() -> bool) -> Option<T> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut work = pin!(work);
    loop {
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return Some(value),
            Poll::Pending if is_dead() => return None,
            // Only the decoding of pushes happens elsewhere.
            Poll::Pending => std::thread::park_timeout(Duration::from_millis(100)),
        }
    }
}
