//! What is read of the simulated server: a programme as it was at one instant.

use std::collections::BTreeSet;
use std::sync::Arc;

use server::domain::viewer::{Grant, Viewer};
use server::store::LogSnapshot;
use server::store::log::{Bounds, Entry, Own};
use server::store::mutations::{HeldMutation, Outbox};
use sync_protocol::cursor::{Cursor, Position};
use sync_protocol::entity::{Entity as _, EntityKind, HeldItem, Row, ScopeGrant, User};
use sync_protocol::mutation::ChainHash;
use sync_protocol::rows::VersionedRow;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::{Answer, MemoryStore};
use crate::simulator::bug::Bug;
use crate::simulator::server::state::{State, outbox_key};

/// A view of one programme as it was at one instant.
pub struct MemorySnapshot {
    state: Arc<State>,
    store: MemoryStore,
    programme: Uuid,
}

impl MemorySnapshot {
    pub(super) fn new(state: Arc<State>, store: MemoryStore, programme: Uuid) -> Self {
        Self { state, store, programme }
    }
}

impl LogSnapshot for MemorySnapshot {
    fn head(&self) -> Cursor {
        self.state.head(self.programme)
    }

    async fn entries(
        &mut self,
        lanes: &[(Uuid, Position)],
        held: &[Uuid],
        own: Option<Own>,
        limit: usize,
    ) -> Answer<Vec<Entry>> {
        self.store.call().await;
        let all = lanes.iter().flat_map(|lane| self.state.entries(self.programme, *lane, held, own));
        let mut entries: Vec<Entry> = all.collect();
        if self.store.bug == Some(Bug::ReadUnscoped) {
            entries.extend(self.unscoped(lanes, held, own));
        }
        entries.sort_by_key(|entry| entry.position);
        entries.truncate(limit);
        Ok(entries)
    }

    async fn count(&mut self, lanes: &[(Uuid, Position)]) -> Answer<u64> {
        self.store.call().await;
        let all = lanes.iter().flat_map(|lane| self.state.entries(self.programme, *lane, &[], None));
        Ok(all.filter(|entry| entry.gone.is_none()).count() as u64)
    }

    async fn rows(&mut self, kind: EntityKind, entries: &[(Uuid, u64)]) -> Answer<Vec<VersionedRow>> {
        self.store.call().await;
        let row = |id| self.state.rows.get(&(self.programme, kind, id)).cloned();
        Ok(entries.iter().filter_map(|(id, seq)| Some(VersionedRow { seq: *seq, row: row(*id)? })).collect())
    }

    async fn knows(&mut self, cursor: &Cursor) -> Answer<bool> {
        self.store.call().await;
        Ok(self.state.knows(self.programme, cursor))
    }

    async fn common_with(&mut self, cursor: &Cursor) -> Answer<Option<Cursor>> {
        self.store.call().await;
        Ok(self.state.common_with(self.programme, cursor))
    }

    /// Nobody says what is in a backup.
    fn bounds(&self) -> Bounds {
        let floor_seq = match self.store.bug {
            Some(Bug::FloorNotHeld) => 0,
            _ => self.state.floor(self.programme),
        };
        Bounds { floor_seq, durable_seq: 0 }
    }

    async fn outbox_state(&mut self, outbox: &Outbox) -> Answer<(u64, ChainHash)> {
        self.store.call().await;
        Ok(self.state.outboxes.get(&outbox_key(outbox)).copied().unwrap_or((0, ChainHash::START)))
    }

    async fn viewer(&mut self, programme: Uuid, user: Uuid) -> Answer<Option<Viewer>> {
        self.store.call().await;
        let mut viewer = viewer_of(&self.state, programme, user);
        if self.store.bug == Some(Bug::MissingLeave) {
            let grants = viewer.iter_mut().flat_map(|viewer| &mut viewer.grants);
            grants.for_each(|grant| grant.valid_until_at = None);
        }
        Ok(viewer)
    }

    async fn close(self) -> Answer<()> {
        Ok(())
    }
}

impl MemorySnapshot {
    /// The planted mistake: the rows of other scopes pass as rows of one that is held.
    fn unscoped(&self, lanes: &[(Uuid, Position)], held: &[Uuid], own: Option<Own>) -> Vec<Entry> {
        let Some((passes_as, after)) = lanes.last().copied() else { return Vec::new() };
        let others: BTreeSet<Uuid> =
            self.state.places.iter().filter(|(key, _)| key.0 == self.programme).map(|(_, place)| place.scope).collect();
        let others = others.into_iter().filter(|scope| !held.contains(scope));
        let entries = others.flat_map(|scope| self.state.entries(self.programme, (scope, after), held, own));
        entries.map(|entry| Entry { scope_id: passes_as, ..entry }).collect()
    }
}

pub(super) fn rows_of(state: &State, programme: Uuid, kind: EntityKind) -> impl Iterator<Item = &Row> {
    state.rows.range((programme, kind, Uuid::nil())..=(programme, kind, Uuid::max())).map(|(_, row)| row)
}

pub(super) fn viewer_of(state: &State, programme_id: Uuid, user_id: Uuid) -> Option<Viewer> {
    let user = User::from_row(state.rows.get(&(programme_id, EntityKind::User, user_id))?).ok()?;
    let grants = rows_of(state, programme_id, EntityKind::ScopeGrant).filter_map(|row| ScopeGrant::from_row(row).ok());
    let own = grants.filter(|grant| grant.user_id.0 == user_id).map(|grant| Grant {
        scope_kind: grant.scope_kind,
        scope_id: grant.scope_id,
        role: grant.role,
        valid_from_at: grant.valid_from_at,
        valid_until_at: grant.valid_until_at,
    });
    let (role, locale) = (user.role, user.locale);
    user.is_active.then(|| Viewer { user_id, programme_id, role, locale, grants: own.collect() })
}

pub(super) fn held_mutation(state: &State, programme: Uuid, item: &HeldItem) -> Option<(Timestamp, HeldMutation)> {
    let outbox = Outbox { programme, device: item.device_id.0, incarnation: item.incarnation };
    let kept = state.mutations.get(&(outbox_key(&outbox), item.mutation_no as u64))?;
    let held = HeldMutation {
        outbox,
        no: item.mutation_no as u64,
        payload: kept.record.payload.clone()?,
        held_item_id: item.id.0,
        waits_for_id: item.waits_for_id,
        held_at: item.held_at,
        clock_offset_ms: i64::from(item.clock_offset_s.unwrap_or(0)) * 1_000,
        corrected_at: item.corrected_at,
    };
    Some((kept.record.received_at, held))
}
