//! The erasure of a record about a person: it goes, with everything that quotes it, and what is kept says only that
//! there was one. No locked period and no state of the record stands against it.

use std::collections::BTreeSet;

use sync_protocol::code::ErasableKind;
use sync_protocol::entity::{Entity as _, EntityKind, Erasure, Row};
use sync_protocol::mutation::Mutation;

use super::{Decider, Slot, Source, Verdict};
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

    /// Whether a mutation is about something that was erased, or names it.
    pub(super) fn is_erased(&self, mutation: &Mutation) -> bool {
        let erased = &self.loaded.erased;
        !erased.is_empty()
            && (erased.contains(&mutation.row_id) || references(mutation).any(|(_, id)| erased.contains(&id)))
    }
}
