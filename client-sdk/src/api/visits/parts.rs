//! What is added to a visit: who was there, what was found, what has to be done.

use sync_protocol::code::{ActionStatus, FindingArea, Priority, Responsible, Severity};
use sync_protocol::entity::{Attendee, Finding, FollowUpAction, Visit};
use sync_protocol::id::{FindingId, VisitId};
use sync_protocol::time::Date;

use super::Visits;
use crate::api::error::ApiResult;
use crate::api::records::{Record, Saved};
use crate::store::Query;

/// Someone who was at a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttendee {
    /// The name.
    pub name: String,
    /// The role, such as administrator or employee.
    pub role: String,
    /// The organisation.
    pub organisation: Option<String>,
}

/// Something found during a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFinding {
    /// What it is about.
    pub area: FindingArea,
    /// How serious it is. A critical finding needs an action before the visit can be completed.
    pub severity: Severity,
    /// What was found.
    pub text: String,
    /// The rule that it touches.
    pub rule_ref: Option<String>,
}

/// Something to be done after a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAction {
    /// The finding that it answers.
    pub finding: Option<FindingId>,
    /// What has to be done.
    pub text: String,
    /// Who has to act.
    pub responsible: Responsible,
    /// The name of that person.
    pub responsible_name: Option<String>,
    /// How urgent it is.
    pub priority: Priority,
    /// By when; not before the visit.
    pub due_on: Date,
}

impl Visits<'_> {
    /// Adds someone who was there.
    pub fn add_attendee(&self, visit: VisitId, new: NewAttendee) -> ApiResult<Saved<Attendee>> {
        let id = self.0.new_id();
        self.0.record(|writer| {
            let enterprise_id = writer.get::<Visit>(visit)?.enterprise_id;
            let NewAttendee { name, role, organisation } = new;
            writer.put(&Attendee { id, enterprise_id, visit_id: visit, name, role, organisation, is_present: true })
        })
    }

    /// Adds a finding.
    pub fn add_finding(&self, visit: VisitId, new: NewFinding) -> ApiResult<Saved<Finding>> {
        let id = self.0.new_id();
        self.0.record(|writer| {
            let enterprise_id = writer.get::<Visit>(visit)?.enterprise_id;
            let NewFinding { area, severity, text, rule_ref } = new;
            writer.put(&Finding { id, enterprise_id, visit_id: visit, area, severity, text, rule_ref })
        })
    }

    /// Adds something to be done; the person who works on the device follows it up.
    pub fn add_action(&self, visit: VisitId, new: NewAction) -> ApiResult<Saved<FollowUpAction>> {
        let (id, owner) = (self.0.new_id(), self.0.me()?);
        self.0.record(|writer| {
            let enterprise_id = writer.get::<Visit>(visit)?.enterprise_id;
            writer.put(&FollowUpAction {
                id,
                enterprise_id,
                visit_id: visit,
                finding_id: new.finding,
                text: new.text,
                responsible: new.responsible,
                responsible_name: new.responsible_name,
                owner_id: Some(owner),
                priority: new.priority,
                due_on: new.due_on,
                status: ActionStatus::Open,
                done_on: None,
                verified_in_visit_id: None,
                status_note: None,
                cancel_reason: None,
            })
        })
    }

    /// Returns who was there.
    pub fn attendees(&self, visit: VisitId) -> ApiResult<Vec<Record<Attendee>>> {
        self.0.list(&Query::new().eq("visit_id", visit).limit(u32::MAX))
    }

    /// Returns what was found.
    pub fn findings(&self, visit: VisitId) -> ApiResult<Vec<Record<Finding>>> {
        self.0.list(&Query::new().eq("visit_id", visit).limit(u32::MAX))
    }
}
