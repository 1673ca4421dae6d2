//! The erasure of a record about a person: it goes, with everything that quotes it, and what is kept says only that
//! there was one. No locked period and no state of the record stands against it.

use std::collections::BTreeSet;
use std::iter;

use sync_protocol::code::ErasableKind;
use sync_protocol::entity::{Entity as _, EntityKind, Erasure, Row};
use sync_protocol::mutation::{Mutation, Op};

use super::{Decider, ERASED, Slot, Source, Verdict};
use crate::domain::load::{Key, references};
use crate::domain::traces::Trace;

impl Decider<'_> {
    /// Erases the record that an erasure is about.
    pub(super) fn erase(&mut self, mutation: &Mutation, slot: Slot, mut after: Row, source: &Source<'_>) -> Verdict {
        if let Err(violation) = self.check_rules(mutation, slot.now.as_ref(), &mut after, source) {
            return Verdict::refused(violation);
        }
        let Ok(erasure) = Erasure::from_row(&after) else { return Verdict::review() };
        let circle = self.loaded.circles.get(&mutation.row_id).cloned().unwrap_or_default();
        self.put((mutation.kind, mutation.row_id), slot, Some(after));
        for key in circle.records.iter().chain(&circle.traces) {
            let mut slot = self.slot(*key);
            (slot.now, slot.last) = (None, None);
            self.put(*key, slot, None);
        }
        self.keep_erasures(&erasure, &circle.records);
        self.purged.extend(circle.records);
        self.purged.extend(circle.traces);
        self.is_verbatim = false;
        Verdict::Applied
    }

    /// Says of everything that went with the record, too, that it was erased.
    fn keep_erasures(&mut self, erasure: &Erasure, records: &BTreeSet<Key>) {
        for (kind, id) in records {
            let (row, known) = (Erasure::id_of(*id), self.slot((EntityKind::Erasure, Erasure::id_of(*id).0)));
            if let Some(subject_kind) = ErasableKind::of(*kind).filter(|_| known.now.is_none()) {
                let also = Erasure { id: row, subject_kind, subject_id: *id, ..erasure.clone() };
                self.replace(EntityKind::Erasure, Trace::new(&also));
            }
        }
    }

    /// Returns the erasure of what a mutation is about, or names.
    pub(super) fn erasure_of(&self, mutation: &Mutation) -> Option<&Erasure> {
        let named = references(mutation).map(|(_, id)| id);
        iter::once(mutation.row_id).chain(named).find_map(|id| self.loaded.erased.get(&id))
    }

    /// Refuses what is about an erased person. What comes later about a row that is not created for that reason is about
    /// the same person.
    pub(super) fn refuse_erased(&mut self, mutation: &Mutation, erasure: Erasure, source: &Source<'_>) -> Verdict {
        let is_new = mutation.op == Op::Put && !self.loaded.erased.contains_key(&mutation.row_id);
        if is_new && !source.is_office() {
            self.refused.insert((mutation.kind, mutation.row_id), erasure.clone());
            self.loaded.erased.insert(mutation.row_id, erasure);
        }
        Verdict::Rejected { code: ERASED, violation: None }
    }

    /// Says of the rows that were refused so that they were erased with the person, whatever became of their groups.
    pub(super) fn erase_refused(&mut self) {
        for (key, erasure) in std::mem::take(&mut self.refused) {
            self.keep_erasures(&erasure, &BTreeSet::from([key]));
            self.purged.insert(key);
        }
    }
}
