//! Loads what a batch touches and what the rules look at, in a few statements whatever the size of the batch.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::rule::{self, Need, Related};
use uuid::Uuid;

use super::viewer::Viewer;
use super::write::Batch;
use super::{operation, traces};
use crate::store::mutations::{FieldChange, HeldMutation};
use crate::store::rows::StoredRow;
use crate::store::{StoreError, WriteTx};

/// The identity of a row within a programme.
pub(super) type Key = (EntityKind, Uuid);

/// Everything that deciding a batch needs.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The rows that mutations name and that exist, locked.
    pub rows: HashMap<Key, StoredRow>,
    /// Rows that are referred to and exist.
    pub existing: HashSet<Key>,
    /// What the rules look at.
    pub related: Related,
    /// What others did to rows since the sender saw them.
    pub changes: HashMap<Key, Vec<FieldChange>>,
    /// The open conflicts about rows that mutations name. They are among the rows.
    pub conflicts: HashMap<Key, Vec<Uuid>>,
    /// Mutations that were held for a row that this batch creates.
    pub released: Vec<(HeldMutation, Mutation)>,
    /// The people who made those, besides the sender.
    pub authors: HashMap<Uuid, Viewer>,
}

/// Loads what the batch needs and locks the rows that it touches.
pub(super) async fn load(tx: &mut impl WriteTx, batch: &Batch<'_>) -> Result<Loaded, StoreError> {
    let programme = batch.outbox.programme;
    let mut loaded = Loaded::default();
    let own: Vec<&Mutation> = batch.mutations.iter().filter_map(|incoming| incoming.mutation.as_ref()).collect();
    loaded.released = released(tx, programme, &own).await?;
    loaded.authors = authors(tx, batch, &loaded.released).await?;
    let released: Vec<Mutation> = loaded.released.iter().map(|(_, mutation)| mutation.clone()).collect();
    let all: Vec<&Mutation> = own.into_iter().chain(&released).collect();
    load_rows(tx, programme, &all, &mut loaded).await?;
    load_conflicts(tx, programme, &all, &mut loaded).await?;
    load_changes(tx, programme, &all, &mut loaded).await?;
    let needs = rehearse(&all, &loaded.rows);
    load_related(tx, programme, needs, &mut loaded).await?;
    load_references(tx, programme, &all, &mut loaded).await?;
    Ok(loaded)
}

/// Finds what waits for rows that the batch creates, and what waits for those in turn.
async fn released(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
) -> Result<Vec<(HeldMutation, Mutation)>, StoreError> {
    let creates = |m: &Mutation| (m.op == Op::Put).then_some(m.row_id);
    let mut created: Vec<Uuid> = mutations.iter().filter_map(|m| creates(m)).collect();
    let mut asked: HashSet<Uuid> = created.iter().copied().collect();
    let mut released = Vec::new();
    while !created.is_empty() {
        let held = tx.held_for(programme, &created).await?;
        let found = held.into_iter().filter_map(|held| Mutation::decode(&held.payload).ok().map(|m| (held, m)));
        let found: Vec<(HeldMutation, Mutation)> = found.collect();
        created = found.iter().filter_map(|(_, m)| creates(m)).filter(|id| asked.insert(*id)).collect();
        released.extend(found);
    }
    Ok(released)
}

/// Loads the people whose work was held, besides the sender, with their permissions.
async fn authors(
    tx: &mut impl WriteTx,
    batch: &Batch<'_>,
    released: &[(HeldMutation, Mutation)],
) -> Result<HashMap<Uuid, Viewer>, StoreError> {
    let others: BTreeSet<Uuid> = released.iter().map(|(_, mutation)| mutation.author.0).collect();
    let mut authors = HashMap::new();
    for author in others.into_iter().filter(|author| *author != batch.viewer.user_id) {
        if let Some(viewer) = tx.viewer(batch.outbox.programme, author).await? {
            authors.insert(author, viewer);
        }
    }
    Ok(authors)
}

async fn load_rows(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let mut ids: BTreeMap<EntityKind, BTreeSet<Uuid>> = BTreeMap::new();
    for mutation in mutations {
        ids.entry(mutation.kind).or_default().insert(mutation.row_id);
    }
    // Sorted by kind and identifier: two batches never wait for each other in a circle.
    for (kind, ids) in ids {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let found = tx.load_for_update(programme, kind, &ids).await?;
        loaded.rows.extend(found.into_iter().map(|stored| ((kind, stored.row.id), stored)));
    }
    Ok(())
}

/// Loads the open conflicts about rows that are there already, locked: a mutation may settle them.
async fn load_conflicts(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let kind = EntityKind::Conflict;
    let is_there = |m: &&&Mutation| m.kind != kind && loaded.rows.contains_key(&(m.kind, m.row_id));
    let subjects: BTreeSet<Uuid> = mutations.iter().filter(is_there).map(|mutation| mutation.row_id).collect();
    if subjects.is_empty() {
        return Ok(());
    }
    let subjects: Vec<Uuid> = subjects.into_iter().collect();
    let mut found = tx.children(programme, kind, "subject_id", &subjects).await?;
    found.retain(traces::is_open);
    if found.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = found.iter().map(|conflict| conflict.id).collect();
    for stored in tx.load_for_update(programme, kind, &ids).await? {
        let Some((subject_kind, subject, _)) = operation::contested(&stored.row) else { continue };
        loaded.conflicts.entry((subject_kind, subject)).or_default().push(stored.row.id);
        loaded.rows.insert((kind, stored.row.id), stored);
    }
    Ok(())
}

/// Loads what happened to rows that changed after the sender had seen them.
async fn load_changes(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let mut bases: BTreeMap<EntityKind, BTreeMap<Uuid, u64>> = BTreeMap::new();
    for mutation in mutations {
        let base = mutation.field_bases.iter().map(|(_, seq)| *seq).fold(mutation.base_seq, u64::min);
        let stored = loaded.rows.get(&(mutation.kind, mutation.row_id));
        if stored.is_some_and(|stored| stored.seq > base) {
            let oldest = bases.entry(mutation.kind).or_default().entry(mutation.row_id).or_insert(base);
            *oldest = base.min(*oldest);
        }
    }
    for (kind, bases) in bases {
        let bases: Vec<(Uuid, u64)> = bases.into_iter().collect();
        for change in tx.changes_since(programme, kind, &bases).await? {
            loaded.changes.entry((kind, change.row_id)).or_default().push(change);
        }
    }
    Ok(())
}

/// Applies the mutations without any rule, to learn what the rules will look at.
fn rehearse(mutations: &[&Mutation], stored: &HashMap<Key, StoredRow>) -> HashSet<Need> {
    let mut needs = HashSet::new();
    let mut now: HashMap<Key, Row> = HashMap::new();
    for mutation in mutations {
        let key = (mutation.kind, mutation.row_id);
        let before = now.get(&key).or_else(|| stored.get(&key).map(|stored| &stored.row));
        let mut after = before.cloned().unwrap_or_else(|| patch::empty_row(mutation.kind.def(), mutation.row_id));
        patch::apply(&mut after, &mutation.patch);
        needs.extend(rule::needs(mutation.kind, before, &after));
        now.insert(key, after);
    }
    needs
}

async fn load_related(
    tx: &mut impl WriteTx,
    programme: Uuid,
    needs: HashSet<Need>,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let mut single: BTreeMap<EntityKind, Vec<Uuid>> = BTreeMap::new();
    let mut lists: BTreeMap<(EntityKind, &'static str), Vec<Uuid>> = BTreeMap::new();
    for need in needs {
        match need {
            Need::Row { kind, id } => match loaded.rows.get(&(kind, id)) {
                Some(stored) => loaded.related.add_row(kind, stored.row.clone()),
                None => single.entry(kind).or_default().push(id),
            },
            Need::Children { kind, field, parent } => lists.entry((kind, field)).or_default().push(parent),
        }
    }
    for (kind, ids) in single {
        for row in tx.read(programme, kind, &ids).await? {
            loaded.existing.insert((kind, row.id));
            loaded.related.add_row(kind, row);
        }
    }
    for ((kind, field), parents) in lists {
        let mut families: BTreeMap<Uuid, Vec<Row>> = parents.iter().map(|parent| (*parent, Vec::new())).collect();
        for child in tx.children(programme, kind, field, &parents).await? {
            let parent = child.get(kind.def(), field).as_uuid();
            families.entry(parent.unwrap_or_default()).or_default().push(child);
        }
        for (parent, children) in families {
            loaded.related.add_children(kind, field, parent, children);
        }
    }
    Ok(())
}

/// Finds out which of the rows that mutations refer to exist.
async fn load_references(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let mut wanted: BTreeMap<EntityKind, BTreeSet<Uuid>> = BTreeMap::new();
    for (kind, id) in mutations.iter().flat_map(|mutation| references(mutation)) {
        if !loaded.rows.contains_key(&(kind, id)) && !loaded.existing.contains(&(kind, id)) {
            wanted.entry(kind).or_default().insert(id);
        }
    }
    for (kind, ids) in wanted {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let found = tx.existing(programme, kind, &ids).await?;
        loaded.existing.extend(found.into_iter().map(|id| (kind, id)));
    }
    Ok(())
}

/// Returns the rows that a mutation refers to.
pub(super) fn references(mutation: &Mutation) -> impl Iterator<Item = Key> + '_ {
    let fields = mutation.kind.def().fields;
    mutation.patch.iter().filter_map(|(at, value)| Some((fields.get(*at)?.reference?, value.as_uuid()?)))
}
