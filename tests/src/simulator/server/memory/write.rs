//! A transaction of the simulated server.

use std::collections::BTreeMap;
use std::sync::Arc;

use server::domain::viewer::Viewer;
use server::store::mutations::{HeldMutation, MutationRecord, Outbox, PastResult};
use server::store::row_history::{Committed, Grave};
use server::store::rows::StoredRow;
use server::store::{StoreError, WriteTx};
use sync_protocol::code::{ErasableKind, HeldState};
use sync_protocol::cursor::Fork;
use sync_protocol::entity::{Entity as _, EntityKind, Erasure, HeldItem, ReportingPeriod, Row};
use sync_protocol::mutation::{ChainHash, Mutation, Op};
use sync_protocol::time::Date;
use uuid::Uuid;

use super::read::{held_mutation, rows_of, viewer_of};
use super::{Answer, MemoryStore, lock};
use crate::simulator::bug::Bug;
use crate::simulator::server::state::{Kept, Key, OutboxKey, Seal, State, Touch, is_written, outbox_key};

/// A transaction: it reads what was there when it began, and writes everything at its commit.
pub struct MemoryTx {
    state: Arc<State>,
    store: MemoryStore,
    programme: Uuid,
    seal: Seal,
    work: Work,
}

/// What a transaction will do.
#[derive(Default)]
struct Work {
    touches: Vec<Touch>,
    outboxes: BTreeMap<OutboxKey, (u64, ChainHash)>,
    records: Vec<(OutboxKey, MutationRecord)>,
    settled: Vec<(OutboxKey, u64, char, Option<String>, u64)>,
    purged: Vec<Key>,
}

impl MemoryTx {
    pub(super) fn new(state: Arc<State>, store: MemoryStore) -> Self {
        Self { state, store, programme: Uuid::nil(), seal: Seal::default(), work: Work::default() }
    }

    fn row(&self, programme: Uuid, kind: EntityKind, id: Uuid) -> Option<&Row> {
        self.state.rows.get(&(programme, kind, id))
    }

    fn is_change(&self, touch: &Touch) -> bool {
        match touch {
            Touch::Put(kind, row) => self.row(self.programme, *kind, row.id) != Some(row),
            Touch::Delete(kind, id) => self.row(self.programme, *kind, *id).is_some(),
        }
    }
}

impl WriteTx for MemoryTx {
    async fn lock_outbox(&mut self, outbox: &Outbox) -> Answer<(u64, ChainHash)> {
        self.store.call().await;
        let known = self.state.outboxes.get(&outbox_key(outbox)).copied().unwrap_or((0, ChainHash::START));
        let forgotten = lock(&self.store.process).continues.take();
        Ok(forgotten.filter(|forgotten| forgotten.0 < known.0).unwrap_or(known))
    }

    async fn advance_outbox(&mut self, outbox: &Outbox, no: u64, hash: ChainHash) -> Answer<()> {
        self.store.call().await;
        self.work.outboxes.insert(outbox_key(outbox), (no, hash));
        Ok(())
    }

    async fn past_results(&mut self, outbox: &Outbox, first: u64, last: u64) -> Answer<Vec<PastResult>> {
        self.store.call().await;
        let key = outbox_key(outbox);
        let kept = self.state.mutations.range((key, first)..=(key, last));
        Ok(kept
            .map(|((_, no), kept)| {
                let sealed = self.state.seal_of(&key, *no);
                PastResult {
                    no: *no,
                    hash: kept.record.hash,
                    result: kept.record.result.clone(),
                    seq: kept.applied_seq.or(sealed.map(|(seq, _)| seq)).unwrap_or(0),
                    verbatim: sealed.is_some_and(|(_, seal)| seal.is_verbatim),
                }
            })
            .collect())
    }

    async fn viewer(&mut self, programme: Uuid, user: Uuid) -> Answer<Option<Viewer>> {
        self.store.call().await;
        Ok(viewer_of(&self.state, programme, user))
    }

    async fn load_for_update(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<StoredRow>> {
        self.store.call().await;
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let seq_of = |id| self.state.places.get(&(programme, kind, id)).map_or(0, |place| place.seq);
        let found = ids.into_iter().filter_map(|id| self.row(programme, kind, id).map(|row| (id, row.clone())));
        Ok(found.map(|(id, row)| StoredRow { row, seq: seq_of(id) }).collect())
    }

    async fn read(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<Row>> {
        self.store.call().await;
        Ok(ids.iter().filter_map(|id| self.row(programme, kind, *id).cloned()).collect())
    }

    async fn existing(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<Uuid>> {
        self.store.call().await;
        Ok(ids.iter().copied().filter(|id| self.row(programme, kind, *id).is_some()).collect())
    }

    async fn children(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        field: &'static str,
        parents: &[Uuid],
    ) -> Answer<Vec<Row>> {
        self.store.call().await;
        if self.store.bug == Some(Bug::AliasLost) && field == "alias_id" {
            return Ok(Vec::new());
        }
        let rows = rows_of(&self.state, programme, kind);
        let is_child = |row: &&Row| row.get(kind.def(), field).as_uuid().is_some_and(|id| parents.contains(&id));
        Ok(rows.filter(is_child).cloned().collect())
    }

    /// One transaction runs at a time.
    async fn lock_scopes(&mut self, _programme: Uuid, _scopes: &[Uuid]) -> Answer<()> {
        self.store.call().await;
        Ok(())
    }

    async fn changes_since(
        &mut self,
        programme: Uuid,
        kind: EntityKind,
        bases: &[(Uuid, u64)],
        earlier: &[(Uuid, u64)],
    ) -> Answer<Vec<Committed>> {
        self.store.call().await;
        if self.store.bug == Some(Bug::LastWriterByClock) {
            return Ok(Vec::new());
        }
        let changes =
            bases.iter().flat_map(|(id, base)| self.state.changes_since((programme, kind, *id), *base, earlier));
        let mut changes: Vec<Committed> = changes.collect();
        changes.sort_by_key(|(change, _)| change.seq);
        Ok(changes)
    }

    async fn forks(&mut self, programme: Uuid) -> Answer<Vec<Fork>> {
        self.store.call().await;
        Ok(self.state.forks_of(programme).to_vec())
    }

    async fn graves(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<Grave>> {
        self.store.call().await;
        Ok(ids.iter().filter_map(|id| self.state.graves.get(&(programme, kind, *id)).cloned()).collect())
    }

    async fn refused_creations(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<Vec<Mutation>> {
        let refused = self.refused(programme, kind).await?.into_iter();
        Ok(refused.filter(|mutation| mutation.op == Op::Put && ids.contains(&mutation.row_id)).collect())
    }

    async fn refused(&mut self, programme: Uuid, kind: EntityKind) -> Answer<Vec<Mutation>> {
        self.store.call().await;
        let kept = self.state.mutations.iter().filter(|((outbox, _), _)| outbox.0 == programme);
        let refused =
            kept.map(|(_, kept)| &kept.record).filter(|record| record.outcome == 'R' && record.kind == kind.number());
        Ok(refused.filter_map(|record| Mutation::decode(record.payload.as_ref()?).ok()).collect())
    }

    async fn held_for(&mut self, programme: Uuid, rows: &[Uuid]) -> Answer<Vec<HeldMutation>> {
        self.store.call().await;
        let items =
            rows_of(&self.state, programme, EntityKind::HeldItem).filter_map(|row| HeldItem::from_row(row).ok());
        let waiting = items.filter(|item| {
            item.state == HeldState::Held && item.waits_for_id.is_some_and(|waits_for| rows.contains(&waits_for))
        });
        let mut held: Vec<_> = waiting.filter_map(|item| held_mutation(&self.state, programme, &item)).collect();
        held.sort_by_key(|(received_at, held)| (*received_at, held.outbox.device, held.no));
        Ok(held.into_iter().map(|(_, held)| held).collect())
    }

    async fn held_between(&mut self, outbox: &Outbox, first: u64, last: u64) -> Answer<Vec<HeldMutation>> {
        self.store.call().await;
        let items =
            rows_of(&self.state, outbox.programme, EntityKind::HeldItem).filter_map(|row| HeldItem::from_row(row).ok());
        let is_held = |item: &HeldItem| {
            let of_outbox = (item.device_id.0, item.incarnation) == (outbox.device, outbox.incarnation);
            of_outbox && item.state == HeldState::Held && (first..=last).contains(&(item.mutation_no as u64))
        };
        let held = items.filter(is_held).filter_map(|item| held_mutation(&self.state, outbox.programme, &item));
        let mut held: Vec<HeldMutation> = held.map(|(_, held)| held).collect();
        held.sort_by_key(|held| held.no);
        Ok(held)
    }

    async fn later_changes(
        &mut self,
        held: &HeldMutation,
        kind: EntityKind,
        row: Uuid,
    ) -> Answer<Vec<Option<Mutation>>> {
        self.store.call().await;
        let own = outbox_key(&held.outbox);
        let later = self.state.mutations.range((own, held.no + 1)..=(own, u64::MAX)).filter(|(_, kept)| {
            let record = &kept.record;
            (record.kind, record.row_id) == (kind.number(), row) && is_written(record)
        });
        Ok(later.map(|(_, kept)| Mutation::decode(kept.record.payload.as_ref()?).ok()).collect())
    }

    async fn periods(&mut self, programme: Uuid, from: Date, until: Date) -> Answer<Vec<Row>> {
        self.store.call().await;
        let rows = rows_of(&self.state, programme, EntityKind::ReportingPeriod);
        let periods = rows.filter_map(|row| ReportingPeriod::from_row(row).ok());
        let mut periods: Vec<ReportingPeriod> = periods.collect();
        if !periods.iter().any(|period| period.from_on <= until && period.until_on >= from) {
            return Ok(Vec::new());
        }
        periods.sort_by_key(|period| (period.from_on, period.id));
        Ok(periods.iter().map(ReportingPeriod::to_row).collect())
    }

    async fn target_of(&mut self, outbox: &Outbox) -> Answer<Option<(EntityKind, Uuid)>> {
        self.store.call().await;
        let kept = self.state.mutations.get(&(outbox_key(outbox), 1));
        Ok(kept.and_then(|kept| Some((EntityKind::from_number(kept.record.kind)?, kept.record.row_id))))
    }

    async fn insert(&mut self, programme: Uuid, kind: EntityKind, rows: &[&Row]) -> Answer<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.store.call().await;
        self.programme = programme;
        let is_erased = |row: &Row| self.row(programme, EntityKind::Erasure, Erasure::id_of(row.id).0).is_some();
        if rows.iter().any(|row| ErasableKind::of(kind).is_some() && is_erased(row)) {
            let (constraint, message) = ("erasure_pkey".to_owned(), "a row was erased".to_owned());
            return Err(StoreError::Constraint { constraint, message });
        }
        if let Some(row) = rows.iter().find(|row| self.row(programme, kind, row.id).is_some()) {
            let constraint = format!("{}_pkey", kind.def().name);
            return Err(StoreError::Constraint { constraint, message: format!("{} is there already", row.id) });
        }
        let is_dropped = |row: &Row| self.store.bug == Some(Bug::MergeDropsValues) && is_of_merge(kind, row);
        let kept = rows.iter().filter(|row| !is_dropped(row));
        self.work.touches.extend(kept.map(|row| Touch::Put(kind, (*row).clone())));
        Ok(())
    }

    async fn update(&mut self, programme: Uuid, kind: EntityKind, rows: &[&Row]) -> Answer<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.store.call().await;
        self.programme = programme;
        let is_new = |id| {
            self.work.touches.iter().any(|touch| matches!(touch, Touch::Put(k, row) if *k == kind && row.id == id))
        };
        let is_there = |row: &&&Row| self.state.rows.contains_key(&(programme, kind, row.id)) || is_new(row.id);
        let changed: Vec<Touch> = rows.iter().filter(is_there).map(|row| Touch::Put(kind, (*row).clone())).collect();
        self.work.touches.extend(changed);
        Ok(())
    }

    async fn delete(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.store.call().await;
        self.programme = programme;
        self.work.touches.extend(ids.iter().map(|id| Touch::Delete(kind, *id)));
        Ok(())
    }

    async fn record(&mut self, outbox: &Outbox, records: &[MutationRecord]) -> Answer<()> {
        self.store.call().await;
        self.work.records.extend(records.iter().map(|record| (outbox_key(outbox), record.clone())));
        Ok(())
    }

    async fn settle_held(
        &mut self,
        held: &HeldMutation,
        outcome: char,
        result: Option<String>,
        seq: u64,
    ) -> Answer<()> {
        self.store.call().await;
        self.work.settled.push((outbox_key(&held.outbox), held.no, outcome, result, seq));
        Ok(())
    }

    async fn purge(&mut self, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Answer<()> {
        self.store.call().await;
        if self.store.bug == Some(Bug::ErasedBytesKept) {
            return Ok(());
        }
        self.work.purged.extend(ids.iter().map(|id| (programme, kind, *id)));
        Ok(())
    }

    async fn seal(&mut self, outbox: &Outbox, actor: Uuid, numbers: Option<(u64, u64)>, verbatim: bool) -> Answer<u64> {
        self.store.call().await;
        self.seal = Seal {
            actor: Some(actor),
            device: (!outbox.device.is_nil()).then_some(outbox.device),
            incarnation: Some(outbox.incarnation),
            numbers,
            is_verbatim: verbatim,
            ..Seal::default()
        };
        let is_changed = self.work.touches.iter().any(|touch| self.is_change(touch));
        Ok(if is_changed { self.state.next_seq(outbox.programme) } else { 0 })
    }

    async fn commit(self) -> Answer<()> {
        self.store.call().await;
        let Self { state, store, programme, seal, work } = self;
        // The only copy but the store's, where nobody reads meanwhile: the change is made in place.
        drop(state);
        let by_clock = store.bug == Some(Bug::LastWriterByClock);
        store.change(|state| {
            let work = if by_clock { work.latest_by_clock(state) } else { work };
            work.apply(state, programme, seal);
        });
        store.committed().await;
        Ok(())
    }

    async fn rollback(self) -> Answer<()> {
        self.store.call().await;
        Ok(())
    }
}

/// Whether a row keeps a value of a row that was merged.
fn is_of_merge(kind: EntityKind, row: &Row) -> bool {
    kind == EntityKind::Conflict && row.get(kind.def(), "policy").as_text() == Some("Merged")
}

impl Work {
    /// The planted mistake: of two changes of a row, the one with the later wall clock stays.
    fn latest_by_clock(mut self, state: &State) -> Self {
        let clock_of = |kind: u16, row: Uuid| {
            let earlier = state.mutations.values().map(|kept| &kept.record);
            let same = earlier.filter(|record| (record.kind, record.row_id) == (kind, row));
            same.map(|record| record.captured_at).max()
        };
        let is_older = |record: &&(OutboxKey, MutationRecord)| {
            clock_of(record.1.kind, record.1.row_id).is_some_and(|latest| latest > record.1.captured_at)
        };
        let older: Vec<Uuid> = self.records.iter().filter(is_older).map(|(_, record)| record.row_id).collect();
        self.touches.retain(|touch| !matches!(touch, Touch::Put(_, row) if older.contains(&row.id)));
        self
    }

    fn apply(self, state: &mut State, programme: Uuid, seal: Seal) {
        state.commit(programme, self.touches, seal);
        state.outboxes.extend(self.outboxes);
        for (outbox, record) in self.records {
            let times = state.mutations.get(&(outbox, record.no)).map_or(0, |kept| kept.times) + 1;
            state.mutations.insert((outbox, record.no), Kept { record, applied_seq: None, times });
        }
        for (outbox, no, outcome, result, seq) in self.settled {
            if let Some(kept) = state.mutations.get_mut(&(outbox, no)) {
                (kept.record.outcome, kept.record.result, kept.applied_seq) = (outcome, result, Some(seq));
                state.release(outbox, no, seq);
            }
        }
        state.purge(&self.purged);
    }
}
