//! What has to be done after visits.

use sync_protocol::code::ActionStatus;
use sync_protocol::entity::FollowUpAction;
use sync_protocol::id::{EnterpriseId, FollowUpActionId, VisitId};
use sync_protocol::time::Date;

use super::error::ApiResult;
use super::records::{Record, Saved};
use crate::client::Client;
use crate::store::{Direction, Query};

/// The follow-up actions on this device.
#[derive(Clone, Copy)]
pub struct Actions<'c>(pub(super) &'c Client);

impl Actions<'_> {
    /// Returns the open actions of every enterprise, the most urgent date first.
    pub fn open(&self) -> ApiResult<Vec<Record<FollowUpAction>>> {
        self.0.list(&by_due_date().eq("status", ActionStatus::Open))
    }

    /// Returns the actions of an enterprise, the most urgent date first.
    pub fn of(&self, enterprise: EnterpriseId) -> ApiResult<Vec<Record<FollowUpAction>>> {
        self.0.list(&by_due_date().eq("enterprise_id", enterprise))
    }

    /// Returns the actions that follow from a visit.
    pub fn of_visit(&self, visit: VisitId) -> ApiResult<Vec<Record<FollowUpAction>>> {
        self.0.list(&by_due_date().eq("visit_id", visit))
    }

    /// Records that an action was done.
    pub fn mark_done(
        &self,
        id: FollowUpActionId,
        done_on: Date,
        note: Option<String>,
    ) -> ApiResult<Saved<FollowUpAction>> {
        self.0.edit(id, |action: &mut FollowUpAction| {
            action.status = ActionStatus::Done;
            action.done_on = Some(done_on);
            action.status_note = note.or_else(|| action.status_note.take());
        })
    }

    /// Records during which visit an action was seen to be done.
    pub fn verify(&self, id: FollowUpActionId, visit: VisitId) -> ApiResult<Saved<FollowUpAction>> {
        self.0.edit(id, |action: &mut FollowUpAction| {
            action.status = ActionStatus::Verified;
            action.verified_in_visit_id = Some(visit);
        })
    }

    /// Opens an action again that was not done after all.
    pub fn reopen(&self, id: FollowUpActionId, note: String) -> ApiResult<Saved<FollowUpAction>> {
        self.0.edit(id, |action: &mut FollowUpAction| {
            action.status = ActionStatus::Open;
            action.done_on = None;
            action.status_note = Some(note);
        })
    }

    /// Gives an action up, with the reason.
    pub fn cancel(&self, id: FollowUpActionId, reason: String) -> ApiResult<Saved<FollowUpAction>> {
        self.0.edit(id, |action: &mut FollowUpAction| {
            action.status = ActionStatus::Cancelled;
            action.cancel_reason = Some(reason);
        })
    }
}

fn by_due_date() -> Query {
    Query::new().order_by("due_on", Direction::Ascending).limit(u32::MAX)
}
