//! Mutations that name rows which were merged into others meanwhile.

use std::borrow::Cow;

use sync_protocol::mutation::{Mutation, Op};

use super::{Decider, Source, Verdict};
use crate::domain::merge::{HERE, Writer};

impl Decider<'_> {
    /// Decides a mutation, under the names that count today.
    pub(super) fn decide_mutation(&mut self, mutation: &Mutation, source: &Source<'_>) -> Verdict {
        let redirected = self.redirected(mutation);
        if let Some(erasure) = self.erasure_of(mutation).or_else(|| self.erasure_of(&redirected)).cloned() {
            return self.refuse_erased(mutation, erasure, source);
        }
        let key = (redirected.kind, redirected.row_id);
        let before = self.loaded.aliases.lead_to(key.1).then(|| self.slot(key).now);
        let verdict = match &redirected {
            Cow::Borrowed(named) => self.decide_named(named, source),
            Cow::Owned(redirected) => self.decide_redirected(mutation, redirected, source),
        };
        if let Some(before) = before.filter(|_| verdict.is_written()) {
            self.note_change(&redirected, before.as_ref(), &source.writer.outbox, mutation.row_id);
        }
        verdict
    }

    fn decide_redirected(&mut self, sent: &Mutation, redirected: &Mutation, source: &Source<'_>) -> Verdict {
        // The device shows it otherwise, and the row as it is does not tell what was sent.
        self.is_verbatim = false;
        self.touched_again.insert((sent.kind, sent.row_id));
        let alias = (redirected.row_id != sent.row_id).then_some(sent.row_id);
        let source = &Source { writer: Writer { alias, ..source.writer }, ..*source };
        let Some(lineage) = self.loaded.aliases.lineage(sent).map(<[_]>::to_vec) else {
            let verdict = self.decide_named(redirected, source);
            if verdict.is_written() && sent.op == Op::Put {
                self.name_late_month(sent);
            }
            return verdict;
        };
        let key = (redirected.kind, redirected.row_id);
        let mut slot = self.slot(key);
        slot.seq = lineage.last().map_or(slot.seq, |last| last.seq.max(slot.seq));
        self.slots.insert(key, slot);
        // What happened to the row that stayed is another story than what this person has missed, but for what the
        // batch itself has done.
        let own = self.loaded.changes.remove(&key).unwrap_or_default();
        let here = own.iter().filter(|change| change.seq == HERE).cloned();
        self.loaded.changes.insert(key, lineage.into_iter().chain(here).collect());
        let verdict = self.decide_named(redirected, source);
        self.loaded.changes.insert(key, own);
        verdict
    }

    /// Returns a mutation under the names that count today.
    pub(super) fn redirected<'m>(&self, mutation: &'m Mutation) -> Cow<'m, Mutation> {
        self.loaded.aliases.redirect(mutation)
    }
}
