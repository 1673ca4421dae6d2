//! Row identifiers: UUIDs made by whoever creates the row, online or not.
//!
//! Each entity has its own type, so that a visit's id cannot be passed where an enterprise's is meant.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Defines one identifier type per line.
macro_rules! id_type {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }

        impl $crate::value::FieldValue for $name {
            const TYPE: $crate::value::FieldType = $crate::value::FieldType::Uuid;
            const NULLABLE: bool = false;
            fn to_value(&self) -> $crate::value::Value {
                $crate::value::Value::Uuid(self.0)
            }
            fn from_value(value: &$crate::value::Value) -> Option<Self> {
                match value {
                    $crate::value::Value::Uuid(id) => Some(Self(*id)),
                    _ => None,
                }
            }
        }
    )*};
}

id_type! {
    /// A programme: the tenant. It leads every primary key on the server.
    ProgrammeId
    /// A main line of action of the programme.
    ActionLineId
    /// A target of a programme indicator.
    TargetId
    /// A person who signs in.
    UserId
    /// The permission of one user on one scope.
    ScopeGrantId
    /// A social enterprise.
    EnterpriseId
    /// A place where an enterprise works.
    SiteId
    /// A job of an enterprise, filled or not.
    PositionId
    /// A job record: one person in one position.
    EmploymentId
    /// The state of one employment in one month.
    MonthlyJobStatusId
    /// A visit to an enterprise.
    VisitId
    /// An answer to one question of a visit's form.
    ChecklistAnswerId
    /// Something found during a visit.
    FindingId
    /// Something to be done after a visit.
    FollowUpActionId
    /// Someone present at a visit.
    AttendeeId
    /// A participant's headline record.
    ParticipationId
    /// A version of a visit form.
    FormId
    /// A question of a form.
    QuestionId
    /// One entry of a code list.
    CodeId
    /// Two concurrent edits of one field.
    ConflictId
    /// A change that the server keeps until something else happens.
    HeldItemId
    /// A stretch of time that is reported as a whole.
    ReportingPeriodId
    /// Late work that was booked to another period.
    LateAdjustmentId
    /// Two rows that may be one.
    MergeProposalId
    /// That a record about a person was erased.
    ErasureId
    /// A phone or tablet that was enrolled.
    DeviceId
}
