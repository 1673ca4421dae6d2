use uuid::Uuid;

use super::{EntityKind, entity};
use crate::code::{ErasableKind, ErasureReason};
use crate::id::{ErasureId, UserId};
use crate::time::Timestamp;

entity! {
    /// What is known of a record that was erased because it was about a person (GDPR, Article 17): that there was one.
    /// Whoever still holds something of it lets go of it, and nobody brings it back. The identifier follows from that
    /// of the record.
    Erasure("erasure", ErasureId) scope(Programme) from(Office) {
        /// The kind of the record.
        subject_kind: ErasableKind [immutable],
        /// The record.
        subject_id: Uuid [indexed immutable],
        /// Why it was erased.
        reason: ErasureReason [immutable],
        /// Who erased it.
        erased_by: UserId [to(EntityKind::User) immutable],
        /// When.
        erased_at: Timestamp [indexed immutable],
    }
}

impl Erasure {
    /// Returns the identifier of the erasure of a record.
    pub fn id_of(subject: Uuid) -> ErasureId {
        ErasureId(Uuid::new_v5(&subject, b"erasure"))
    }
}

impl ErasableKind {
    /// Returns the kind of row, `None` for a code of a newer version.
    pub fn kind(self) -> Option<EntityKind> {
        Some(match self {
            Self::Employment => EntityKind::Employment,
            Self::Participation => EntityKind::Participation,
            Self::Attendee => EntityKind::Attendee,
            Self::MonthlyJobStatus => EntityKind::MonthlyJobStatus,
            Self::Unknown => return None,
        })
    }

    /// Returns the code of a kind of row, `None` for one that is about nobody.
    pub fn of(kind: EntityKind) -> Option<Self> {
        [Self::Employment, Self::Participation, Self::Attendee, Self::MonthlyJobStatus]
            .into_iter()
            .find(|erasable| erasable.kind() == Some(kind))
    }
}
