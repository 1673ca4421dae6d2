//! Loads what a decision about a proposal to merge touches: both rows, and everything that names one of them.

use sync_protocol::entity::{Entity as _, EntityKind, LateAdjustment, MergeProposal};
use sync_protocol::mutation::Mutation;
use uuid::Uuid;

use super::{Key, Loaded, lock_conflicts};
use crate::domain::traces;
use crate::store::{StoreError, WriteTx};

/// Loads and locks both rows of each proposal that the batch decides about, their children and their open conflicts.
pub(super) async fn load_merged(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    for mutation in mutations.iter().filter(|mutation| mutation.kind == EntityKind::MergeProposal) {
        let stored = loaded.rows.get(&(mutation.kind, mutation.row_id));
        let Some(proposal) = stored.and_then(|stored| MergeProposal::from_row(&stored.row).ok()) else { continue };
        let Some(kind) = EntityKind::from_name(&proposal.subject_kind) else { continue };
        let pair = [proposal.first_id, proposal.second_id];
        lock_rows(tx, programme, kind, &pair, loaded).await?;
        for (child, at) in referring_to(kind) {
            load_children(tx, programme, child, at, &pair, loaded).await?;
        }
        let months = months_of(&pair, loaded);
        load_adjustments(tx, programme, &months, loaded).await?;
        lock_conflicts(tx, programme, &[&pair, months.as_slice()].concat(), loaded).await?;
    }
    Ok(())
}

/// Returns the months of both job records: what stands under one name for one of them is merged, too.
fn months_of(pair: &[Uuid], loaded: &Loaded) -> Vec<Uuid> {
    let children = pair.iter().filter_map(|parent| loaded.children.get(parent)).flatten();
    children.filter(|((kind, _), _)| *kind == EntityKind::MonthlyJobStatus).map(|((_, id), _)| *id).collect()
}

async fn load_adjustments(
    tx: &mut impl WriteTx,
    programme: Uuid,
    months: &[Uuid],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    if months.is_empty() {
        return Ok(());
    }
    let kind = EntityKind::LateAdjustment;
    let found = tx.children(programme, kind, "subject_id", months).await?;
    let ids: Vec<Uuid> = found.iter().map(|adjustment| adjustment.id).collect();
    lock_rows(tx, programme, kind, &ids, loaded).await?;
    for adjustment in found.iter().filter_map(|row| LateAdjustment::from_row(row).ok()) {
        loaded.adjustments.entry(adjustment.subject_id).or_default().push(adjustment.id.0);
        if adjustment.is_new_row {
            loaded.booked.insert(adjustment.subject_id, adjustment.period_id.0);
        }
    }
    Ok(())
}

/// Loads what is known of the names of months that come after their job record was merged: one that comes again has
/// its name already.
pub(super) async fn load_late_months(
    tx: &mut impl WriteTx,
    programme: Uuid,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> =
        loaded.aliases.months().map(|(one, other)| traces::proposal_id(one.min(other), one.max(other)).0).collect();
    lock_rows(tx, programme, EntityKind::MergeProposal, &ids, loaded).await?;
    Ok(())
}

/// Returns the kinds whose rows name a row of a kind, with the position of the field.
pub(super) fn referring_to(kind: EntityKind) -> impl Iterator<Item = (EntityKind, usize)> {
    EntityKind::ALL.iter().flat_map(move |child| {
        let fields = child.def().fields.iter().enumerate();
        fields.filter(move |(_, field)| field.reference == Some(kind)).map(|(at, _)| (*child, at))
    })
}

async fn load_children(
    tx: &mut impl WriteTx,
    programme: Uuid,
    kind: EntityKind,
    at: usize,
    parents: &[Uuid],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let found = tx.children(programme, kind, kind.def().fields[at].name, parents).await?;
    let ids: Vec<Uuid> = found.iter().map(|child| child.id).collect();
    for key in lock_rows(tx, programme, kind, &ids, loaded).await? {
        let parent = loaded.rows.get(&key).and_then(|stored| stored.row.values[at].as_uuid());
        loaded.children.entry(parent.unwrap_or_default()).or_default().push((key, at));
    }
    Ok(())
}

/// Locks rows and loads those that are not loaded yet. Returns which of them are there.
pub(super) async fn lock_rows(
    tx: &mut impl WriteTx,
    programme: Uuid,
    kind: EntityKind,
    ids: &[Uuid],
    loaded: &mut Loaded,
) -> Result<Vec<Key>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let stored = tx.load_for_update(programme, kind, ids).await?;
    let keys = stored.iter().map(|stored| (kind, stored.row.id)).collect();
    for stored in stored {
        loaded.rows.entry((kind, stored.row.id)).or_insert(stored);
    }
    Ok(keys)
}
