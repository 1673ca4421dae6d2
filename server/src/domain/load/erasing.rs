//! Loads what the erasure of a record takes along: everything that says something about the same person.

use std::collections::{BTreeMap, BTreeSet};

use sync_protocol::code::{ErasableKind, MergeState};
use sync_protocol::entity::{Entity as _, EntityKind, Erasure, HeldItem, MergeProposal, Row};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::value::Value;
use uuid::Uuid;

use super::merging::{lock_rows, referring_to};
use super::{Key, Loaded, references};
use crate::domain::traces;
use crate::domain::write::Batch;
use crate::store::{StoreError, WriteTx};

/// The rows that go with an erased record.
#[derive(Clone, Debug, Default)]
pub(in crate::domain) struct Circle {
    /// The record, what was merged into it, and what belongs to these; also what is held and has no row yet.
    pub records: BTreeSet<Key>,
    /// Rows of the server's own that quote them.
    pub traces: BTreeSet<Key>,
}

/// Loads and locks what each erasure of the batch takes along.
pub(super) async fn load_circles(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    for mutation in mutations {
        let Some(subject) = subject_of(mutation) else { continue };
        let circle = circle(tx, programme, subject).await?;
        let mut ids: BTreeMap<EntityKind, Vec<Uuid>> = BTreeMap::new();
        circle.records.iter().chain(&circle.traces).for_each(|(kind, id)| ids.entry(*kind).or_default().push(*id));
        for (kind, ids) in ids {
            lock_rows(tx, programme, kind, &ids, loaded).await?;
        }
        loaded.released.retain(|(held, _)| !circle.traces.contains(&(EntityKind::HeldItem, held.held_item_id)));
        loaded.circles.insert(mutation.row_id, circle);
    }
    Ok(())
}

/// Finds out which of the rows that mutations name were erased. Asked of rows that are not there, and of new ones unless
/// the store is trusted to refuse them: what is held, or deleted by the same batch, is not offered to it.
pub(super) async fn load_erased(
    tx: &mut impl WriteTx,
    batch: &Batch<'_>,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let sent = batch.mutations.iter().filter_map(|incoming| incoming.mutation.as_ref()).filter(|_| !batch.is_office());
    let released = loaded.released.iter().map(|(_, mutation)| mutation);
    let created = sent.chain(released).filter(|mutation| mutation.op == Op::Put && is_erasable(mutation.kind));
    // Under the name that it gets as well: what was merged into something else may have been erased there.
    let created = created
        .flat_map(|mutation| [mutation.row_id, loaded.aliases.redirect(mutation).row_id].map(|id| (mutation.kind, id)));
    let created = created.filter(|key| !loaded.trusted.contains(key));
    let asked: BTreeSet<Uuid> = created.chain(loaded.unknown.iter().copied()).map(|(_, id)| id).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = asked.iter().map(|id| Erasure::id_of(*id).0).collect();
    let found = tx.read(batch.outbox.programme, EntityKind::Erasure, &ids).await?;
    let found = found.iter().filter_map(|row| Erasure::from_row(row).ok());
    loaded.erased.extend(found.map(|erasure| (erasure.subject_id, erasure)));
    Ok(())
}

fn is_erasable(kind: EntityKind) -> bool {
    ErasableKind::of(kind).is_some()
}

/// Returns the record that an erasure is about; `None` for any other mutation.
pub(super) fn subject_of(erasure: &Mutation) -> Option<Key> {
    if (erasure.kind, erasure.op) != (EntityKind::Erasure, Op::Put) {
        return None;
    }
    let kind = ErasableKind::parse(traces::patched(erasure, "subject_kind")?.as_text()?);
    Some((kind.kind()?, traces::patched(erasure, "subject_id")?.as_uuid()?))
}

async fn circle(tx: &mut impl WriteTx, programme: Uuid, (kind, id): Key) -> Result<Circle, StoreError> {
    let mut circle = Circle::default();
    let persons = with_merged(tx, programme, vec![id], &mut circle).await?;
    circle.records.extend(persons.iter().map(|id| (kind, *id)));
    for (child, at) in referring_to(kind) {
        let found = tx.children(programme, child, child.def().fields[at].name, &persons).await?;
        let ids = found.iter().map(|row| row.id).collect();
        let children = with_merged(tx, programme, ids, &mut circle).await?;
        circle.records.extend(children.iter().map(|id| (child, *id)));
        // What was refused has no row that names the person.
        let refused = tx.refused(programme, child).await?.into_iter();
        let is_about = |(of, id): Key| of == kind && persons.contains(&id);
        let about = refused.filter(|mutation| references(mutation).any(is_about));
        circle.records.extend(about.filter(|_| is_erasable(child)).map(|mutation| (child, mutation.row_id)));
    }
    add_held(tx, programme, kind, &persons, &mut circle).await?;
    let ids = circle.ids();
    for trace in [EntityKind::Conflict, EntityKind::HeldItem, EntityKind::LateAdjustment] {
        let found = tx.children(programme, trace, "subject_id", &ids).await?;
        circle.traces.extend(found.iter().map(|row| (trace, row.id)));
    }
    Ok(circle)
}

impl Circle {
    fn ids(&self) -> Vec<Uuid> {
        self.records.iter().map(|(_, id)| *id).collect()
    }
}

/// Returns records and everything that was merged into them, and takes the proposals about them along.
async fn with_merged(
    tx: &mut impl WriteTx,
    programme: Uuid,
    ids: Vec<Uuid>,
    circle: &mut Circle,
) -> Result<Vec<Uuid>, StoreError> {
    let proposal = EntityKind::MergeProposal;
    let (mut all, mut next) = (ids.clone(), ids);
    while !next.is_empty() {
        let mut merged = Vec::new();
        for field in ["survivor_id", "first_id", "second_id"] {
            let found = tx.children(programme, proposal, field, &next).await?;
            circle.traces.extend(found.iter().map(|row| (proposal, row.id)));
            merged.extend(found.iter().filter_map(|row| alias_of(row, &next)));
        }
        merged.retain(|id| !all.contains(id));
        merged.sort_unstable();
        merged.dedup();
        all.extend(&merged);
        next = merged;
    }
    Ok(all)
}

/// Returns the row that was merged into one of `survivors`.
fn alias_of(proposal: &Row, survivors: &[Uuid]) -> Option<Uuid> {
    let proposal = MergeProposal::from_row(proposal).ok()?;
    let is_merged = proposal.state == MergeState::Merged && survivors.contains(&proposal.survivor_id?);
    proposal.alias_id.filter(|_| is_merged)
}

/// Adds the held changes that name one of the records, and what they are about: a month of a job record, say, that has
/// not taken effect. They wait for the record, or are of its enterprise.
async fn add_held(
    tx: &mut impl WriteTx,
    programme: Uuid,
    kind: EntityKind,
    persons: &[Uuid],
    circle: &mut Circle,
) -> Result<(), StoreError> {
    let (item, ids) = (EntityKind::HeldItem, circle.ids());
    let mut found = tx.children(programme, item, "waits_for_id", &ids).await?;
    let about = tx.children(programme, item, "subject_id", &ids).await?;
    let rows = tx.read(programme, kind, persons).await?;
    let of_rows = rows.iter().map(|row| row.get(kind.def(), "enterprise_id"));
    let of_items = about.iter().map(|row| row.get(item.def(), "enterprise_id"));
    let enterprises: BTreeSet<Uuid> = of_rows.chain(of_items).filter_map(Value::as_uuid).collect();
    let enterprises: Vec<Uuid> = enterprises.into_iter().collect();
    found.extend(tx.children(programme, item, "enterprise_id", &enterprises).await?);
    for item in found.iter().filter_map(|row| HeldItem::from_row(row).ok()).filter(|item| names(item, &ids)) {
        circle.traces.insert((EntityKind::HeldItem, item.id.0));
        let subject = EntityKind::from_name(&item.subject_kind).filter(|kind| is_erasable(*kind));
        circle.records.extend(subject.map(|kind| (kind, item.subject_id)));
    }
    Ok(())
}

/// Whether a held change names one of the records.
fn names(item: &HeldItem, ids: &[Uuid]) -> bool {
    let values = item.content.iter().flat_map(|content| content.0.values());
    values.filter_map(|value| value.as_str()?.parse().ok()).any(|id: Uuid| ids.contains(&id))
}
