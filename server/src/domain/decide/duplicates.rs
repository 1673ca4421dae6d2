//! Rows that may be one and the same: both stand, and a proposal to merge them is kept beside them.
//!
//! A proposal is open exactly as long as both rows are there and alike, and nobody has decided. So the same rows have
//! the same proposals, whatever the order in which they came.

use std::collections::BTreeMap;

use sync_protocol::code::MergeState;
use sync_protocol::entity::{Entity as _, EntityKind, MergeProposal, Row};
use sync_protocol::rule;
use sync_protocol::value::Value;
use uuid::Uuid;

use super::{Decider, Slot};
use crate::domain::load::Key;
use crate::domain::traces::{self, Trace};

/// Two rows of a kind, the one with the smaller identifier first.
type Pair = (EntityKind, Uuid, Uuid);

impl Decider<'_> {
    /// Proposes to merge rows of the batch with those that look like them, and withdraws what was proposed about rows
    /// that do so no longer.
    pub(super) fn propose_merges(&mut self) {
        let changed = self.slots.iter().filter(|(key, slot)| is_told_anew(key.0, slot));
        let mut changed: Vec<Key> = changed.map(|(key, _)| *key).collect();
        if changed.is_empty() {
            return;
        }
        changed.sort_unstable();
        let alike = self.alike(&changed);
        for (pair, (scope, matched)) in &alike {
            self.propose(*pair, *scope, matched);
        }
        for id in self.loaded.proposals.clone() {
            let Some(proposal) = self.proposal(id).filter(|proposal| is_open_about(proposal, &changed)) else {
                continue;
            };
            let kind = EntityKind::from_name(&proposal.subject_kind);
            if kind.is_none_or(|kind| !alike.contains_key(&(kind, proposal.first_id, proposal.second_id))) {
                self.keep_proposal(&MergeProposal { state: MergeState::Withdrawn, ..proposal });
            }
        }
    }

    /// Returns the pairs of rows that look alike and of which one has changed, with their scope and the fields in which
    /// they agree.
    fn alike(&self, changed: &[Key]) -> BTreeMap<Pair, (Uuid, &'static [&'static str])> {
        let families = rule::families(self.kin());
        let mut alike = BTreeMap::new();
        for (kind, id) in changed {
            let Some(row) = self.slots.get(&(*kind, *id)).and_then(|slot| slot.now.as_ref()) else { continue };
            let family = rule::likeness(*kind, row).and_then(|likeness| families.get(&(*kind, likeness)));
            let scope = row.scope_id(kind.def(), self.batch.outbox.programme);
            for other in family.into_iter().flatten() {
                let matched = rule::matched(*kind, row, other);
                if !matched.is_empty() {
                    alike.insert((*kind, row.id.min(other.id), row.id.max(other.id)), (scope, matched));
                }
            }
        }
        alike
    }

    /// Returns the rows that are compared, as they are now.
    fn kin(&self) -> impl Iterator<Item = (EntityKind, &Row)> {
        let stored = self.loaded.kin.iter().map(|(kind, row)| (*kind, row));
        let untouched = stored.filter(|(kind, row)| !self.slots.contains_key(&(*kind, row.id)));
        let here = self.slots.iter().filter_map(|((kind, _), slot)| Some((*kind, slot.now.as_ref()?)));
        untouched.chain(here)
    }

    fn propose(&mut self, (kind, first, second): Pair, scope: Uuid, matched: &[&str]) {
        let id = traces::proposal_id(first, second);
        let fresh = traces::proposal(id, (kind, first, second), matched, scope, self.batch.received_at);
        let wanted = match self.proposal(id.0) {
            Some(known) if known.state == MergeState::Dismissed => known,
            // Of a pair that was merged, and of which the other row has come back: what was said of it then stays to
            // be read.
            Some(known) => {
                MergeProposal { detected_at: known.detected_at, decision_note: known.decision_note, ..fresh }
            }
            None => fresh,
        };
        self.keep_proposal(&wanted);
    }

    /// Writes a proposal unless it stands so already. The sender does not show it.
    pub(super) fn keep_proposal(&mut self, proposal: &MergeProposal) {
        let row = proposal.to_row();
        let known = self.slot((EntityKind::MergeProposal, row.id)).now;
        if known.as_ref() != Some(&row) {
            self.is_verbatim = false;
            self.replace(EntityKind::MergeProposal, Trace { row, is_update: known.is_some() });
        }
    }

    pub(super) fn proposal(&self, id: Uuid) -> Option<MergeProposal> {
        let row = self.slot((EntityKind::MergeProposal, id)).now?;
        MergeProposal::from_row(&row).ok()
    }
}

/// Whether something changed of what tells a row from others.
fn is_told_anew(kind: EntityKind, slot: &Slot) -> bool {
    let told = |row: &Option<Row>| -> Option<Vec<Value>> {
        let row = row.as_ref()?;
        Some(rule::compared(kind).iter().map(|name| row.get(kind.def(), name).clone()).collect())
    };
    !rule::compared(kind).is_empty() && slot.is_touched && told(&slot.before) != told(&slot.now)
}

fn is_open_about(proposal: &MergeProposal, changed: &[Key]) -> bool {
    let is_changed = |id| changed.iter().any(|(kind, row)| (kind.def().name, *row) == (&*proposal.subject_kind, id));
    proposal.state == MergeState::Open && (is_changed(proposal.first_id) || is_changed(proposal.second_id))
}
