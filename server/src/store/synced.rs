//! What the write path and a sync need of a store.
//!
//! Postgres is one such store. The simulator of the tests brings another one, in memory, so that the code which
//! decides what becomes of a person's work runs there as it runs here.

use std::future::Future;

use sync_protocol::cursor::{Cursor, Fork, Position};
use sync_protocol::digest::Version;
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::{ChainHash, Mutation};
use sync_protocol::rows::VersionedRow;
use sync_protocol::time::Date;
use uuid::Uuid;

use super::StoreError;
use super::log::{self, Bounds, Entry, Own, ProgrammeSnapshot};
use super::mutations::{self, HeldMutation, MutationRecord, Outbox, PastResult};
use super::row_history::{self, Committed, Grave};
use super::rows::{self, StoredRow};
use super::{Db, Tx, accounts, epochs, erasing, office, query};
use crate::domain::viewer::Viewer;

/// An answer of a store.
type Answer<T> = Result<T, StoreError>;

/// A store of synced rows with a commit-ordered log.
pub trait SyncStore: Send + Sync + 'static {
    /// A transaction that writes.
    type Write: WriteTx;
    /// One consistent view of a programme.
    type Snapshot: LogSnapshot;

    /// Starts a transaction that writes.
    fn write_tx(&self) -> impl Future<Output = Answer<Self::Write>> + Send;
    /// Opens a view of a programme.
    fn snapshot(&self, programme: Uuid) -> impl Future<Output = Answer<Self::Snapshot>> + Send;
    /// Returns whether the device and the account of a session may still talk to the server.
    fn is_session_open(&self, session: Uuid) -> impl Future<Output = Answer<bool>> + Send;
    /// Reads the head of a programme; outside a snapshot it only says whether there is news.
    fn head_of(&self, programme: Uuid) -> impl Future<Output = Answer<Cursor>> + Send;
}

/// A transaction of the write path. Dropped without a commit, it leaves nothing behind.
pub trait WriteTx: Send + Sized {
    /// Locks the state of an outbox, so that one device pushes at a time, and returns its last number and hash.
    fn lock_outbox(&mut self, outbox: &Outbox) -> impl Future<Output = Answer<(u64, ChainHash)>> + Send;
    /// Moves the state of an outbox that this transaction holds locked.
    fn advance_outbox(&mut self, outbox: &Outbox, no: u64, hash: ChainHash) -> impl Future<Output = Answer<()>> + Send;
    /// Returns the results of mutations `first..=last` that were received before.
    fn past_results(
        &mut self,
        outbox: &Outbox,
        first: u64,
        last: u64,
    ) -> impl Future<Output = Answer<Vec<PastResult>>> + Send;
    /// Returns a user with every grant, `None` for one who may not sign in.
    fn viewer(&mut self, programme: Uuid, user: Uuid) -> impl Future<Output = Answer<Option<Viewer>>> + Send;
    /// Locks rows until the transaction ends, in the order of their identifiers, and reads them.
    fn load_for_update(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        ids: &[Uuid],
    ) -> impl Future<Output = Answer<Vec<StoredRow>>> + Send;
    /// Reads rows without locking them.
    fn read(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        ids: &[Uuid],
    ) -> impl Future<Output = Answer<Vec<Row>>> + Send;
    /// Returns which of the identifiers are rows of the kind.
    fn existing(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        ids: &[Uuid],
    ) -> impl Future<Output = Answer<Vec<Uuid>>> + Send;
    /// Returns the rows of a kind whose field `field` is one of `parents`.
    fn children(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        field: &'static str,
        parents: &[Uuid],
    ) -> impl Future<Output = Answer<Vec<Row>>> + Send;
    /// Makes who registers something in one of the scopes wait for others that do, until the transaction ends: of two
    /// that register the same at once, the second one then sees the first.
    fn lock_scopes(&mut self, programme: Uuid, scopes: &[Uuid]) -> impl Future<Output = Answer<()>> + Send;
    /// Returns what happened to rows after the numbers that a sender had seen of them. `earlier` are incarnations of
    /// which the sender knows the numbers up to one.
    fn changes_since(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        bases: &[(Uuid, u64)],
        earlier: &[(Uuid, u64)],
    ) -> impl Future<Output = Answer<Vec<Committed>>> + Send;
    /// Returns where histories of a programme were left, because the database was restored.
    fn forks(&mut self, programme: Uuid) -> impl Future<Output = Answer<Vec<Fork>>> + Send;
    /// Returns which of the rows were deleted, as they were.
    fn graves(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        ids: &[Uuid],
    ) -> impl Future<Output = Answer<Vec<Grave>>> + Send;
    /// Returns the changes by which devices would have created rows and which were refused.
    fn refused_creations(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        ids: &[Uuid],
    ) -> impl Future<Output = Answer<Vec<Mutation>>> + Send;
    /// Returns every change of a kind that was refused, as far as it is still kept what it said.
    fn refused(&mut self, programme: Uuid, kind: EntityKind) -> impl Future<Output = Answer<Vec<Mutation>>> + Send;
    /// Returns the mutations that wait for one of the rows, oldest first, and locks them.
    fn held_for(&mut self, programme: Uuid, rows: &[Uuid]) -> impl Future<Output = Answer<Vec<HeldMutation>>> + Send;
    /// Returns the mutations of an outbox with numbers `first..=last` that are held, in order, and locks them.
    fn held_between(
        &mut self,
        outbox: &Outbox,
        first: u64,
        last: u64,
    ) -> impl Future<Output = Answer<Vec<HeldMutation>>> + Send;
    /// Returns what was changed of the row of a held mutation since, from the same outbox; `None` for a creation of it,
    /// of which only the row tells.
    fn later_changes(
        &mut self,
        held: &HeldMutation,
        kind: EntityKind,
        row: Uuid,
    ) -> impl Future<Output = Answer<Vec<Option<Mutation>>>> + Send;
    /// Returns every reporting period, oldest first, when one of them overlaps the days `from..=until`, none
    /// otherwise, and keeps those that do from being locked until the transaction ends.
    fn periods(&mut self, programme: Uuid, from: Date, until: Date) -> impl Future<Output = Answer<Vec<Row>>> + Send;
    /// Returns the row that the first change of an operation was about, `None` when there was no such operation.
    fn target_of(&mut self, outbox: &Outbox) -> impl Future<Output = Answer<Option<(EntityKind, Uuid)>>> + Send;

    /// Creates rows. Fails with a constraint error when one exists.
    fn insert(&mut self, programme: Uuid, kind: EntityKind, rows: &[&Row]) -> impl Future<Output = Answer<()>> + Send;
    /// Replaces all fields of rows that are locked by this transaction.
    fn update(&mut self, programme: Uuid, kind: EntityKind, rows: &[&Row]) -> impl Future<Output = Answer<()>> + Send;
    /// Deletes rows. Their place in the log stays, as a tombstone without content.
    fn delete(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> impl Future<Output = Answer<()>> + Send;
    /// Keeps mutations with their results.
    fn record(&mut self, outbox: &Outbox, records: &[MutationRecord]) -> impl Future<Output = Answer<()>> + Send;
    /// Notes that a mutation that was held has now another outcome, in the commit `seq`.
    fn settle_held(
        &mut self,
        held: &HeldMutation,
        outcome: char,
        result: Option<String>,
        seq: u64,
    ) -> impl Future<Output = Answer<()>> + Send;
    /// Forgets what rows that this transaction deletes said before, and what was sent about them. After the number was
    /// taken: what the deletion itself left in the log goes, too.
    fn purge(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> impl Future<Output = Answer<()>> + Send;
    /// Gives the rows of this transaction their number and returns it; 0 when no row changed.
    fn seal(
        &mut self,
        outbox: &Outbox,
        actor: Uuid,
        numbers: Option<(u64, u64)>,
        verbatim: bool,
    ) -> impl Future<Output = Answer<u64>> + Send;

    /// Makes everything durable and visible at once.
    fn commit(self) -> impl Future<Output = Answer<()>> + Send;
    /// Undoes everything.
    fn rollback(self) -> impl Future<Output = Answer<()>> + Send;
}

/// One consistent view of the log of a programme and of its rows.
pub trait LogSnapshot: Send + Sized {
    /// Returns the newest number, with its epoch and chain.
    fn head(&self) -> Cursor;
    /// Returns the entries of scopes after their own positions, oldest first, at most `limit`.
    ///
    /// Entries that `own` committed verbatim are left out: that device shows them already. So are exits to
    /// another of the `held` scopes: the row itself comes, and an exit after it would drop it again.
    fn entries(
        &mut self,
        lanes: &[(Uuid, Position)],
        held: &[Uuid],
        own: Option<Own>,
        limit: usize,
    ) -> impl Future<Output = Answer<Vec<Entry>>> + Send;
    /// Returns how many rows the scopes hold after their positions, for a progress bar.
    fn count(&mut self, lanes: &[(Uuid, Position)]) -> impl Future<Output = Answer<u64>> + Send;
    /// Returns the rows of entries of one kind, in the same order.
    fn rows(
        &mut self,
        kind: EntityKind,
        entries: &[(Uuid, u64)],
    ) -> impl Future<Output = Answer<Vec<VersionedRow>>> + Send;
    /// Returns whether a cursor belongs to this history.
    fn knows(&mut self, cursor: &Cursor) -> impl Future<Output = Answer<bool>> + Send;
    /// Returns up to where a cursor of another history has the same one, `None` when that is not known.
    fn common_with(&mut self, cursor: &Cursor) -> impl Future<Output = Answer<Option<Cursor>>> + Send;
    /// Returns what is no longer kept, and what is kept for good.
    fn bounds(&self) -> Bounds;
    /// Returns a number of each scope that changes whenever its rows do; scopes of which none is known are left out.
    fn scope_heads(&mut self, _scopes: &[Uuid]) -> impl Future<Output = Answer<Vec<(Uuid, u64)>>> + Send {
        async { Ok(Vec::new()) }
    }
    /// Returns every live row of a scope with its version.
    fn versions(&mut self, scope: Uuid) -> impl Future<Output = Answer<Vec<Version>>> + Send {
        async move {
            let entries = self.entries(&[(scope, Position::default())], &[], None, u32::MAX as usize).await?;
            let live = entries.iter().filter(|entry| entry.gone.is_none()).map(|entry| entry.position);
            Ok(live.map(|Position { seq, kind, row_id }| Version { kind, row_id, seq }).collect())
        }
    }
    /// Returns those of the wanted rows that live in one of the scopes, with their scope.
    fn standing(
        &mut self,
        scopes: &[Uuid],
        wanted: &[(u16, Uuid)],
    ) -> impl Future<Output = Answer<Vec<(Version, Uuid)>>> + Send {
        async move {
            let mut found = Vec::new();
            for scope in scopes {
                let versions = self.versions(*scope).await?;
                let asked = versions.into_iter().filter(|version| wanted.contains(&(version.kind, version.row_id)));
                found.extend(asked.map(|version| (version, *scope)));
            }
            Ok(found)
        }
    }
    /// Reads the state of an outbox: its last number and hash.
    fn outbox_state(&mut self, outbox: &Outbox) -> impl Future<Output = Answer<(u64, ChainHash)>> + Send;
    /// Returns a user with every grant, `None` for one who may not sign in.
    fn viewer(&mut self, programme: Uuid, user: Uuid) -> impl Future<Output = Answer<Option<Viewer>>> + Send;
    /// Ends the view.
    fn close(self) -> impl Future<Output = Answer<()>> + Send;
}

impl SyncStore for Db {
    type Write = Tx;
    type Snapshot = ProgrammeSnapshot;

    async fn write_tx(&self) -> Answer<Tx> {
        self.conn().await?.write_tx().await
    }

    async fn snapshot(&self, programme: Uuid) -> Answer<ProgrammeSnapshot> {
        ProgrammeSnapshot::open(self, programme).await
    }

    async fn is_session_open(&self, session: Uuid) -> Answer<bool> {
        accounts::session::is_open(&mut self.conn().await?, session).await
    }

    async fn head_of(&self, programme: Uuid) -> Answer<Cursor> {
        log::head_of(&mut self.conn().await?, programme).await
    }
}

impl WriteTx for Tx {
    async fn lock_outbox(&mut self, outbox: &Outbox) -> Answer<(u64, ChainHash)> {
        mutations::lock_outbox(self, outbox).await
    }

    async fn advance_outbox(&mut self, outbox: &Outbox, no: u64, hash: ChainHash) -> Answer<()> {
        mutations::advance_outbox(self, outbox, no, hash).await
    }

    async fn past_results(&mut self, outbox: &Outbox, first: u64, last: u64) -> Answer<Vec<PastResult>> {
        mutations::past_results(self, outbox, first, last).await
    }

    async fn viewer(&mut self, programme: Uuid, user: Uuid) -> Answer<Option<Viewer>> {
        query::load_viewer(self, programme, user).await
    }

    async fn load_for_update(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<StoredRow>> {
        rows::load_for_update(self, programme, kind, ids).await
    }

    async fn read(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<Row>> {
        let wanted: Vec<(Uuid, u64)> = ids.iter().map(|id| (*id, 0)).collect();
        let found = rows::read_page(self, programme, kind, &wanted).await?;
        Ok(found.into_iter().map(|found| found.row).collect())
    }

    async fn existing(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<Uuid>> {
        rows::existing(self, programme, kind, ids).await
    }

    async fn children(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        field: &'static str,
        parents: &[Uuid],
    ) -> Answer<Vec<Row>> {
        rows::children(self, programme, kind, field, parents).await
    }

    async fn lock_scopes(&mut self, programme: Uuid, scopes: &[Uuid]) -> Answer<()> {
        rows::lock_scopes(self, programme, scopes).await
    }

    async fn changes_since(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        bases: &[(Uuid, u64)],
        earlier: &[(Uuid, u64)],
    ) -> Answer<Vec<Committed>> {
        row_history::changes_since(self, programme, kind, bases, earlier).await
    }

    async fn forks(&mut self, programme: Uuid) -> Answer<Vec<Fork>> {
        epochs::forks(self, programme).await
    }

    async fn graves(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<Grave>> {
        row_history::graves(self, programme, kind, ids).await
    }

    async fn refused_creations(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<Mutation>> {
        mutations::refused_creations(self, programme, kind, ids).await
    }

    async fn refused(&mut self, programme: Uuid, kind: EntityKind) -> Answer<Vec<Mutation>> {
        mutations::refused(self, programme, kind).await
    }

    async fn held_for(&mut self, programme: Uuid, rows: &[Uuid]) -> Answer<Vec<HeldMutation>> {
        mutations::held_for(self, programme, rows).await
    }

    async fn held_between(&mut self, outbox: &Outbox, first: u64, last: u64) -> Answer<Vec<HeldMutation>> {
        mutations::held_between(self, outbox, first, last).await
    }

    async fn later_changes(
        &mut self,
        held: &HeldMutation,
        kind: EntityKind,
        row: Uuid,
    ) -> Answer<Vec<Option<Mutation>>> {
        mutations::later_changes(self, held, kind, row).await
    }

    async fn periods(&mut self, programme: Uuid, from: Date, until: Date) -> Answer<Vec<Row>> {
        rows::periods(self, programme, from, until).await
    }

    async fn target_of(&mut self, outbox: &Outbox) -> Answer<Option<(EntityKind, Uuid)>> {
        office::target_of(self, outbox).await
    }

    async fn insert(&mut self, programme: Uuid, kind: EntityKind, rows: &[&Row]) -> Answer<()> {
        rows::insert(self, programme, kind, rows).await
    }

    async fn update(&mut self, programme: Uuid, kind: EntityKind, rows: &[&Row]) -> Answer<()> {
        rows::update(self, programme, kind, rows).await
    }

    async fn delete(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<()> {
        rows::delete(self, programme, kind, ids).await
    }

    async fn record(&mut self, outbox: &Outbox, records: &[MutationRecord]) -> Answer<()> {
        mutations::record(self, outbox, records).await
    }

    async fn settle_held(
        &mut self,
        held: &HeldMutation,
        outcome: char,
        result: Option<String>,
        seq: u64,
    ) -> Answer<()> {
        mutations::settle_held(self, held, outcome, result, seq).await
    }

    async fn purge(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<()> {
        erasing::purge(self, programme, kind, ids).await
    }

    async fn seal(&mut self, outbox: &Outbox, actor: Uuid, numbers: Option<(u64, u64)>, verbatim: bool) -> Answer<u64> {
        mutations::seal(self, outbox, actor, numbers, verbatim).await
    }

    async fn commit(self) -> Answer<()> {
        Tx::commit(self).await.map(drop)
    }

    async fn rollback(self) -> Answer<()> {
        Tx::rollback(self).await.map(drop)
    }
}

impl LogSnapshot for ProgrammeSnapshot {
    fn head(&self) -> Cursor {
        Self::head(self)
    }

    async fn entries(
        &mut self,
        lanes: &[(Uuid, Position)],
        held: &[Uuid],
        own: Option<Own>,
        limit: usize,
    ) -> Answer<Vec<Entry>> {
        Self::entries(self, lanes, held, own, limit).await
    }

    async fn count(&mut self, lanes: &[(Uuid, Position)]) -> Answer<u64> {
        Self::count(self, lanes).await
    }

    async fn rows(&mut self, kind: EntityKind, entries: &[(Uuid, u64)]) -> Answer<Vec<VersionedRow>> {
        Self::rows(self, kind, entries).await
    }

    async fn knows(&mut self, cursor: &Cursor) -> Answer<bool> {
        Self::knows(self, cursor).await
    }

    async fn common_with(&mut self, cursor: &Cursor) -> Answer<Option<Cursor>> {
        Self::common_with(self, cursor).await
    }

    fn bounds(&self) -> Bounds {
        Self::bounds(self)
    }

    async fn scope_heads(&mut self, scopes: &[Uuid]) -> Answer<Vec<(Uuid, u64)>> {
        Self::scope_heads(self, scopes).await
    }

    async fn versions(&mut self, scope: Uuid) -> Answer<Vec<Version>> {
        Self::versions(self, scope).await
    }

    async fn standing(&mut self, scopes: &[Uuid], wanted: &[(u16, Uuid)]) -> Answer<Vec<(Version, Uuid)>> {
        Self::standing(self, scopes, wanted).await
    }

    async fn outbox_state(&mut self, outbox: &Outbox) -> Answer<(u64, ChainHash)> {
        mutations::outbox_state(self.conn(), outbox).await
    }

    async fn viewer(&mut self, programme: Uuid, user: Uuid) -> Answer<Option<Viewer>> {
        query::load_viewer(self.conn(), programme, user).await
    }

    async fn close(self) -> Answer<()> {
        Self::close(self).await.map(drop)
    }
}
