//! What the office does, as changes of rows. Pure: everything was loaded, nothing is written here.

use sync_protocol::code::ErasableKind;
use sync_protocol::entity::{EntityKind, Erasure, HeldContent, Row};
use sync_protocol::field::Field;
use sync_protocol::mutation::Op;
use sync_protocol::patch::Patch;
use sync_protocol::time::Timestamp;
use sync_protocol::value::{FieldValue as _, Value};
use uuid::Uuid;

use super::policy::Action;
use super::traces::VOIDED;

/// Something that a person in the office does, named as people name it.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Makes someone the mentor of an enterprise.
    AssignMentor {
        /// The enterprise.
        enterprise: Uuid,
        /// The mentor.
        mentor: Uuid,
    },
    /// Plans a visit.
    PlanVisit {
        /// The enterprise.
        enterprise: Uuid,
        /// The values of the visit, by field.
        values: Vec<(&'static str, Value)>,
    },
    /// Accepts a visit.
    ValidateVisit {
        /// The visit.
        visit: Uuid,
    },
    /// Sends a visit back to the mentor.
    ReturnVisit {
        /// The visit.
        visit: Uuid,
        /// What has to be mended.
        reason: String,
    },
    /// Records how far a job record was verified against its evidence.
    VerifyEmployment {
        /// The job record.
        employment: Uuid,
        /// How far.
        verification: String,
    },
    /// Settles a conflict for good.
    ResolveConflict {
        /// The conflict.
        conflict: Uuid,
        /// Whether the row gets the value that was not shown.
        takes_other: bool,
    },
    /// Locks a reporting period: nothing that is dated into it changes any more.
    LockPeriod {
        /// The period.
        period: Uuid,
    },
    /// Unlocks a reporting period; work that waited for it takes effect.
    UnlockPeriod {
        /// The period.
        period: Uuid,
        /// Why.
        reason: String,
    },
    /// Lets a held change take effect.
    ApproveHeld {
        /// The held item.
        item: Uuid,
        /// What there is to say about it.
        note: Option<String>,
        /// Fields that are put right before it takes effect, as JSON by their names in the field table.
        correction: Option<HeldContent>,
    },
    /// Gives a held change back to its author.
    ReturnHeld {
        /// The held item.
        item: Uuid,
        /// What has to be mended.
        reason: String,
    },
    /// Merges two rows that are one.
    AcceptMerge {
        /// The proposal.
        proposal: Uuid,
        /// The row that stays.
        survivor: Uuid,
        /// What there is to say about it.
        note: Option<String>,
    },
    /// Erases a record about a person, and everything that is kept of it.
    ErasePerson {
        /// The kind of the record.
        kind: EntityKind,
        /// The record.
        subject: Uuid,
        /// Why, as a code.
        reason: String,
    },
    /// Says that two rows are two, for good.
    DismissMerge {
        /// The proposal.
        proposal: Uuid,
        /// How they differ.
        reason: String,
    },
}

/// One change of one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) op: Op,
    pub(super) kind: EntityKind,
    pub(super) row_id: Uuid,
    /// The version that the change was made on; 0 for a new row.
    pub(super) base_seq: u64,
    pub(super) patch: Patch,
}

/// What an operation starts from.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    /// The row that the operation is about, and its version.
    pub(super) subject: &'a Row,
    pub(super) seq: u64,
    /// The grants on the subject with their versions, for [`Operation::AssignMentor`].
    pub(super) grants: &'a [(Row, u64)],
    /// The change by which a conflict's other value comes back, for [`Operation::ResolveConflict`].
    pub(super) restored: Option<Change>,
    pub(super) actor: Uuid,
    pub(super) now: Timestamp,
    /// The client's mutation id, from which new identifiers are derived: a retry makes the same rows.
    pub(super) mutation_id: Uuid,
}

impl Operation {
    /// Returns the row that must be seen for the operation to make sense.
    pub fn subject(&self) -> (EntityKind, Uuid) {
        match self {
            Self::AssignMentor { enterprise, .. } | Self::PlanVisit { enterprise, .. } => {
                (EntityKind::Enterprise, *enterprise)
            }
            Self::ValidateVisit { visit } | Self::ReturnVisit { visit, .. } => (EntityKind::Visit, *visit),
            Self::VerifyEmployment { employment, .. } => (EntityKind::Employment, *employment),
            Self::ResolveConflict { conflict, .. } => (EntityKind::Conflict, *conflict),
            Self::LockPeriod { period } | Self::UnlockPeriod { period, .. } => (EntityKind::ReportingPeriod, *period),
            Self::ApproveHeld { item, .. } | Self::ReturnHeld { item, .. } => (EntityKind::HeldItem, *item),
            Self::AcceptMerge { proposal, .. } | Self::DismissMerge { proposal, .. } => {
                (EntityKind::MergeProposal, *proposal)
            }
            Self::ErasePerson { kind, subject, .. } => (*kind, *subject),
        }
    }

    /// Returns what is needed, and on which kind of row in the scope of the subject.
    pub fn permission(&self) -> (Action, EntityKind) {
        match self {
            Self::AssignMentor { .. } => (Action::Assign, EntityKind::Enterprise),
            Self::PlanVisit { .. } => (Action::Create, EntityKind::Visit),
            Self::ValidateVisit { .. } | Self::ReturnVisit { .. } => (Action::Validate, EntityKind::Visit),
            Self::VerifyEmployment { .. } => (Action::Verify, EntityKind::Employment),
            Self::ResolveConflict { .. } => (Action::Resolve, EntityKind::Conflict),
            Self::LockPeriod { .. } | Self::UnlockPeriod { .. } => (Action::Lock, EntityKind::ReportingPeriod),
            Self::ApproveHeld { .. } | Self::ReturnHeld { .. } => (Action::Resolve, EntityKind::HeldItem),
            Self::AcceptMerge { .. } | Self::DismissMerge { .. } => (Action::Resolve, EntityKind::MergeProposal),
            Self::ErasePerson { .. } => (Action::Create, EntityKind::Erasure),
        }
    }

    /// Returns the row that the client gets to see afterwards.
    pub fn result(&self, mutation_id: Uuid) -> (EntityKind, Uuid) {
        match self {
            Self::PlanVisit { .. } => (EntityKind::Visit, derived(mutation_id, "visit")),
            Self::ErasePerson { subject, .. } => (EntityKind::Erasure, Erasure::id_of(*subject).0),
            other => other.subject(),
        }
    }

    /// Returns the changes, which are applied together or not at all.
    pub(super) fn changes(&self, ground: &Ground<'_>) -> Vec<Change> {
        let on_subject = |values: &[(&str, Value)]| {
            let (kind, row_id) = self.subject();
            Change { op: Op::Patch, kind, row_id, base_seq: ground.seq, patch: patch(kind, values) }
        };
        match self {
            Self::AssignMentor { mentor, .. } => {
                let mut changes = mentorship(*mentor, ground);
                changes.push(on_subject(&[("mentor_id", Value::Uuid(*mentor))]));
                changes
            }
            Self::PlanVisit { values, .. } => {
                vec![created(EntityKind::Visit, self.result(ground.mutation_id).1, values)]
            }
            Self::ValidateVisit { .. } => vec![on_subject(&[
                ("status", text("VALIDATED")),
                ("validated_by", Value::Uuid(ground.actor)),
                ("validated_at", Value::Timestamp(ground.now)),
            ])],
            Self::ReturnVisit { reason, .. } => vec![on_subject(&[
                ("status", text("RETURNED")),
                ("return_reason", text(reason)),
                ("validated_by", Value::Null),
                ("validated_at", Value::Null),
            ])],
            Self::VerifyEmployment { verification, .. } => vec![on_subject(&[
                ("verification", text(verification)),
                ("verified_by", Value::Uuid(ground.actor)),
                ("verified_on", Value::Date(ground.now.date())),
            ])],
            Self::ResolveConflict { .. } => {
                let settled = on_subject(&[
                    ("state", text("RESOLVED")),
                    ("resolved_by", Value::Uuid(ground.actor)),
                    ("resolved_at", Value::Timestamp(ground.now)),
                ]);
                std::iter::once(settled).chain(ground.restored.clone()).collect()
            }
            Self::LockPeriod { .. } => vec![on_subject(&[
                ("state", text("LOCKED")),
                ("locked_by", Value::Uuid(ground.actor)),
                ("locked_at", Value::Timestamp(ground.now)),
                ("unlock_reason", Value::Null),
            ])],
            Self::UnlockPeriod { reason, .. } => vec![on_subject(&[
                ("state", text("OPEN")),
                ("locked_by", Value::Null),
                ("locked_at", Value::Null),
                ("unlock_reason", text(reason)),
            ])],
            Self::ApproveHeld { note, correction, .. } => vec![on_subject(&[
                ("state", text("APPLIED")),
                ("decision_note", note.to_value()),
                ("correction", correction.to_value()),
            ])],
            Self::ReturnHeld { reason, .. } => {
                vec![on_subject(&[("state", text("RETURNED")), ("decision_note", text(reason))])]
            }
            Self::AcceptMerge { survivor, note, .. } => vec![on_subject(&[
                ("state", text("MERGED")),
                ("survivor_id", Value::Uuid(*survivor)),
                ("decision_note", note.to_value()),
            ])],
            Self::DismissMerge { reason, .. } => {
                vec![on_subject(&[("state", text("DISMISSED")), ("decision_note", text(reason))])]
            }
            Self::ErasePerson { kind, subject, reason } => vec![created(
                EntityKind::Erasure,
                Erasure::id_of(*subject).0,
                &[
                    ("subject_kind", ErasableKind::of(*kind).to_value()),
                    ("subject_id", Value::Uuid(*subject)),
                    ("reason", text(reason)),
                    ("erased_by", Value::Uuid(ground.actor)),
                    ("erased_at", Value::Timestamp(ground.now)),
                ],
            )],
        }
    }
}

/// Returns the row that a conflict is about.
pub(super) fn subject_of(conflict: &Row) -> Option<(EntityKind, Uuid)> {
    let get = |name| conflict.get(EntityKind::Conflict.def(), name);
    Some((EntityKind::from_name(get("subject_kind").as_text()?)?, get("subject_id").as_uuid()?))
}

/// Returns the row and the field that a conflict is about.
pub(super) fn contested(conflict: &Row) -> Option<(EntityKind, Uuid, &'static Field)> {
    let (kind, id) = subject_of(conflict)?;
    Some((kind, id, kind.def().field(conflict.get(EntityKind::Conflict.def(), "field").as_text()?)?))
}

/// Returns the change that gives a row the value that a conflict kept beside it, `None` when the conflict does not
/// hold one that this version can read.
pub(super) fn restored(conflict: &Row, base_seq: u64) -> Option<Change> {
    if conflict.get(EntityKind::Conflict.def(), "field").as_text() == Some(VOIDED) {
        let (kind, row_id) = subject_of(conflict)?;
        return Some(Change { op: Op::Delete, kind, row_id, base_seq, patch: Patch::new() });
    }
    let (kind, row_id, field) = contested(conflict)?;
    let other = conflict.get(EntityKind::Conflict.def(), "other_value").as_text()?;
    let value = Value::from_json(field.field_type, &serde_json::from_str(other).ok()?)?;
    Some(Change { op: Op::Patch, kind, row_id, base_seq, patch: patch(kind, &[(field.name, value)]) })
}

/// Ends the mentorships of others and begins that of `mentor`, unless it lasts already.
fn mentorship(mentor: Uuid, ground: &Ground<'_>) -> Vec<Change> {
    let def = EntityKind::ScopeGrant.def();
    let lasts = |grant: &Row| match grant.get(def, "valid_until_at") {
        Value::Timestamp(until) => *until > ground.now,
        _ => true,
    };
    let is_mentorship = |grant: &Row| grant.get(def, "role").as_text() == Some("MENTOR");
    let open: Vec<_> = ground.grants.iter().filter(|(grant, _)| is_mentorship(grant) && lasts(grant)).collect();
    let is_of_mentor = |grant: &Row| grant.get(def, "user_id").as_uuid() == Some(mentor);
    let ended = open.iter().filter(|(grant, _)| !is_of_mentor(grant)).map(|(grant, seq)| Change {
        op: Op::Patch,
        kind: EntityKind::ScopeGrant,
        row_id: grant.id,
        base_seq: *seq,
        patch: patch(EntityKind::ScopeGrant, &[("valid_until_at", Value::Timestamp(ground.now))]),
    });
    let mut changes: Vec<Change> = ended.collect();
    if !open.iter().any(|(grant, _)| is_of_mentor(grant)) {
        changes.push(new_grant(mentor, ground));
    }
    changes
}

fn new_grant(mentor: Uuid, ground: &Ground<'_>) -> Change {
    let values = [
        ("user_id", Value::Uuid(mentor)),
        ("scope_kind", text("ENTERPRISE")),
        ("scope_id", Value::Uuid(ground.subject.id)),
        ("role", text("MENTOR")),
        ("valid_from_at", Value::Timestamp(ground.now)),
    ];
    created(EntityKind::ScopeGrant, derived(ground.mutation_id, "grant"), &values)
}

fn created(kind: EntityKind, row_id: Uuid, values: &[(&str, Value)]) -> Change {
    Change { op: Op::Put, kind, row_id, base_seq: 0, patch: patch(kind, values) }
}

/// Returns a patch in the order of the field table; names outside it do not occur.
fn patch(kind: EntityKind, values: &[(&str, Value)]) -> Patch {
    let placed = values.iter().filter_map(|(name, value)| Some((kind.def().position(name)?, value.clone())));
    let mut patch: Patch = placed.collect();
    patch.sort_unstable_by_key(|(at, _)| *at);
    patch
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn derived(mutation_id: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&mutation_id, name.as_bytes())
}
