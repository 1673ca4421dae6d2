//! Visits: planned, started without a signal, filled in question by question, signed and completed.
//!
//! Every call is durable on its own, so a visit goes on where it stopped after a kill at any moment:
//! [`Visits::start`], [`Visits::questions`] and [`Visits::answer`], [`Visits::set_place`],
//! [`Visits::add_finding`], [`Visits::conclude`], [`Visits::sign`], [`Visits::complete`].

mod closing;
mod form;
mod parts;

pub use closing::Conclusion;
pub use form::{Item, Reply, VisitQuestion};
pub use parts::{NewAction, NewAttendee, NewFinding};

use sync_protocol::code::{VisitKind, VisitMode, VisitStatus};
use sync_protocol::entity::{Form, Place, Visit};
use sync_protocol::id::{EnterpriseId, FormId, UserId, VisitId};
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::FieldValue as _;

use super::error::ApiResult;
use super::records::{Record, Saved};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::store::{Direction, Filter, Query};

/// The form that visits are made with.
pub const VISIT_FORM: &str = "VISIT_ROUTINE";

/// The visits on this device.
#[derive(Clone, Copy)]
pub struct Visits<'c>(pub(super) &'c Client);

impl Visits<'_> {
    /// Starts a visit that was not planned. Its time is now, its mentor the person who works on the device.
    pub fn start(&self, enterprise: EnterpriseId, kind: VisitKind, mode: VisitMode) -> ApiResult<Saved<Visit>> {
        let (mentor, form, now) = (self.0.me()?, self.current_form()?, self.now());
        let visit = started(self.0.new_id(), enterprise, mentor, (kind, mode), form, now);
        self.0.record(|writer| writer.put(&visit))
    }

    /// Starts a planned visit. It keeps the form that it was planned with, and its start when it has begun before.
    pub fn start_planned(&self, visit: VisitId) -> ApiResult<Saved<Visit>> {
        let (form, now) = (self.current_form()?, self.now());
        self.0.edit(visit, |visit: &mut Visit| {
            visit.status = VisitStatus::InProgress;
            visit.actual_start_at.get_or_insert(now);
            visit.form_id.get_or_insert(form);
        })
    }

    /// Records where the phone was on arrival.
    pub fn set_place(&self, visit: VisitId, place: Place) -> ApiResult<Saved<Visit>> {
        self.0.edit(visit, |visit: &mut Visit| {
            visit.arrival_place = Some(place);
            visit.gps_exception_reason = None;
        })
    }

    /// Records why there is no position.
    pub fn set_gps_exception(&self, visit: VisitId, reason: &str) -> ApiResult<Saved<Visit>> {
        self.0.edit(visit, |visit: &mut Visit| visit.gps_exception_reason = Some(reason.to_owned()))
    }

    /// Returns a visit, `None` when it is not on this device.
    pub fn get(&self, visit: VisitId) -> ApiResult<Option<Record<Visit>>> {
        self.0.get(visit)
    }

    /// Returns the visits of today: planned for today, or started today. Days are those of UTC.
    pub fn today(&self) -> ApiResult<Vec<Record<Visit>>> {
        let today = self.0.today();
        self.between(today, today.plus_days(1))
    }

    /// Returns the visits that are planned, or were started, from one day to before another one, in order.
    pub fn between(&self, from: Date, until: Date) -> ApiResult<Vec<Record<Visit>>> {
        let within = |field| {
            Query::new()
                .filter(Filter::Gte(field, from.midnight().to_value()))
                .filter(Filter::Lt(field, until.midnight().to_value()))
                .limit(u32::MAX)
        };
        let mut visits = self.0.select::<Visit>(&within("planned_start_at"))?;
        visits.extend(self.0.select::<Visit>(&within("actual_start_at"))?);
        visits.sort_by_key(|visit| (starts_at(visit), visit.id));
        visits.dedup_by_key(|visit| visit.id);
        Ok(visits)
    }

    /// Returns the visits of an enterprise, the newest first.
    pub fn of(&self, enterprise: EnterpriseId) -> ApiResult<Vec<Record<Visit>>> {
        let mut visits = self.0.select::<Visit>(&Query::new().eq("enterprise_id", enterprise).limit(u32::MAX))?;
        visits.sort_by_key(|visit| std::cmp::Reverse((starts_at(visit), visit.id)));
        Ok(visits)
    }

    /// Returns the person's visits that are begun and not completed, or that the office sent back, oldest first.
    pub fn drafts(&self) -> ApiResult<Vec<Record<Visit>>> {
        let unfinished = [VisitStatus::InProgress, VisitStatus::Returned].map(|status| status.to_value());
        let query = Query::new().eq("mentor_id", self.0.me()?).filter(Filter::In("status", unfinished.to_vec()));
        self.0.list(&query.order_by("actual_start_at", Direction::Ascending).limit(u32::MAX))
    }

    /// Returns the newest version of the form that is valid today.
    fn current_form(&self) -> Result<FormId> {
        let today = self.0.today();
        let forms = self.0.select::<Form>(&Query::new().eq("code", VISIT_FORM.to_owned()).limit(u32::MAX))?;
        let is_valid = |form: &&Record<Form>| {
            form.valid_from_on <= today && form.valid_until_on.is_none_or(|until| today <= until)
        };
        let newest = forms.iter().filter(is_valid).max_by_key(|form| form.version_no);
        newest.map(|form| form.id).ok_or_else(no_form)
    }

    fn now(&self) -> Timestamp {
        self.0.store.world().now()
    }
}

/// Returns when a visit took place, or else when it is planned.
fn starts_at(visit: &Visit) -> Option<Timestamp> {
    visit.actual_start_at.or(visit.planned_start_at)
}

fn no_form() -> Error {
    Error::Usage(format!("there is no form {VISIT_FORM} on this device that is valid today; sync once to fetch it"))
}

fn started(
    id: VisitId,
    enterprise_id: EnterpriseId,
    mentor_id: UserId,
    (kind, mode): (VisitKind, VisitMode),
    form: FormId,
    now: Timestamp,
) -> Visit {
    Visit {
        id,
        enterprise_id,
        mentor_id,
        kind,
        mode,
        purpose: None,
        planned_start_at: None,
        planned_end_at: None,
        actual_start_at: Some(now),
        actual_end_at: None,
        form_id: Some(form),
        status: VisitStatus::InProgress,
        arrival_place: None,
        gps_exception_reason: None,
        summary: None,
        risk_rating: None,
        next_visit_on: None,
        travel_km: None,
        signer_name: None,
        signer_role: None,
        signed_at: None,
        signed_content_hash: None,
        signature_refusal_note: None,
        return_reason: None,
        validated_by: None,
        validated_at: None,
    }
}
