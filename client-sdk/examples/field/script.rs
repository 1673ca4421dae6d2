//! A visit that is filled in from a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use client_sdk::api::visits::{Conclusion, NewAttendee, NewFinding, Reply, VisitQuestion};
use serde::Deserialize;
use serde_json::Value;
use sync_protocol::code::{FindingArea, RiskRating, Severity};
use sync_protocol::entity::{AnswerValue, Place};
use sync_protocol::id::VisitId;
use sync_protocol::time::Date;

use crate::session::Session;
use crate::{answer, closing, interview, show};

/// What the file holds. Everything may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Script {
    /// By question; by `J03/P-004` for one position of a repeated question.
    pub(crate) answers: BTreeMap<String, Value>,
    pub(crate) place: Option<Place>,
    pub(crate) gps_exception: Option<String>,
    pub(crate) attendees: Vec<Person>,
    pub(crate) findings: Vec<FindingLine>,
    pub(crate) summary: Option<String>,
    pub(crate) risk: Option<RiskRating>,
    pub(crate) next_visit_on: Option<Date>,
    pub(crate) signer: Option<Person>,
    pub(crate) signature_refusal: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) role: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FindingLine {
    pub(crate) area: FindingArea,
    pub(crate) severity: Severity,
    pub(crate) text: String,
    pub(crate) action: Option<ActionLine>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ActionLine {
    pub(crate) text: String,
    pub(crate) due_on: Date,
}

impl Script {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let json = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&json).with_context(|| format!("{} is not a file of answers", file.display()))
    }

    /// Returns what the file says to a question.
    fn reply_to(&self, question: &VisitQuestion) -> Option<&Value> {
        let code = &question.question.code;
        let item = question.item.as_ref().and_then(|item| item.label.split_whitespace().next());
        let for_item = item.and_then(|item| self.answers.get(&format!("{code}/{item}")));
        for_item.or_else(|| self.answers.get(code))
    }
}

/// Fills in a visit; what is there already stays. Every part is saved on its own.
pub(crate) fn apply(session: &Session, visit: VisitId, script: &Script) -> Result<()> {
    answer_all(session, visit, script)?;
    let visits = session.client.visits();
    match (&script.place, &script.gps_exception) {
        (Some(place), _) => drop(visits.set_place(visit, place.clone())?),
        (None, Some(reason)) => drop(visits.set_gps_exception(visit, reason)?),
        (None, None) => {}
    }
    let present = visits.attendees(visit)?;
    for Person { name, role } in script.attendees.iter().cloned() {
        if present.iter().all(|known| known.name != name) {
            visits.add_attendee(visit, NewAttendee { name, role, organisation: None })?;
        }
    }
    for line in &script.findings {
        add_finding(session, visit, line)?;
    }
    conclude(session, visit, script)?;
    match (&script.signer, &script.signature_refusal) {
        (Some(signer), _) => drop(visits.sign(visit, &signer.name, &signer.role)?),
        (None, Some(reason)) => drop(visits.refuse_signature(visit, reason)?),
        (None, None) => {}
    }
    Ok(())
}

/// Answers until no question is open that the file answers: an answer may open another question.
fn answer_all(session: &Session, visit: VisitId, script: &Script) -> Result<()> {
    loop {
        let questions = session.client.visits().questions(visit)?;
        let mut open = questions.iter().filter(|question| question.is_open());
        let Some((question, value)) = open.find_map(|question| Some((question, script.reply_to(question)?))) else {
            return Ok(());
        };
        let reply = reply(question, value, session.today())?;
        interview::save(session, visit, question, reply)?;
        let about = question.item.as_ref().map(|item| format!(" [{}]", item.label)).unwrap_or_default();
        say!("  {}{about}  {}", question.question.code, shown(session, value));
    }
}

fn reply(question: &VisitQuestion, value: &Value, today: Date) -> Result<Reply> {
    if let Some(reason) = value.get("na").and_then(Value::as_str) {
        return Ok(Reply::NotApplicable(reason.to_owned()));
    }
    match answer::parse(&question.question, &typed(value), today) {
        Some(value) => Ok(value.into()),
        None => bail!("{}: `{value}` is no answer to this question", question.question.code),
    }
}

/// Returns a JSON value as a person would type it.
fn typed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "0".to_owned(),
        Value::Array(values) => values.iter().map(typed).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn shown(session: &Session, value: &Value) -> String {
    match (value, value.get("na").and_then(Value::as_str)) {
        (_, Some(reason)) => format!("– ({reason})"),
        (Value::Bool(value), None) => show::answer(session, &AnswerValue::Bool(*value)),
        (other, None) => typed(other),
    }
}

fn add_finding(session: &Session, visit: VisitId, line: &FindingLine) -> Result<()> {
    let visits = session.client.visits();
    let known = visits.findings(visit)?.into_iter().find(|known| known.text == line.text);
    let new = NewFinding { area: line.area, severity: line.severity, text: line.text.clone(), rule_ref: None };
    let finding = match known {
        Some(known) => known.data,
        None => visits.add_finding(visit, new)?.data,
    };
    let Some(action) = &line.action else { return Ok(()) };
    let actions = session.client.actions().of_visit(visit)?;
    if actions.iter().all(|known| known.finding_id != Some(finding.id)) {
        visits.add_action(visit, closing::action_for(&finding, action.text.clone(), action.due_on))?;
    }
    Ok(())
}

fn conclude(session: &Session, visit: VisitId, script: &Script) -> Result<()> {
    let Script { summary, risk, next_visit_on, .. } = script;
    if summary.is_some() || risk.is_some() || next_visit_on.is_some() {
        let conclusion = Conclusion { summary: summary.clone(), risk: *risk, next_visit_on: *next_visit_on };
        session.client.visits().conclude(visit, conclusion)?;
    }
    Ok(())
}
