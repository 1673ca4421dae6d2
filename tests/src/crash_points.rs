//! Named points at which a push can be stopped: before and after every step that it takes in its store.
//!
//! The steps are the methods of [`WriteTx`]: a new one does not compile here until it has its points. Nothing of this
//! is in the server; the code of a push runs on a [`Stepped`] store as it runs on any other.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use server::domain::viewer::Viewer;
use server::domain::viewers::Viewers;
use server::ops::metrics::SyncSignals;
use server::store::mutations::{HeldMutation, MutationRecord, Outbox, PastResult};
use server::store::row_history::{Committed, Grave};
use server::store::rows::StoredRow;
use server::store::{StoreError, SyncStore, WriteTx};
use server::sync::{Caller, Desk, Door, FrameLimits, Verification, parse};
use server::world::{SharedWorld, SystemWorld};
use sync_protocol::cursor::{Cursor, Fork};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::{ChainHash, Mutation};
use sync_protocol::time::Date;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A point of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Before the step of this name.
    Before(&'static str),
    /// After it.
    After(&'static str),
}

/// Is told of every point. What it returns as an error is what the store fails with.
pub trait Hook: Clone + Send + Sync + 'static {
    /// A push is at a point. It goes on when the future is done.
    fn at(&self, point: Point) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A store whose pushes stop at points.
#[derive(Clone, Debug)]
pub struct Stepped<S, H> {
    /// The store below.
    pub store: S,
    /// Who is told.
    pub hook: H,
}

/// A transaction of such a store.
pub struct SteppedTx<T, H> {
    tx: T,
    hook: H,
}

impl<S: SyncStore, H: Hook> SyncStore for Stepped<S, H> {
    type Write = SteppedTx<S::Write, H>;
    type Snapshot = S::Snapshot;

    async fn write_tx(&self) -> Result<Self::Write, StoreError> {
        self.hook.at(Point::Before("write_tx")).await?;
        let tx = SteppedTx { tx: self.store.write_tx().await?, hook: self.hook.clone() };
        self.hook.at(Point::After("write_tx")).await?;
        Ok(tx)
    }

    async fn snapshot(&self, programme: Uuid) -> Result<Self::Snapshot, StoreError> {
        self.store.snapshot(programme).await
    }

    async fn is_session_open(&self, session: Uuid) -> Result<bool, StoreError> {
        self.store.is_session_open(session).await
    }

    async fn head_of(&self, programme: Uuid) -> Result<Cursor, StoreError> {
        self.store.head_of(programme).await
    }
}

/// Puts a point before and one after every step.
macro_rules! steps {
    ($($step:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// The names of all steps.
        pub const STEPS: &[&str] = &["write_tx", $(stringify!($step),)* "commit", "rollback"];

        impl<T: WriteTx, H: Hook> WriteTx for SteppedTx<T, H> {
            $(async fn $step(&mut self, $($name: $type),*) -> Result<$answer, StoreError> {
                self.hook.at(Point::Before(stringify!($step))).await?;
                let answer = self.tx.$step($($name),*).await?;
                self.hook.at(Point::After(stringify!($step))).await?;
                Ok(answer)
            })*

            async fn commit(self) -> Result<(), StoreError> {
                self.hook.at(Point::Before("commit")).await?;
                self.tx.commit().await?;
                self.hook.at(Point::After("commit")).await
            }

            async fn rollback(self) -> Result<(), StoreError> {
                self.hook.at(Point::Before("rollback")).await?;
                self.tx.rollback().await?;
                self.hook.at(Point::After("rollback")).await
            }
        }
    };
}

steps! {
    lock_outbox(outbox: &Outbox) -> (u64, ChainHash);
    advance_outbox(outbox: &Outbox, no: u64, hash: ChainHash) -> ();
    past_results(outbox: &Outbox, first: u64, last: u64) -> Vec<PastResult>;
    viewer(programme: Uuid, user: Uuid) -> Option<Viewer>;
    load_for_update(programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Vec<StoredRow>;
    read(programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Vec<Row>;
    existing(programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Vec<Uuid>;
    children(programme: Uuid, kind: EntityKind, field: &'static str, parents: &[Uuid]) -> Vec<Row>;
    lock_scopes(programme: Uuid, scopes: &[Uuid]) -> ();
    changes_since(programme: Uuid, kind: EntityKind, bases: &[(Uuid, u64)], earlier: &[(Uuid, u64)]) -> Vec<Committed>;
    forks(programme: Uuid) -> Vec<Fork>;
    graves(programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Vec<Grave>;
    refused_creations(programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Vec<Mutation>;
    refused(programme: Uuid, kind: EntityKind) -> Vec<Mutation>;
    held_for(programme: Uuid, rows: &[Uuid]) -> Vec<HeldMutation>;
    held_between(outbox: &Outbox, first: u64, last: u64) -> Vec<HeldMutation>;
    later_changes(held: &HeldMutation, kind: EntityKind, row: Uuid) -> Vec<Option<Mutation>>;
    periods(programme: Uuid, from: Date, until: Date) -> Vec<Row>;
    target_of(outbox: &Outbox) -> Option<(EntityKind, Uuid)>;
    insert(programme: Uuid, kind: EntityKind, rows: &[&Row]) -> ();
    update(programme: Uuid, kind: EntityKind, rows: &[&Row]) -> ();
    delete(programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> ();
    record(outbox: &Outbox, records: &[MutationRecord]) -> ();
    settle_held(held: &HeldMutation, outcome: char, result: Option<String>, seq: u64) -> ();
    purge(programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> ();
    seal(outbox: &Outbox, actor: Uuid, numbers: Option<(u64, u64)>, verbatim: bool) -> u64;
}

/// Answers one request on a store, as the sync door does, and returns the frames that were sent before it ended.
pub async fn answer<S: SyncStore>(store: S, caller: Caller, body: &[u8]) -> Vec<u8> {
    let signals = Arc::new(SyncSignals::default());
    let world: SharedWorld = Arc::new(SystemWorld);
    let desk = Arc::new(Desk {
        store,
        world: world.clone(),
        viewers: Viewers::default(),
        feed: Arc::default(),
        verification: Verification::default(),
        page_rows: 2_000,
        door: Door::new(1, 64, Duration::from_secs(10), world, signals.clone()),
        fleet: Arc::default(),
        signals,
        stopping: CancellationToken::new(),
    });
    let limits = FrameLimits { max_frame_bytes: 1 << 20, max_mutations: 2_000, max_bytes: 16 << 20 };
    let request = parse(body, &limits).expect("the request is sound");
    let (sender, mut receiver) = mpsc::channel::<Bytes>(64);
    let mut sent = Vec::new();
    let received = async {
        while let Some(bytes) = receiver.recv().await {
            sent.extend_from_slice(&bytes);
        }
    };
    tokio::join!(desk.answer(caller, request, sender), received);
    sent
}
