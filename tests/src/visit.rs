//! A visit step by step, as a mentor makes it: what comes next follows from what the phone shows.

use client_sdk::api::visits::{Conclusion, NewAction, NewAttendee, NewFinding, VisitQuestion};
use client_sdk::client::Client;
use client_sdk::error::ApiError;
use sync_protocol::code::{
    AnswerType, FindingArea, Priority, Responsible, RiskRating, Severity, VisitKind, VisitMode, VisitStatus,
};
use sync_protocol::entity::{AnswerValue, Entity, EntityKind, Place, Row, Visit};
use sync_protocol::id::VisitId;
use sync_protocol::rows::{self, VersionedRow};
use sync_protocol::time::Date;

/// What a step has recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The kind of row.
    pub kind: EntityKind,
    /// The row as it was returned.
    pub row: Row,
}

impl Step {
    /// Returns the step that has recorded a row.
    pub fn of<T: Entity>(saved: &T) -> Self {
        Self { kind: T::DEF.kind, row: saved.to_row() }
    }

    /// Returns the step as a line of text.
    pub fn line(&self) -> String {
        let bytes = rows::encode(self.kind, &[VersionedRow { seq: 0, row: self.row.clone() }]);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads the line of [`Step::line`]; `None` for anything else, half a line included.
    pub fn of_line(line: &str) -> Option<Self> {
        let digits = line.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        let rows = rows::decode(&digits.collect::<Option<Vec<u8>>>()?).ok()?;
        Some(Self { kind: rows.kind?, row: rows.rows.into_iter().next()?.row })
    }
}

/// Goes on with the visit that was begun, or starts one and returns what that recorded.
pub fn unfinished(client: &Client, enterprise_code: &str) -> Result<(VisitId, Option<Step>), ApiError> {
    if let Some(begun) = client.visits().drafts()?.iter().find(|draft| draft.status == VisitStatus::InProgress) {
        return Ok((begun.id, None));
    }
    let enterprise = client.enterprises().by_code(enterprise_code)?.expect("the enterprise is on the phone");
    let started = client.visits().start(enterprise.id, VisitKind::Routine, VisitMode::OnSite)?;
    Ok((started.id, Some(Step::of(&started.data))))
}

/// Does the next step of a visit: an answer, the place, a critical finding, its action, who was there, the
/// conclusion, the signature, completion. Returns `None` when the visit is completed.
pub fn next_step(client: &Client, id: VisitId) -> Result<Option<Step>, ApiError> {
    let visit = client.visits().get(id)?.expect("the visit is on the phone").data;
    let questions = client.visits().questions(id)?;
    if let Some(question) = questions.iter().find(|question| question.is_open()) {
        return answer(client, id, question).map(Some);
    }
    if let Some(step) = add_part(client, &visit)? {
        return Ok(Some(step));
    }
    let visits = client.visits();
    let saved = match visit {
        Visit { summary: None, .. } => visits.conclude(id, conclusion(client.today()))?,
        Visit { signed_at: None, .. } => visits.sign(id, "Ioana Pop", "administrator")?,
        Visit { status: VisitStatus::InProgress, .. } => visits.complete(id)?,
        _ => return Ok(None),
    };
    Ok(Some(Step::of(&saved.data)))
}

/// Answers a question.
pub fn answer(client: &Client, visit: VisitId, question: &VisitQuestion) -> Result<Step, ApiError> {
    let (code, item) = (&question.question.code, question.item.as_ref().map(|item| item.id));
    let saved = client.visits().answer(visit, code, item, answer_to(question, client.today()))?;
    Ok(Step::of(&saved.data))
}

/// Adds the part of a visit that is missing first.
fn add_part(client: &Client, visit: &Visit) -> Result<Option<Step>, ApiError> {
    let (visits, id) = (client.visits(), visit.id);
    if visit.arrival_place.is_none() {
        return Ok(Some(Step::of(&visits.set_place(id, place())?.data)));
    }
    let findings = visits.findings(id)?;
    let Some(finding) = findings.first() else {
        return Ok(Some(Step::of(&visits.add_finding(id, finding())?.data)));
    };
    if client.actions().of_visit(id)?.is_empty() {
        let action = NewAction { finding: Some(finding.id), ..action(client.today()) };
        return Ok(Some(Step::of(&visits.add_action(id, action)?.data)));
    }
    if visits.attendees(id)?.is_empty() {
        return Ok(Some(Step::of(&visits.add_attendee(id, attendee())?.data)));
    }
    Ok(None)
}

fn answer_to(question: &VisitQuestion, today: Date) -> AnswerValue {
    let question = &question.question;
    // The last option is never that an open action is done, which would change the action beside the answer.
    let option = question.options.last().cloned();
    match question.answer_type {
        AnswerType::Bool => AnswerValue::Bool(true),
        AnswerType::Int => AnswerValue::Int(3),
        AnswerType::Decimal => AnswerValue::Decimal("12.5".parse().expect("a number")),
        AnswerType::Text => AnswerValue::Text(format!("Răspuns la {}", question.code)),
        AnswerType::Choice => AnswerValue::Choice(option.expect("a question with options has one")),
        AnswerType::MultiChoice => AnswerValue::MultiChoice(option.into_iter().collect()),
        AnswerType::Date => AnswerValue::Date(today.plus_days(20)),
        AnswerType::Computed | AnswerType::Unknown => unreachable!("such a question is never open"),
    }
}

fn place() -> Place {
    Place { latitude: 44.9, longitude: 21.7, accuracy_m: Some(12.0), fixed_at: None, is_mock: false }
}

fn finding() -> NewFinding {
    let text = "Cuptorul nu are protecție".to_owned();
    NewFinding { area: FindingArea::Equipment, severity: Severity::Critical, text, rule_ref: None }
}

fn action(today: Date) -> NewAction {
    NewAction {
        finding: None,
        text: "Montarea protecției".to_owned(),
        responsible: Responsible::Enterprise,
        responsible_name: None,
        priority: Priority::High,
        due_on: today.plus_days(14),
    }
}

fn attendee() -> NewAttendee {
    NewAttendee { name: "Ioana Pop".to_owned(), role: "administrator".to_owned(), organisation: None }
}

fn conclusion(today: Date) -> Conclusion {
    Conclusion {
        summary: Some("Activitatea continuă".to_owned()),
        risk: Some(RiskRating::Medium),
        next_visit_on: Some(today.plus_days(30)),
    }
}
