//! Loads what a decision about a proposal to merge touches: both rows, and everything that names one of them.

use sync_protocol::entity::{Entity as _, EntityKind, MergeProposal};
use sync_protocol::mutation::Mutation;
use uuid::Uuid;

use super::{Key, Loaded, lock_conflicts};
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
        lock_conflicts(tx, programme, &pair, loaded).await?;
    }
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
