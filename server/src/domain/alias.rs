//! The names of rows that were merged into others: a change that still names one is a change of the row that stayed.
//!
//! Who makes it has not seen the merge. To that person, the merge is a change by the office of every field in which
//! the two rows differed, from the value that the merged row had. So it meets the rules for concurrent edits: what it
//! says of a field in which both agreed takes effect, and of another one both values are kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use sync_protocol::code::MergeState;
use sync_protocol::cursor;
use sync_protocol::entity::{Entity as _, EntityKind, MergeProposal, MonthlyJobStatus, Row};
use sync_protocol::id::EmploymentId;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::time::Date;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::load::{Key, Loaded};
use super::write::Batch;
use super::{shares, traces};
use crate::store::row_history::FieldChange;
use crate::store::rows::StoredRow;
use crate::store::{StoreError, WriteTx};

/// Rows that were merged into others, by the name that they had.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases {
    rows: HashMap<Key, Alias>,
    /// The months of merged job records that come only now.
    months: HashMap<Uuid, LateMonth>,
}

/// A month of a job record that was merged before it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateMonth {
    /// The name that it has under the record that stayed.
    pub(super) name: Uuid,
    /// Who merged the records.
    pub(super) merged_by: Option<Uuid>,
}

/// A row that was merged into another one.
#[derive(Clone, Debug)]
struct Alias {
    /// The row that stayed.
    survivor: Uuid,
    /// The values that the merged row had, but for special categories.
    content: BTreeMap<String, serde_json::Value>,
    /// The commit that merged it.
    merged_seq: u64,
    merged_by: Option<Uuid>,
    /// What happened since, to someone who still sees the merged row.
    lineage: Vec<FieldChange>,
}

impl Aliases {
    /// Returns whether nothing that the batch names was merged.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns a mutation under the names that count today. Who voids a row that was merged has what was wanted, and
    /// who creates it again brings it back.
    pub(super) fn redirect<'m>(&self, mutation: &'m Mutation) -> Cow<'m, Mutation> {
        if self.is_empty() {
            return Cow::Borrowed(mutation);
        }
        let mut redirected = mutation.clone();
        if let Some(alias) = self.of(mutation) {
            redirected.row_id = alias.survivor;
        } else if let Some(month) = self.month(mutation) {
            redirected.row_id = month.name;
        }
        for (at, value) in &mut redirected.patch {
            let kind = mutation.kind.def().fields.get(*at).and_then(|field| field.reference);
            let alias = kind.zip(value.as_uuid()).and_then(|key| self.rows.get(&key));
            if let Some(alias) = alias {
                *value = Value::Uuid(alias.survivor);
            }
        }
        if redirected == *mutation { Cow::Borrowed(mutation) } else { Cow::Owned(redirected) }
    }

    /// Returns what happened to a row since, to the author of a mutation that names the merged row.
    pub(super) fn lineage(&self, mutation: &Mutation) -> Option<&[FieldChange]> {
        self.of(mutation).map(|alias| alias.lineage.as_slice())
    }

    fn of(&self, mutation: &Mutation) -> Option<&Alias> {
        self.rows.get(&(mutation.kind, mutation.row_id)).filter(|_| mutation.op == Op::Patch)
    }

    /// Follows months of merged job records that come only now: each has the name of the same month of the one that
    /// stayed, where another phone may have recorded it.
    pub(super) fn follow_months(&mut self, sent: &[&Mutation]) {
        for mutation in sent.iter().filter(|mutation| mutation.op == Op::Put) {
            let Some((employment, month_on)) = month_of(mutation) else { continue };
            let alias = self.rows.get(&(EntityKind::Employment, employment.0));
            let is_named_so = mutation.row_id == MonthlyJobStatus::id_of(employment, month_on).0;
            if let Some(alias) = alias.filter(|_| is_named_so) {
                let name = MonthlyJobStatus::id_of(EmploymentId(alias.survivor), month_on).0;
                self.months.insert(mutation.row_id, LateMonth { name, merged_by: alias.merged_by });
            }
        }
    }

    /// Returns what a month is now that comes after its job record was merged.
    pub(super) fn month(&self, mutation: &Mutation) -> Option<LateMonth> {
        let month = self.months.get(&mutation.row_id).copied();
        month.filter(|_| mutation.kind == EntityKind::MonthlyJobStatus)
    }

    /// Returns whether something that the batch names stands for a row.
    pub(super) fn lead_to(&self, row: Uuid) -> bool {
        self.rows.values().any(|alias| alias.survivor == row) || self.months.values().any(|month| month.name == row)
    }

    /// Returns the pairs of names of months that come only now.
    pub(super) fn months(&self) -> impl Iterator<Item = (Uuid, Uuid)> {
        self.months.iter().map(|(merged, month)| (*merged, month.name))
    }
}

/// Finds out which of the rows that are not there were merged into others.
pub(super) async fn find(
    tx: &mut impl WriteTx,
    programme: Uuid,
    unknown: &BTreeSet<Key>,
) -> Result<Aliases, StoreError> {
    let kind = EntityKind::MergeProposal;
    let ids: Vec<Uuid> = unknown.iter().map(|(_, id)| *id).collect();
    let found = tx.children(programme, kind, "alias_id", &ids).await?;
    if found.is_empty() {
        return Ok(Aliases::default());
    }
    // Locked: it may be merged on into another row at this moment.
    let ids: Vec<Uuid> = found.iter().map(|proposal| proposal.id).collect();
    let stored = tx.load_for_update(programme, kind, &ids).await?;
    let aliases = stored.iter().filter_map(alias).filter(|(key, _)| unknown.contains(key));
    Ok(Aliases { rows: aliases.collect(), months: HashMap::new() })
}

fn alias(stored: &StoredRow) -> Option<(Key, Alias)> {
    let proposal = MergeProposal::from_row(&stored.row).ok()?;
    let key = (EntityKind::from_name(&proposal.subject_kind)?, proposal.alias_id?);
    let alias = Alias {
        survivor: proposal.survivor_id?,
        content: proposal.merged_content.unwrap_or_default().0,
        merged_seq: stored.seq,
        merged_by: proposal.decided_by.map(Uuid::from),
        lineage: Vec::new(),
    };
    (proposal.state == MergeState::Merged).then_some((key, alias))
}

/// Loads what happened to the merged rows since the senders saw them, and to the rows that stayed since the merge.
pub(super) async fn load_lineages(
    tx: &mut impl WriteTx,
    batch: &Batch<'_>,
    sent: &[&Mutation],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let (programme, earlier) = (batch.outbox.programme, batch.earlier);
    let mut aliases = std::mem::take(&mut loaded.aliases);
    for ((kind, merged), alias) in &mut aliases.rows {
        let named = sent.iter().filter(|m| (m.kind, m.row_id, m.op) == (*kind, *merged, Op::Patch));
        let Some(base) =
            named.map(|mutation| mutation.oldest_base()).min().map(|seen| cursor::known_base(&loaded.forks, seen))
        else {
            continue;
        };
        let before = tx.changes_since(programme, *kind, &[(*merged, base)], earlier).await?;
        // What a merged row said in the end, the merge tells.
        let before = shares::shared_out(before, |_, _| None);
        let since = tx.changes_since(programme, *kind, &[(alias.survivor, alias.merged_seq)], earlier).await?;
        let since = shares::shared_out(since, |row, field| loaded.said(*kind, row, field));
        let survivor = loaded.rows.get(&(*kind, alias.survivor)).map(|stored| &stored.row);
        let merge = survivor.map(|survivor| alias.merge(*kind, as_merged(*kind, survivor, &since)));
        alias.lineage = before.into_iter().chain(merge).chain(since).collect();
    }
    loaded.aliases = aliases;
    Ok(())
}

impl Alias {
    /// Returns the merge as a change of the merged row: by the office, of the fields in which the two differed.
    fn merge(&self, kind: EntityKind, survivor: Row) -> FieldChange {
        let was = |name: &str, field_type| {
            self.content.get(name).and_then(|json| Value::from_json(field_type, json)).unwrap_or(Value::Null)
        };
        let values = kind.def().fields.iter().zip(&survivor.values);
        let old = values.filter_map(|(field, now)| {
            let was = was(field.name, field.field_type);
            (was != *now).then(|| (field.name.to_owned(), was))
        });
        FieldChange {
            row_id: self.survivor,
            seq: self.merged_seq,
            old: old.chain([(MERGED.to_owned(), Value::Null)]).collect(),
            outbox: None,
            no: 0,
            actor: self.merged_by,
            is_verbatim: false,
            names: vec![self.survivor],
        }
    }
}

/// Returns of which job record a mutation creates which month.
fn month_of(mutation: &Mutation) -> Option<(EmploymentId, Date)> {
    if mutation.kind != EntityKind::MonthlyJobStatus {
        return None;
    }
    let Value::Date(month_on) = traces::patched(mutation, "month_on")? else { return None };
    Some((EmploymentId(traces::patched(mutation, "employment_id")?.as_uuid()?), *month_on))
}

/// The name of no field: a change without any would be the creation of the row.
const MERGED: &str = "merged";

/// Returns the row that stayed as it was when the other one was merged into it.
fn as_merged(kind: EntityKind, survivor: &Row, since: &[FieldChange]) -> Row {
    let mut row = survivor.clone();
    for (name, value) in since.iter().rev().flat_map(|change| &change.old) {
        if let Some(at) = kind.def().position(name) {
            row.values[at] = value.clone();
        }
    }
    row
}
