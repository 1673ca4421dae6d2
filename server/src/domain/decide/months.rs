//! The months of a job record that is merged into another one: of each month there is one row, under the name that every
//! phone gives it.
//!
//! A month that only the merged record has goes on under that name. Of one that both have, that of the record that stays
//! is shown, and what the other one says differently is kept in conflicts. A month that comes later, under the merged
//! record, is one more account of the same month: it meets whatever stands there as any concurrent edit does.

use sync_protocol::code::MergeState;
use sync_protocol::entity::{Entity as _, EntityKind, LateAdjustment, MergeProposal, MonthlyJobStatus, Row};
use sync_protocol::id::UserId;
use sync_protocol::mutation::Mutation;
use sync_protocol::patch;
use uuid::Uuid;

use super::Decider;
use super::merging::Pair;
use crate::domain::load::Key;
use crate::domain::traces::{self, Trace};

/// The fields in which two accounts of a month agree.
const SAME_MONTH: [&str; 2] = ["employment_id", "month_on"];

impl Decider<'_> {
    /// Makes a month of the merged job record one of the record that stays.
    pub(super) fn move_month(&mut self, jobs: &Pair, key: Key, moved: Row, decision: &Mutation) {
        let Ok(mut month) = MonthlyJobStatus::from_row(&moved) else { return };
        month.id = MonthlyJobStatus::id_of(month.employment_id, month.month_on);
        let (kind, name) = (key.0, month.id.0);
        let known = self.slot((kind, name)).now.or_else(|| self.month_of(jobs, &month));
        let Some(merged) = self.slot(key).now.filter(|_| name != key.1) else {
            return self.put(key, self.slot(key), Some(moved));
        };
        let survivor = known.unwrap_or_else(|| {
            let row = month.to_row();
            self.put((kind, name), self.slot((kind, name)), Some(row.clone()));
            self.move_adjustments(key.1, name);
            row
        });
        let pair = Pair { kind, survivor, merged };
        self.give_way(&pair, decision);
        self.name_month(&pair.merged, pair.survivor.id, Some(decision.author));
    }

    /// Returns the row by which the job record that stays has a month already.
    fn month_of(&self, jobs: &Pair, month: &MonthlyJobStatus) -> Option<Row> {
        let children = self.loaded.children.get(&jobs.survivor.id).into_iter().flatten();
        let months = children.filter(|((kind, _), _)| *kind == EntityKind::MonthlyJobStatus);
        let rows = months.filter_map(|(key, _)| self.slot(*key).now);
        let same = rows.filter(|row| MonthlyJobStatus::from_row(row).is_ok_and(|row| row.month_on == month.month_on));
        same.min_by_key(|row| row.id)
    }

    /// What came late stays in the period that it was booked to.
    fn move_adjustments(&mut self, from: Uuid, to: Uuid) {
        for id in self.loaded.adjustments.remove(&from).unwrap_or_default() {
            let row = self.slot((EntityKind::LateAdjustment, id)).now;
            let Some(known) = row.and_then(|row| LateAdjustment::from_row(&row).ok()) else { continue };
            let moved = LateAdjustment { subject_id: to, ..known };
            self.replace(EntityKind::LateAdjustment, Trace { row: moved.to_row(), is_update: true });
        }
    }

    /// Keeps the name of a month that was created under a merged job record, for changes of it that come later.
    pub(super) fn name_late_month(&mut self, mutation: &Mutation) {
        let Some(month) = self.loaded.aliases.month(mutation) else { return };
        let mut said = patch::empty_row(mutation.kind.def(), mutation.row_id);
        patch::apply(&mut said, &mutation.patch);
        self.name_month(&said, month.name, month.merged_by.map(UserId));
    }

    fn name_month(&mut self, merged: &Row, name: Uuid, by: Option<UserId>) {
        let kind = EntityKind::MonthlyJobStatus;
        let (first, second) = (merged.id.min(name), merged.id.max(name));
        let now = self.batch.received_at;
        let scope = self.scope_of((kind, name));
        let fresh =
            traces::proposal(traces::proposal_id(first, second), (kind, first, second), &SAME_MONTH, scope, now);
        self.keep_proposal(&MergeProposal {
            state: MergeState::Merged,
            alias_id: Some(merged.id),
            survivor_id: Some(name),
            merged_content: Some(traces::told(kind, merged)),
            decided_by: by,
            decided_at: Some(now),
            ..fresh
        });
    }
}
