//! The verbs: their names, their input, and the operation that they stand for.

use async_graphql::Value as Given;
use sync_protocol::code::ErasableKind;
use sync_protocol::entity::{EntityKind, HeldContent};
use sync_protocol::time::Timestamp;
use sync_protocol::value::Value;
use uuid::Uuid;

use crate::domain::operation::Operation;
use crate::graphql::arguments::{Named, given, text};
use crate::graphql::error::Fault;
use crate::graphql::paging::bad_input;

/// One field of the mutation root.
pub(super) struct Verb {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    /// The kind of row that a success returns.
    pub(super) returns: EntityKind,
    /// The fields of the input besides those of every input: name, type, description.
    pub(super) input: &'static [(&'static str, &'static str, &'static str)],
    /// Reads the operation from the input.
    pub(super) read: fn(&Named) -> Result<Operation, Fault>,
}

impl Verb {
    /// Returns the verb of a field.
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        VERBS.iter().find(|verb| verb.name == name)
    }

    /// Returns the name with a capital: `ValidateVisit`.
    pub(super) fn type_name(&self) -> String {
        let mut name = self.name.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        name
    }
}

/// Every verb.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "assignMentor",
        doc: "Makes someone the mentor of an enterprise; the mentors before lose it.",
        returns: EntityKind::Enterprise,
        input: &[
            ("enterpriseId", "ID!", "The enterprise."),
            ("mentorId", "ID!", "The user, who must have the role of a mentor."),
        ],
        read: |input| {
            let (enterprise, mentor) = (id(input, "enterpriseId")?, id(input, "mentorId")?);
            Ok(Operation::AssignMentor { enterprise, mentor })
        },
    },
    Verb {
        name: "planVisit",
        doc: "Plans a visit to an enterprise. `expectedVersion` is that of the enterprise.",
        returns: EntityKind::Visit,
        input: &[
            ("enterpriseId", "ID!", "The enterprise."),
            ("mentorId", "ID!", "The mentor who makes the visit."),
            ("kind", "VisitKind!", "Why the visit is made."),
            ("mode", "VisitMode!", "How the visit is made."),
            ("purpose", "String", "What it is for, in words."),
            ("plannedStartAt", "DateTime!", "When it is to start."),
            ("plannedEndAt", "DateTime", "When it is to end."),
        ],
        read: plan_visit,
    },
    Verb {
        name: "validateVisit",
        doc: "Accepts a visit. Nobody accepts an own visit.",
        returns: EntityKind::Visit,
        input: &[("visitId", "ID!", "The visit.")],
        read: |input| Ok(Operation::ValidateVisit { visit: id(input, "visitId")? }),
    },
    Verb {
        name: "returnVisit",
        doc: "Sends a visit back to the mentor.",
        returns: EntityKind::Visit,
        input: &[("visitId", "ID!", "The visit."), ("reason", "String!", "What has to be mended.")],
        read: |input| {
            Ok(Operation::ReturnVisit { visit: id(input, "visitId")?, reason: required(input, "reason")?.to_owned() })
        },
    },
    Verb {
        name: "verifyEmployment",
        doc: "Records how far a job record was verified. Nobody verifies an own record.",
        returns: EntityKind::Employment,
        input: &[
            ("employmentId", "ID!", "The job record."),
            ("verification", "Verification!", "How far it was verified."),
        ],
        read: |input| {
            let verification = required(input, "verification")?.to_owned();
            Ok(Operation::VerifyEmployment { employment: id(input, "employmentId")?, verification })
        },
    },
    Verb {
        name: "resolveConflict",
        doc: "Settles a conflict: the shown value stays, or the row gets the other one.",
        returns: EntityKind::Conflict,
        input: &[
            ("conflictId", "ID!", "The conflict."),
            ("takesOther", "Boolean!", "Whether the row gets the value that was not shown."),
        ],
        read: |input| {
            let takes_other = matches!(given(input, "takesOther"), Some(Given::Boolean(true)));
            Ok(Operation::ResolveConflict { conflict: id(input, "conflictId")?, takes_other })
        },
    },
    Verb {
        name: "lockPeriod",
        doc: "Locks a reporting period: nothing that is dated into it changes any more. Field work that comes later \
              is held.",
        returns: EntityKind::ReportingPeriod,
        input: &[("periodId", "ID!", "The period.")],
        read: |input| Ok(Operation::LockPeriod { period: id(input, "periodId")? }),
    },
    Verb {
        name: "unlockPeriod",
        doc: "Unlocks a reporting period. Field work that waited for it takes effect.",
        returns: EntityKind::ReportingPeriod,
        input: &[("periodId", "ID!", "The period."), ("reason", "String!", "Why it is needed.")],
        read: |input| {
            let reason = required(input, "reason")?.to_owned();
            Ok(Operation::UnlockPeriod { period: id(input, "periodId")?, reason })
        },
    },
    Verb {
        name: "approveHeld",
        doc: "Lets held work take effect, corrected if need be. Work that is dated into a locked period is booked to \
              the next open one as a late adjustment. What the author recorded is kept as it was.",
        returns: EntityKind::HeldItem,
        input: &[
            ("heldItemId", "ID!", "The held item."),
            ("note", "String", "What there is to say about it."),
            ("correction", "JSON", "Fields to put right first, by their names in `content`."),
        ],
        read: approve_held,
    },
    Verb {
        name: "returnHeld",
        doc: "Gives held work back to its author, who finds it on the device, editable, with the reason.",
        returns: EntityKind::HeldItem,
        input: &[("heldItemId", "ID!", "The held item."), ("reason", "String!", "What has to be mended.")],
        read: |input| {
            let reason = required(input, "reason")?.to_owned();
            Ok(Operation::ReturnHeld { item: id(input, "heldItemId")?, reason })
        },
    },
    Verb {
        name: "acceptMerge",
        doc: "Merges two rows that are one. What named the other row names the one that stays; each value in which \
              they differed is kept in a conflict. Changes that come later and name the other row are changes of the \
              one that stays.",
        returns: EntityKind::MergeProposal,
        input: &[
            ("mergeProposalId", "ID!", "The proposal."),
            ("survivorId", "ID!", "The row that stays: one of the two."),
            ("note", "String", "What there is to say about it."),
        ],
        read: |input| {
            let note = given(input, "note").and_then(text).map(str::to_owned);
            let (proposal, survivor) = (id(input, "mergeProposalId")?, id(input, "survivorId")?);
            Ok(Operation::AcceptMerge { proposal, survivor, note })
        },
    },
    Verb {
        name: "erasePerson",
        doc: "Erases a record about a person for good, with its history and everything else that is kept of it, here and \
              on every device. What remains says that there was a record, of which kind, and when and why it was erased.",
        returns: EntityKind::Erasure,
        input: &[
            ("kind", "ErasableKind!", "The kind of the record. The months of a job record are erased with it."),
            (
                "subjectId",
                "ID!",
                "The record. One that is held and has not taken effect is the subject of its held item; one that was \
                 refused, the row that the change was to create.",
            ),
            ("reason", "ErasureReason!", "Why."),
        ],
        read: |input| {
            let kind = ErasableKind::parse(required(input, "kind")?);
            let kind = kind.kind().filter(|kind| *kind != EntityKind::MonthlyJobStatus);
            let kind = kind.ok_or_else(|| bad_input("`kind` is erased with the record that it belongs to."))?;
            Ok(Operation::ErasePerson {
                kind,
                subject: id(input, "subjectId")?,
                reason: required(input, "reason")?.to_owned(),
            })
        },
    },
    Verb {
        name: "dismissMerge",
        doc: "Says that two rows are two, although they look alike. They are not proposed again.",
        returns: EntityKind::MergeProposal,
        input: &[("mergeProposalId", "ID!", "The proposal."), ("reason", "String!", "How they differ.")],
        read: |input| {
            let reason = required(input, "reason")?.to_owned();
            Ok(Operation::DismissMerge { proposal: id(input, "mergeProposalId")?, reason })
        },
    },
];

fn approve_held(input: &Named) -> Result<Operation, Fault> {
    let note = given(input, "note").and_then(text).map(str::to_owned);
    let correction = given(input, "correction").cloned().map(|given| {
        let json = given.into_json().ok().and_then(|json| serde_json::from_value::<HeldContent>(json).ok());
        json.ok_or_else(|| bad_input("`correction` is not an object of fields and values."))
    });
    Ok(Operation::ApproveHeld { item: id(input, "heldItemId")?, note, correction: correction.transpose()? })
}

fn plan_visit(input: &Named) -> Result<Operation, Fault> {
    let enterprise = id(input, "enterpriseId")?;
    let optional_text = |name| given(input, name).and_then(text).map_or(Value::Null, |t| Value::Text(t.to_owned()));
    let values = vec![
        ("enterprise_id", Value::Uuid(enterprise)),
        ("mentor_id", Value::Uuid(id(input, "mentorId")?)),
        ("kind", Value::Text(required(input, "kind")?.to_owned())),
        ("mode", Value::Text(required(input, "mode")?.to_owned())),
        ("status", Value::Text("PLANNED".to_owned())),
        ("purpose", optional_text("purpose")),
        ("planned_start_at", instant(input, "plannedStartAt")?),
        ("planned_end_at", instant(input, "plannedEndAt")?),
    ];
    let values = values.into_iter().filter(|(_, value)| !value.is_null()).collect();
    Ok(Operation::PlanVisit { enterprise, values })
}

/// Returns an identifier of the input.
pub(in crate::graphql) fn id(input: &Named, name: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(required(input, name)?).map_err(|_| bad_input(format!("`{name}` is not an identifier.")))
}

fn required<'i>(input: &'i Named, name: &str) -> Result<&'i str, Fault> {
    given(input, name).and_then(text).ok_or_else(|| bad_input(format!("`{name}` is missing.")))
}

fn instant(input: &Named, name: &str) -> Result<Value, Fault> {
    let Some(text) = given(input, name).and_then(text) else { return Ok(Value::Null) };
    let at: Timestamp = text.parse().map_err(|_| bad_input(format!("`{name}` is not an instant.")))?;
    Ok(Value::Timestamp(at))
}
