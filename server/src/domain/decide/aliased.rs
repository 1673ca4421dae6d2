//! Mutations that name rows which were merged into others meanwhile.

use std::borrow::Cow;

use sync_protocol::mutation::{Mutation, Op};

use super::{Decider, ERASED, Source, Verdict};

impl Decider<'_> {
    /// Decides a mutation, under the names that count today.
    pub(super) fn decide_mutation(&mut self, mutation: &Mutation, source: &Source<'_>) -> Verdict {
        if self.is_erased(mutation) {
            return Verdict::Rejected { code: ERASED, violation: None };
        }
        let Cow::Owned(redirected) = self.redirected(mutation) else { return self.decide_named(mutation, source) };
        // The device shows it otherwise, and the row as it is does not tell what was sent.
        self.is_verbatim = false;
        self.touched_again.insert((mutation.kind, mutation.row_id));
        let Some(lineage) = self.loaded.aliases.lineage(mutation).map(<[_]>::to_vec) else {
            let verdict = self.decide_named(&redirected, source);
            if verdict.is_written() && mutation.op == Op::Put {
                self.name_late_month(mutation);
            }
            return verdict;
        };
        let key = (redirected.kind, redirected.row_id);
        let mut slot = self.slot(key);
        slot.seq = lineage.last().map_or(slot.seq, |last| last.seq.max(slot.seq));
        self.slots.insert(key, slot);
        // What happened to the row that stayed is another story than what this person has missed.
        let own = self.loaded.changes.insert(key, lineage);
        let verdict = self.decide_named(&redirected, source);
        self.loaded.changes.insert(key, own.unwrap_or_default());
        verdict
    }

    /// Returns a mutation under the names that count today.
    pub(super) fn redirected<'m>(&self, mutation: &'m Mutation) -> Cow<'m, Mutation> {
        self.loaded.aliases.redirect(mutation)
    }
}
