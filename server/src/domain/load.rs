//! Loads what a batch touches and what the rules look at, in a few statements whatever the size of the batch.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sync_protocol::code::PeriodState;
use sync_protocol::cursor::{self, Fork};
use sync_protocol::entity::{Entity as _, EntityKind, Erasure, HeldItem, LateAdjustment, ReportingPeriod, Row};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::rule::{self, Need, Related};
use sync_protocol::time::Date;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::alias::Aliases;
use super::viewer::Viewer;
use super::write::Batch;
use super::{alias, operation, shares, traces};
use crate::store::mutations::{HeldMutation, Outbox};
use crate::store::row_history::{FieldChange, Grave};
use crate::store::rows::StoredRow;
use crate::store::{StoreError, WriteTx};
use erasing::Circle;

mod duplicates;
mod erasing;
mod merging;

/// The identity of a row within a programme.
pub(super) type Key = (EntityKind, Uuid);

/// Everything that deciding a batch needs.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The rows that mutations name and that exist, locked.
    pub rows: HashMap<Key, StoredRow>,
    /// Rows that were taken for new without looking.
    pub trusted: HashSet<Key>,
    /// Rows that are referred to and exist.
    pub existing: HashSet<Key>,
    /// What the rules look at.
    pub related: Related,
    /// What others did to rows since the sender saw them.
    pub changes: HashMap<Key, Vec<FieldChange>>,
    /// Where the history of the programme was left for another one.
    pub forks: Vec<Fork>,
    /// Rows that stand here as their author put them right, after the server had refused them. Only looked for where
    /// someone had seen the row before, in a history that was left.
    pub put_right: HashSet<Key>,
    /// Rows that mutations change and that were deleted, as they were.
    pub graves: HashMap<Key, Grave>,
    /// The open conflicts about rows that mutations name. They are among the rows, or come from this batch.
    pub conflicts: HashMap<Key, Vec<Uuid>>,
    /// Mutations that were held for a row that this batch creates.
    pub released: Vec<(HeldMutation, Mutation)>,
    /// The fields that the author of a held change has set anew since, by held item.
    pub overruled: HashMap<Uuid, HashSet<usize>>,
    /// What a person decides about, by held item: the mutation, with the others of its group.
    pub judged: HashMap<Uuid, Vec<Judged>>,
    /// The people who made those, besides the sender.
    pub authors: HashMap<Uuid, Viewer>,
    /// The reporting periods, oldest first; empty when none is touched.
    pub periods: Vec<ReportingPeriod>,
    /// To which period a row that came late was booked.
    pub booked: HashMap<Uuid, Uuid>,
    /// Rows that were merged into others and that mutations still name.
    pub aliases: Aliases,
    /// What the erasures of the batch take along, by their rows.
    pub circles: HashMap<Uuid, Circle>,
    /// Rows that mutations name and that were erased, with what is known of that.
    pub erased: HashMap<Uuid, Erasure>,
    /// What mutations name and what is not there.
    pub unknown: BTreeSet<Key>,
    /// The rows with which those of the batch may be one and the same.
    pub kin: Vec<(EntityKind, Row)>,
    /// The proposals to merge rows of the same scopes. They are among the rows.
    pub proposals: BTreeSet<Uuid>,
    /// The rows that name one that is to be merged, with the position of the field. They are among the rows.
    pub children: HashMap<Uuid, Vec<(Key, usize)>>,
    /// By which late months of a job record that is to be merged were booked. They are among the rows.
    pub adjustments: HashMap<Uuid, Vec<Uuid>>,
}

/// A held mutation on which a person decides.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// The mutation.
    pub held: HeldMutation,
    /// What it says; `None` when this version cannot read it.
    pub mutation: Option<Mutation>,
}

/// How many mutations before and after one may belong to its group.
const GROUP_REACH: u64 = 64;

impl Loaded {
    /// Returns what a field of a row says, `None` where the row is not there.
    pub(super) fn said(&self, kind: EntityKind, row: Uuid, field: &str) -> Option<Value> {
        self.rows.get(&(kind, row)).map(|stored| stored.row.get(kind.def(), field).clone())
    }

    /// Follows a change of a reporting period, so that what is decided after it sees it.
    pub(super) fn follow_period(&mut self, kind: EntityKind, row: &Row) {
        if kind != EntityKind::ReportingPeriod {
            return;
        }
        let Ok(changed) = ReportingPeriod::from_row(row) else { return };
        if let Some(known) = self.periods.iter_mut().find(|period| period.id == changed.id) {
            *known = changed;
        }
    }
}

/// Loads what the batch needs and locks the rows that it touches. With `trusts_new`, a row that is only created is
/// not looked for.
pub(super) async fn load(tx: &mut impl WriteTx, batch: &Batch<'_>, trusts_new: bool) -> Result<Loaded, StoreError> {
    let mut loaded = load_named(tx, batch, trusts_new, Aliases::default()).await?;
    erasing::load_erased(tx, batch, &mut loaded).await?;
    if loaded.unknown.iter().all(|(_, id)| loaded.erased.contains_key(id)) {
        return Ok(loaded);
    }
    // What is not there may have been merged into something else.
    let aliases = alias::find(tx, batch.outbox.programme, &loaded.unknown).await?;
    if aliases.is_empty() {
        return Ok(loaded);
    }
    let erased = loaded.erased;
    let mut loaded = Loaded { erased, ..load_named(tx, batch, false, aliases).await? };
    erasing::load_erased(tx, batch, &mut loaded).await?;
    Ok(loaded)
}

/// Loads what the mutations name, under the names that count today.
async fn load_named(
    tx: &mut impl WriteTx,
    batch: &Batch<'_>,
    trusts_new: bool,
    aliases: Aliases,
) -> Result<Loaded, StoreError> {
    let programme = batch.outbox.programme;
    let mut loaded = Loaded { aliases, ..Loaded::default() };
    let own: Vec<&Mutation> = batch.mutations.iter().filter_map(|incoming| incoming.mutation.as_ref()).collect();
    loaded.judged = judged(tx, programme, &own).await?;
    let judged: Vec<Mutation> = loaded.judged.values().flatten().filter_map(|held| held.mutation.clone()).collect();
    let named: Vec<&Mutation> = own.iter().copied().chain(&judged).collect();
    loaded.released = released(tx, programme, &named).await?;
    let released: Vec<Mutation> = loaded.released.iter().map(|(_, mutation)| mutation.clone()).collect();
    let sent: Vec<&Mutation> = own.into_iter().chain(&judged).chain(&released).collect();
    loaded.authors = authors(tx, batch, judged.iter().chain(&released)).await?;
    loaded.aliases.follow_months(&sent);
    let aliases = loaded.aliases.clone();
    let redirected: Vec<Cow<'_, Mutation>> = sent.iter().map(|mutation| aliases.redirect(mutation)).collect();
    let all: Vec<&Mutation> = redirected.iter().map(|mutation| &**mutation).collect();
    // What was held has waited for long: its row may have come another way.
    let trusts_new = trusts_new && judged.is_empty() && released.is_empty();
    load_overruled(tx, &mut loaded).await?;
    load_rows(tx, programme, &all, trusts_new, &mut loaded).await?;
    merging::load_merged(tx, programme, &all, &mut loaded).await?;
    merging::load_late_months(tx, programme, &mut loaded).await?;
    erasing::load_circles(tx, programme, &all, &mut loaded).await?;
    load_items(tx, programme, &mut loaded).await?;
    load_graves(tx, programme, &all, &mut loaded).await?;
    load_conflicts(tx, programme, &all, &mut loaded).await?;
    load_changes(tx, batch, &all, &mut loaded).await?;
    load_put_right(tx, programme, &all, &released, &mut loaded).await?;
    alias::load_lineages(tx, batch, &sent, &mut loaded).await?;
    let rehearsed = rehearse(&all, &loaded.rows, &loaded.graves);
    load_related(tx, programme, rehearsed.needs, &mut loaded).await?;
    let has_judged = !loaded.judged.is_empty() || all.iter().any(|m| m.kind == EntityKind::MergeProposal);
    let days = if has_judged { Days::ALL } else { rehearsed.days };
    load_periods(tx, programme, days, &all, &mut loaded).await?;
    load_references(tx, programme, &all, &mut loaded).await?;
    // Last: who waits here for another batch holds everything that the other one might wait for.
    duplicates::load_kin(tx, programme, &all, &rehearsed.rows, trusts_new, &mut loaded).await?;
    Ok(loaded)
}

/// Finds the held mutations on which the batch decides, each with the others of its group.
async fn judged(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
) -> Result<HashMap<Uuid, Vec<Judged>>, StoreError> {
    let items: Vec<Uuid> = mutations.iter().filter(|m| m.kind == EntityKind::HeldItem).map(|m| m.row_id).collect();
    let mut judged = HashMap::new();
    if items.is_empty() {
        return Ok(judged);
    }
    for row in tx.read(programme, EntityKind::HeldItem, &items).await? {
        let Ok(item) = HeldItem::from_row(&row) else { continue };
        let outbox = Outbox { programme, device: item.device_id.0, incarnation: item.incarnation };
        let no = item.mutation_no.unsigned_abs().into();
        let near = tx.held_between(&outbox, u64::saturating_sub(no, GROUP_REACH), no + GROUP_REACH).await?;
        judged.insert(row.id, group_around(no, near));
    }
    Ok(judged)
}

/// Returns the mutation with a number and those around it that are of the same atomic group.
fn group_around(no: u64, near: Vec<HeldMutation>) -> Vec<Judged> {
    let read = |held: HeldMutation| Judged { mutation: Mutation::decode(&held.payload).ok(), held };
    let near: Vec<Judged> = near.into_iter().map(read).collect();
    let group_of = |judged: &Judged| judged.mutation.as_ref().and_then(|mutation| mutation.group);
    let group = near.iter().find(|judged| judged.held.no == no).and_then(group_of);
    let belongs = |judged: &Judged| judged.held.no == no || (group.is_some() && group_of(judged) == group);
    near.into_iter().filter(belongs).collect()
}

/// Finds what waits for rows that the batch creates or erases or for periods that it unlocks, and what waits for those
/// in turn.
async fn released(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
) -> Result<Vec<(HeldMutation, Mutation)>, StoreError> {
    let creates = |m: &Mutation| (m.op == Op::Put || m.kind == EntityKind::ReportingPeriod).then_some(m.row_id);
    let erased = mutations.iter().filter_map(|m| erasing::subject_of(m)).map(|(_, id)| id);
    let mut created: Vec<Uuid> = mutations.iter().filter_map(|m| creates(m)).chain(erased).collect();
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
    held: impl Iterator<Item = &Mutation>,
) -> Result<HashMap<Uuid, Viewer>, StoreError> {
    let others: BTreeSet<Uuid> = held.map(|mutation| mutation.author.0).collect();
    let mut authors = HashMap::new();
    for author in others.into_iter().filter(|author| *author != batch.viewer.user_id) {
        if let Some(viewer) = tx.viewer(batch.outbox.programme, author).await? {
            authors.insert(author, viewer);
        }
    }
    Ok(authors)
}

/// Finds which fields of held changes their authors have set anew since: what came later stands.
async fn load_overruled(tx: &mut impl WriteTx, loaded: &mut Loaded) -> Result<(), StoreError> {
    let judged = loaded.judged.values().flatten();
    let judged = judged.filter_map(|judged| Some((judged.held.clone(), judged.mutation.clone()?)));
    let held: Vec<(HeldMutation, Mutation)> = loaded.released.iter().cloned().chain(judged).collect();
    for (held, mutation) in held.iter().filter(|(_, mutation)| mutation.op != Op::Delete) {
        let later = tx.later_changes(held, mutation.kind, mutation.row_id).await?;
        let overruled = loaded.overruled.entry(held.held_item_id).or_default();
        if mutation.op == Op::Put && later.iter().any(Option::is_none) {
            overruled.extend(0..mutation.kind.def().fields.len());
        }
        overruled.extend(later.iter().flatten().flat_map(|mutation| &mutation.patch).map(|(at, _)| *at));
    }
    Ok(())
}

async fn load_rows(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    trusts_new: bool,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let mut ids: BTreeMap<EntityKind, BTreeSet<Uuid>> = BTreeMap::new();
    loaded.trusted = if trusts_new { created_once(mutations) } else { HashSet::new() };
    for mutation in mutations.iter().filter(|mutation| !loaded.trusted.contains(&(mutation.kind, mutation.row_id))) {
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

/// Returns the rows that are created, and named by no other mutation: they are inserted if anything comes of it.
fn created_once(mutations: &[&Mutation]) -> HashSet<Key> {
    let mut times: HashMap<Key, u32> = HashMap::with_capacity(mutations.len());
    for mutation in mutations {
        *times.entry((mutation.kind, mutation.row_id)).or_default() += 1;
    }
    let created = mutations.iter().filter(|mutation| mutation.op == Op::Put);
    created.map(|mutation| (mutation.kind, mutation.row_id)).filter(|key| times[key] == 1).collect()
}

/// Finds what was deleted of that which mutations change.
async fn load_graves(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let created: HashSet<Key> =
        mutations.iter().filter(|m| m.op == Op::Put).map(|mutation| (mutation.kind, mutation.row_id)).collect();
    let mut missing: BTreeMap<EntityKind, BTreeSet<Uuid>> = BTreeMap::new();
    for mutation in mutations.iter().filter(|mutation| mutation.op == Op::Patch) {
        let key = (mutation.kind, mutation.row_id);
        if !loaded.rows.contains_key(&key) && !created.contains(&key) {
            missing.entry(key.0).or_default().insert(key.1);
            loaded.unknown.insert(key);
        }
    }
    for (kind, ids) in missing {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let found = tx.graves(programme, kind, &ids).await?;
        loaded.graves.extend(found.into_iter().map(|grave| ((kind, grave.row.id), grave)));
    }
    Ok(())
}

/// Loads the rows by which people see what is held and may now be settled.
async fn load_items(tx: &mut impl WriteTx, programme: Uuid, loaded: &mut Loaded) -> Result<(), StoreError> {
    let kind = EntityKind::HeldItem;
    let judged = loaded.judged.values().flatten().map(|judged| &judged.held);
    let held = loaded.released.iter().map(|(held, _)| held).chain(judged);
    let items: BTreeSet<Uuid> = held.map(|held| held.held_item_id).collect();
    if items.is_empty() {
        return Ok(());
    }
    let items: Vec<Uuid> = items.into_iter().collect();
    let found = tx.load_for_update(programme, kind, &items).await?;
    loaded.rows.extend(found.into_iter().map(|stored| ((kind, stored.row.id), stored)));
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
    lock_conflicts(tx, programme, &subjects, loaded).await
}

async fn lock_conflicts(
    tx: &mut impl WriteTx,
    programme: Uuid,
    subjects: &[Uuid],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let kind = EntityKind::Conflict;
    let mut found = tx.children(programme, kind, "subject_id", subjects).await?;
    found.retain(traces::is_open);
    if found.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = found.iter().map(|conflict| conflict.id).collect();
    for stored in tx.load_for_update(programme, kind, &ids).await? {
        let Some((subject_kind, subject)) = operation::subject_of(&stored.row) else { continue };
        loaded.conflicts.entry((subject_kind, subject)).or_default().push(stored.row.id);
        loaded.rows.insert((kind, stored.row.id), stored);
    }
    Ok(())
}

/// Loads what happened to rows that changed after the sender had seen them.
async fn load_changes(
    tx: &mut impl WriteTx,
    batch: &Batch<'_>,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let programme = batch.outbox.programme;
    // Whoever only creates rows has seen nothing of them, and others see them as they are created.
    if mutations.iter().any(|mutation| mutation.base_seq > 0 || mutation.op == Op::Patch) {
        loaded.forks = tx.forks(programme).await?;
    }
    let mut bases: BTreeMap<EntityKind, BTreeMap<Uuid, u64>> = BTreeMap::new();
    for mutation in mutations {
        let base = cursor::known_base(&loaded.forks, mutation.oldest_base());
        let key = (mutation.kind, mutation.row_id);
        let last = loaded.rows.get(&key).map(|stored| stored.seq);
        if last.or(loaded.graves.get(&key).map(|grave| grave.seq)).is_some_and(|last| last > base) {
            let oldest = bases.entry(mutation.kind).or_default().entry(mutation.row_id).or_insert(base);
            *oldest = base.min(*oldest);
        }
    }
    for (kind, bases) in bases {
        let bases: Vec<(Uuid, u64)> = bases.into_iter().collect();
        let changes = tx.changes_since(programme, kind, &bases, batch.earlier).await?;
        for change in shares::shared_out(changes, |row, field| loaded.said(kind, row, field)) {
            loaded.changes.entry((kind, change.row_id)).or_default().push(change);
        }
    }
    Ok(())
}

/// Finds which of the rows that were brought back after a restore say something else than the first time.
async fn load_put_right(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mutations: &[&Mutation],
    released: &[Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    // What waited for the row itself was made where the row had been seen.
    let waited = released.iter().filter(|mutation| mutation.op == Op::Patch);
    let lost = mutations.iter().copied().filter(|mutation| cursor::is_lost(&loaded.forks, mutation.base_seq));
    let seen: Vec<Key> = waited.chain(lost).map(|mutation| (mutation.kind, mutation.row_id)).collect();
    if seen.is_empty() {
        return Ok(());
    }
    let created: HashSet<Key> = mutations.iter().filter(|m| m.op == Op::Put).map(|m| (m.kind, m.row_id)).collect();
    let is_brought_back = |key: &Key| {
        let mut changes = loaded.changes.get(key).into_iter().flatten();
        created.contains(key) || changes.any(|change| change.old.is_empty())
    };
    let mut brought_back: BTreeMap<EntityKind, BTreeSet<Uuid>> = BTreeMap::new();
    for key in seen.into_iter().filter(is_brought_back) {
        brought_back.entry(key.0).or_default().insert(key.1);
    }
    for (kind, ids) in brought_back {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let refused = tx.refused_creations(programme, kind, &ids).await?;
        loaded.put_right.extend(refused.into_iter().map(|mutation| (kind, mutation.row_id)));
    }
    Ok(())
}

/// What the rules will look at.
struct Rehearsed {
    needs: HashSet<Need>,
    days: Days,
    /// The rows as they would be.
    rows: HashMap<Key, Row>,
}

/// The first and the last day on which something of a batch has its effect.
#[derive(Clone, Copy)]
struct Days(Option<(Date, Date)>);

impl Days {
    const NONE: Self = Self(None);
    const ALL: Self = Self(Some((Date(i32::MIN), Date(i32::MAX))));

    fn add(&mut self, day: Date) {
        let (first, last) = self.0.unwrap_or((day, day));
        self.0 = Some((first.min(day), last.max(day)));
    }
}

/// Applies the mutations without any rule, to learn what the rules will look at.
fn rehearse(mutations: &[&Mutation], stored: &HashMap<Key, StoredRow>, graves: &HashMap<Key, Grave>) -> Rehearsed {
    let mut rehearsed = Rehearsed { needs: HashSet::new(), days: Days::NONE, rows: HashMap::new() };
    let nothing = Related::new();
    for mutation in mutations {
        let key = (mutation.kind, mutation.row_id);
        let before = rehearsed.rows.get(&key).or_else(|| stored.get(&key).map(|stored| &stored.row));
        let before = before.or_else(|| graves.get(&key).map(|grave| &grave.row));
        let mut after = before.cloned().unwrap_or_else(|| patch::empty_row(mutation.kind.def(), mutation.row_id));
        patch::apply(&mut after, &mutation.patch);
        let is_voided = mutation.op == Op::Delete;
        let stays = (!is_voided).then_some(&after);
        rule::dates(mutation.kind, before, stays, &nothing).for_each(|day| rehearsed.days.add(day));
        rehearsed.needs.extend(rule::needs(mutation.kind, before.filter(|_| !is_voided), &after));
        rehearsed.rows.insert(key, after);
    }
    rehearsed
}

/// Loads the reporting periods that the batch touches, and where late work on its rows was booked.
async fn load_periods(
    tx: &mut impl WriteTx,
    programme: Uuid,
    mut days: Days,
    mutations: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    // The parts of a visit have the day of the visit.
    for visit in loaded.related.rows_of(EntityKind::Visit) {
        rule::dates(EntityKind::Visit, None, Some(visit), &loaded.related).for_each(|day| days.add(day));
    }
    let Some((from, until)) = days.0 else { return Ok(()) };
    let found = tx.periods(programme, from, until).await?;
    loaded.periods = found.iter().filter_map(|row| ReportingPeriod::from_row(row).ok()).collect();
    // Late work is booked to a later period than the one that it is dated into.
    if !loaded.periods.iter().any(|period| period.state == PeriodState::Locked && period.until_on >= from) {
        return Ok(());
    }
    let visits = loaded.related.rows_of(EntityKind::Visit).map(|visit| visit.id);
    let subjects: BTreeSet<Uuid> = mutations.iter().map(|mutation| mutation.row_id).chain(visits).collect();
    let subjects: Vec<Uuid> = subjects.into_iter().collect();
    for row in tx.children(programme, EntityKind::LateAdjustment, "subject_id", &subjects).await? {
        let Ok(adjustment) = LateAdjustment::from_row(&row) else { continue };
        if adjustment.is_new_row {
            loaded.booked.insert(adjustment.subject_id, adjustment.period_id.0);
        }
    }
    Ok(())
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
    let mut missing: BTreeSet<Key> = BTreeSet::new();
    for (kind, ids) in wanted {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let found = tx.existing(programme, kind, &ids).await?;
        loaded.existing.extend(found.into_iter().map(|id| (kind, id)));
        missing.extend(ids.into_iter().map(|id| (kind, id)).filter(|key| !loaded.existing.contains(key)));
    }
    for created in mutations.iter().filter(|mutation| mutation.op == Op::Put) {
        missing.remove(&(created.kind, created.row_id));
    }
    loaded.unknown.extend(missing);
    Ok(())
}

/// Returns the rows that a mutation refers to.
pub(super) fn references(mutation: &Mutation) -> impl Iterator<Item = Key> + '_ {
    let fields = mutation.kind.def().fields;
    mutation.patch.iter().filter_map(|(at, value)| Some((fields.get(*at)?.reference?, value.as_uuid()?)))
}
