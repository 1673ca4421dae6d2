//! What a person decided about a proposal to merge, carried out: one row stays, the other one is gone, and nothing
//! that it said is lost.

use sync_protocol::code::MergeState;
use sync_protocol::entity::{Entity as _, EntityKind, MergeProposal, Row};
use sync_protocol::message::MessageKey;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::rule::{self, Violation};
use sync_protocol::value::Value;

use super::{Decider, Slot, Source, Verdict};
use crate::domain::load::Key;
use crate::domain::traces::{self, Trace};

/// The two rows of a merge.
pub(super) struct Pair {
    pub(super) kind: EntityKind,
    pub(super) survivor: Row,
    pub(super) merged: Row,
}

impl Decider<'_> {
    /// Carries out what a person decided about a proposal.
    pub(super) fn decide_merge(
        &mut self,
        decision: &Mutation,
        slot: Slot,
        mut after: Row,
        source: &Source<'_>,
    ) -> Verdict {
        if let Err(violation) = self.check_rules(decision, slot.now.as_ref(), &mut after, source) {
            return Verdict::refused(violation);
        }
        let Ok(mut proposal) = MergeProposal::from_row(&after) else { return Verdict::review() };
        if proposal.state == MergeState::Merged {
            let Some(pair) = self.pair(&proposal) else {
                return Verdict::refused(Violation::hard(rule::STATE, "state", MessageKey::MergeRowGone));
            };
            if let Some(refusal) = self.merge_into(&pair, decision, source) {
                return refusal;
            }
            proposal.alias_id = Some(pair.merged.id);
            proposal.merged_content = Some(traces::told(pair.kind, &pair.merged));
        }
        proposal.decided_by = Some(decision.author);
        proposal.decided_at = Some(self.batch.received_at);
        self.is_verbatim = false;
        self.put((decision.kind, decision.row_id), slot, Some(proposal.to_row()));
        Verdict::Applied
    }

    /// Returns both rows, `None` when one of them is there no longer.
    fn pair(&self, proposal: &MergeProposal) -> Option<Pair> {
        let kind = EntityKind::from_name(&proposal.subject_kind)?;
        let survivor = proposal.survivor_id?;
        let merged = if survivor == proposal.first_id { proposal.second_id } else { proposal.first_id };
        let row = |id| self.slot((kind, id)).now;
        Some(Pair { kind, survivor: row(survivor)?, merged: row(merged)? })
    }

    /// Merges a row into another one. Returns why not.
    fn merge_into(&mut self, pair: &Pair, decision: &Mutation, source: &Source<'_>) -> Option<Verdict> {
        let children = self.moved_children(pair);
        if let Some(refusal) = self.touch_periods(pair, &children, decision, source) {
            return Some(refusal);
        }
        for (key, child) in children {
            match key.0 {
                EntityKind::MonthlyJobStatus => self.move_month(pair, key, child, decision),
                _ => self.put(key, self.slot(key), Some(child)),
            }
        }
        self.give_way(pair, decision);
        None
    }

    /// Lets a row give way to the one that stays, which has whatever was kept of it.
    pub(super) fn give_way(&mut self, pair: &Pair, decision: &Mutation) {
        self.keep_other_values(pair, decision);
        self.move_conflicts(pair);
        self.move_aliases(pair);
        let key = (pair.kind, pair.merged.id);
        let mut slot = self.slot(key);
        slot.last = slot.now.take();
        self.put(key, slot, None);
    }

    /// Returns what named the merged row, as it names the other one.
    fn moved_children(&self, pair: &Pair) -> Vec<(Key, Row)> {
        let children = self.loaded.children.get(&pair.merged.id).into_iter().flatten();
        let moved = children.filter_map(|(key, at)| {
            let mut row = self.slot(*key).now?;
            row.values[*at] = Value::Uuid(pair.survivor.id);
            Some((*key, row))
        });
        moved.collect()
    }

    /// Returns the refusal when something of it is dated into a locked period, in which nothing changes (I29).
    fn touch_periods(
        &mut self,
        pair: &Pair,
        children: &[(Key, Row)],
        decision: &Mutation,
        source: &Source<'_>,
    ) -> Option<Verdict> {
        let voiding = |kind, row_id| Mutation { op: Op::Delete, kind, row_id, ..decision.clone() };
        let void = voiding(pair.kind, pair.merged.id);
        if let Some(refusal) = self.enter_period(&void, Some(&pair.merged), None, source) {
            return Some(refusal);
        }
        children.iter().find_map(|((kind, id), child)| {
            let before = self.slot((*kind, *id)).now;
            self.enter_period(&voiding(*kind, *id), before.as_ref(), Some(child), source)
        })
    }

    /// Keeps each value of the merged row that is not that of the other one in a conflict: a person may prefer it.
    fn keep_other_values(&mut self, pair: &Pair, decision: &Mutation) {
        let scope = self.scope_of((pair.kind, pair.survivor.id));
        let values = pair.survivor.values.iter().zip(&pair.merged.values);
        for (field, (kept, other)) in pair.kind.def().fields.iter().zip(values) {
            if kept != other && !field.immutable {
                let sides = (&pair.survivor, &pair.merged);
                let row = traces::merged_value(decision, pair.kind, field, sides, scope, self.batch);
                self.loaded.conflicts.entry((pair.kind, pair.survivor.id)).or_default().push(row.row.id);
                self.replace(EntityKind::Conflict, row);
            }
        }
    }

    /// Open conflicts about the merged row are about the other one now.
    fn move_conflicts(&mut self, pair: &Pair) {
        let about = self.loaded.conflicts.remove(&(pair.kind, pair.merged.id)).unwrap_or_default();
        for id in about {
            let key = (EntityKind::Conflict, id);
            let moved = self.slot(key).now.and_then(|row| traces::moved_conflict(&row, pair.kind, &pair.survivor));
            if let Some(moved) = moved {
                self.replace(EntityKind::Conflict, Trace { row: moved, is_update: true });
                self.loaded.conflicts.entry((pair.kind, pair.survivor.id)).or_default().push(id);
            }
        }
    }

    /// What stood for the merged row stands for the other one now.
    fn move_aliases(&mut self, pair: &Pair) {
        for id in self.loaded.proposals.clone() {
            let known = self.proposal(id).filter(|proposal| proposal.survivor_id == Some(pair.merged.id));
            if let Some(known) = known.filter(|proposal| proposal.state == MergeState::Merged) {
                self.keep_proposal(&MergeProposal { survivor_id: Some(pair.survivor.id), ..known });
            }
        }
    }
}
