//! Loads what new rows may be one and the same with.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sync_protocol::entity::{Entity as _, EntityKind, MergeProposal, Row};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::rule;
use uuid::Uuid;

use super::merging::{lock_rows, referring_to};
use super::{Key, Loaded};
use crate::store::{StoreError, WriteTx};

/// Loads the rows that those of the batch are compared with, and the proposals about them. Nothing is asked for
/// unless the batch registers something that could be registered twice, or changes what tells it from others.
pub(super) async fn load_kin(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    rehearsed: &HashMap<Key, Row>,
    trusts_new: bool,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let common = in_common(mutations, rehearsed, loaded);
    if common.is_empty() {
        return Ok(());
    }
    let scopes: BTreeSet<Uuid> = common.values().flatten().copied().collect();
    let scopes: Vec<Uuid> = scopes.into_iter().collect();
    tx.lock_scopes(programme, &scopes).await?;
    for (kind, parents) in &common {
        let Some(field) = rule::compared(*kind).first().copied() else { continue };
        let parents: Vec<Uuid> = parents.iter().copied().collect();
        for row in tx.children(programme, *kind, field, &parents).await? {
            loaded.kin.push((*kind, row));
        }
    }
    let only_creates = mutations.iter().filter(|mutation| is_compared(mutation)).all(|m| m.op == Op::Put);
    // A proposal that is there after all makes its insertion fail, and the batch is tried again with looking.
    if trusts_new && only_creates && !is_suspect(rehearsed, loaded) {
        return Ok(());
    }
    load_proposals(tx, programme, &scopes, loaded).await
}

/// Returns what the rows have in common with those that they are compared with, by kind.
fn in_common(
    mutations: &[&Mutation],
    rehearsed: &HashMap<Key, Row>,
    loaded: &Loaded,
) -> BTreeMap<EntityKind, BTreeSet<Uuid>> {
    let mut common: BTreeMap<EntityKind, BTreeSet<Uuid>> = BTreeMap::new();
    for mutation in mutations.iter().filter(|mutation| is_compared(mutation)) {
        let field = rule::compared(mutation.kind).first();
        let row = rehearsed.get(&(mutation.kind, mutation.row_id));
        let parent = row.zip(field).and_then(|(row, field)| row.get(mutation.kind.def(), field).as_uuid());
        common.entry(mutation.kind).or_default().extend(parent);
    }
    for mutation in mutations.iter().filter(|mutation| mutation.kind == EntityKind::MergeProposal) {
        let stored = loaded.rows.get(&(mutation.kind, mutation.row_id));
        let proposal = stored.and_then(|stored| MergeProposal::from_row(&stored.row).ok());
        let kind = proposal.as_ref().and_then(|proposal| EntityKind::from_name(&proposal.subject_kind));
        if let (Some(proposal), Some(kind)) = (proposal, kind) {
            // What names the merged row changes with it.
            let children = referring_to(kind).map(|(child, _)| child);
            for kind in children.chain([kind]).filter(|kind| !rule::compared(*kind).is_empty()) {
                common.entry(kind).or_default().insert(proposal.subject_scope_id);
            }
        }
    }
    common.retain(|_, parents| !parents.is_empty());
    common
}

/// Whether a mutation may make a row alike to another one, or end that.
fn is_compared(mutation: &Mutation) -> bool {
    let compared = rule::compared(mutation.kind);
    let sets = |name: &&str| mutation.kind.def().position(name).is_some_and(|at| mutation.sets(at));
    !compared.is_empty() && (mutation.op != Op::Patch || compared.iter().any(sets))
}

/// Whether a row of the batch looks like another one.
fn is_suspect(rehearsed: &HashMap<Key, Row>, loaded: &Loaded) -> bool {
    let here = rehearsed.iter().map(|((kind, _), row)| (*kind, row));
    let families = rule::families(loaded.kin.iter().map(|(kind, row)| (*kind, row)).chain(here));
    families.iter().any(|((kind, _), family)| {
        let mut pairs =
            family.iter().enumerate().flat_map(|(at, one)| family[at + 1..].iter().map(move |other| (one, other)));
        pairs.any(|(one, other)| !rule::matched(*kind, one, other).is_empty())
    })
}

async fn load_proposals(
    tx: &mut impl WriteTx,
    programme: Uuid,
    scopes: &[Uuid],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let kind = EntityKind::MergeProposal;
    let found = tx.children(programme, kind, "subject_scope_id", scopes).await?;
    let ids: Vec<Uuid> = found.iter().map(|proposal| proposal.id).collect();
    let locked = lock_rows(tx, programme, kind, &ids, loaded).await?;
    loaded.proposals.extend(locked.into_iter().map(|(_, id)| id));
    Ok(())
}
