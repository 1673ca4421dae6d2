//! The end of a visit: what happened, the signature, completion.

use sync_protocol::code::{RiskRating, VisitStatus};
use sync_protocol::entity::{ChecklistAnswer, Entity as _, EntityKind, Question, Row, Visit};
use sync_protocol::form;
use sync_protocol::id::VisitId;
use sync_protocol::message::MessageKey;
use sync_protocol::rule::{Violation, signature_holds, signed_content};
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::validate::FIELD;
use uuid::Uuid;

use super::Visits;
use crate::api::error::ApiResult;
use crate::api::records::Saved;
use crate::api::rules::violations;
use crate::api::write::Writer;
use crate::client::Client;
use crate::error::{Error, Refusal, Result};
use crate::store::{Lookup, Proposal, Query};

/// What the mentor says at the end of a visit. It is part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// What happened, in words.
    pub summary: Option<String>,
    /// The mentor's judgement.
    pub risk: Option<RiskRating>,
    /// When the next visit is due.
    pub next_visit_on: Option<Date>,
}

impl Visits<'_> {
    /// Saves what the mentor says at the end; the first time, the visit ends now. Comes before the signature, which
    /// covers it.
    pub fn conclude(&self, visit: VisitId, conclusion: Conclusion) -> ApiResult<Saved<Visit>> {
        let now = self.now();
        self.0.edit(visit, |visit: &mut Visit| {
            visit.summary = conclusion.summary;
            visit.risk_rating = conclusion.risk;
            visit.next_visit_on = conclusion.next_visit_on;
            end(visit, now);
        })
    }

    /// Records who signed for the enterprise, with the hash of everything that is signed (I27).
    pub fn sign(&self, visit: VisitId, signer_name: &str, signer_role: &str) -> ApiResult<Saved<Visit>> {
        let now = self.now();
        self.0.record(|writer| {
            let hash = signed_hash(writer, visit, now)?;
            writer.edit(visit, |visit: &mut Visit| {
                end(visit, now);
                visit.signer_name = Some(signer_name.to_owned());
                visit.signer_role = Some(signer_role.to_owned());
                visit.signed_at = Some(now);
                visit.signed_content_hash = Some(hash);
                visit.signature_refusal_note = None;
            })
        })
    }

    /// Returns whether the visit is signed and still says what was signed. Otherwise ask for a new signature.
    pub fn signature_holds(&self, visit: VisitId) -> ApiResult<bool> {
        let signed = self.0.require::<Visit>(visit)?.data;
        let (answers, findings) = (self.0.children("visit_id", visit)?, self.0.children("visit_id", visit)?);
        Ok(signature_holds(&signed, &answers, &findings, &self.0.children("visit_id", visit)?))
    }

    /// Records why nobody signed.
    pub fn refuse_signature(&self, visit: VisitId, reason: &str) -> ApiResult<Saved<Visit>> {
        self.0.edit(visit, |visit: &mut Visit| visit.signature_refusal_note = Some(reason.to_owned()))
    }

    /// Returns what still stands between the visit and its completion, with texts; nothing when it can be completed.
    pub fn open_points(&self, visit: VisitId) -> ApiResult<Vec<Refusal>> {
        let before = self.0.require::<Visit>(visit)?.data;
        let answers: Vec<ChecklistAnswer> = self.0.children("visit_id", visit)?;
        let mut points = self.unanswered(&self.form_of(&before)?, &answers);
        let mut after = before.clone();
        complete(&mut after, self.now());
        let (before, mut after) = (before.to_row(), after.to_row());
        let proposal = Proposal {
            kind: EntityKind::Visit,
            before: Some(&before),
            after: &mut after,
            author: self.0.me()?,
            now: Some(self.now()),
        };
        let found = violations(proposal, &Shown(self.0))?;
        points.extend(found.iter().filter(|found| found.is_hard()).map(|found| self.0.rules.refusal(found)));
        Ok(points)
    }

    /// Completes the visit: it goes to the office with the next sync.
    ///
    /// Is refused with every open point at once: required questions without an answer or a reason, no position and
    /// no reason for it, nobody present, no signature and no reason for it, critical findings without an action.
    pub fn complete(&self, visit: VisitId) -> ApiResult<Saved<Visit>> {
        let now = self.now();
        let form = self.form_of(&self.0.require::<Visit>(visit)?.data)?;
        self.0.record(|writer| {
            let mut points = self.unanswered(&form, &writer.children("visit_id", visit)?);
            match writer.edit(visit, |visit: &mut Visit| complete(visit, now)) {
                Ok(completed) if points.is_empty() => Ok(completed),
                Ok(_) => Err(Error::Refused(points)),
                Err(Error::Refused(more)) => {
                    points.extend(more);
                    Err(Error::Refused(points))
                }
                Err(error) => Err(error),
            }
        })
    }

    /// Returns the required questions without an answer or a reason.
    fn unanswered(&self, form: &[Question], answers: &[ChecklistAnswer]) -> Vec<Refusal> {
        let missing = form::progress(form, answers).missing_required;
        let refusal = |code: &String| Refusal {
            field: code.clone(),
            ..self.0.rules.refusal(&Violation::hard(FIELD, "value", MessageKey::AnswerMissing))
        };
        missing.iter().map(refusal).collect()
    }
}

fn complete(visit: &mut Visit, now: Timestamp) {
    end(visit, now);
    visit.status = VisitStatus::Completed;
}

fn end(visit: &mut Visit, now: Timestamp) {
    visit.actual_end_at.get_or_insert(now);
}

fn signed_hash(writer: &Writer<'_, '_>, visit: VisitId, now: Timestamp) -> Result<String> {
    let mut signed: Visit = writer.get(visit)?;
    end(&mut signed, now);
    let (answers, findings) = (writer.children("visit_id", visit)?, writer.children("visit_id", visit)?);
    let hash = signed_content(&signed, &answers, &findings, &writer.children("visit_id", visit)?);
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is shown on the device, for rules that are run without recording anything.
struct Shown<'c>(&'c Client);

impl Lookup for Shown<'_> {
    fn row(&self, kind: EntityKind, id: Uuid) -> Result<Option<Row>> {
        Ok(self.0.store.get(kind, id)?.map(|shown| shown.row))
    }

    fn children(&self, kind: EntityKind, field: &'static str, parent: Uuid) -> Result<Vec<Row>> {
        let shown = self.0.store.list(kind, &Query::new().eq(field, parent).limit(u32::MAX))?;
        Ok(shown.into_iter().map(|shown| shown.row).collect())
    }
}
