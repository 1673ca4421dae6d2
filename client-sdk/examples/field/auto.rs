//! Invented answers, for demonstrations.

use anyhow::{Context as _, Result};
use client_sdk::api::visits::VisitQuestion;
use serde_json::{Value, json};
use sync_protocol::code::{AnswerType, RiskRating};
use sync_protocol::entity::{AnswerValue, Enterprise, Visit};
use sync_protocol::id::VisitId;

use crate::script::{Person, Script};
use crate::session::Session;

const DAYS_TO_NEXT_VISIT: i32 = 30;

/// Returns answers that let the visit be completed: those of the last visit, or else what is most usual.
pub(crate) fn script(session: &Session, visit: VisitId) -> Result<Script> {
    let visit: Visit = session.client.visits().get(visit)?.context("the visit is gone")?.data;
    let enterprise = session.client.enterprises().get(visit.enterprise_id)?.context("the enterprise is gone")?.data;
    let next_visit_on = session.today().plus_days(DAYS_TO_NEXT_VISIT);
    let questions = session.client.visits().questions(visit.id)?;
    let answers = questions.iter().filter(|question| question.question.answer_type != AnswerType::Computed);
    let sites = session.client.enterprises().sites(enterprise.id)?;
    let place = sites.into_iter().find_map(|site| site.data.place);
    Ok(Script {
        answers: answers.map(|question| (key(question), invented(question, &next_visit_on.to_string()))).collect(),
        gps_exception: place.is_none().then(|| "Demonstrație fără GPS".to_owned()),
        place,
        attendees: vec![representative(&enterprise)],
        summary: Some("Vizită de demonstrație: activitatea continuă normal.".to_owned()),
        risk: Some(RiskRating::Low),
        next_visit_on: Some(next_visit_on),
        signer: Some(representative(&enterprise)),
        ..Script::default()
    })
}

fn representative(enterprise: &Enterprise) -> Person {
    Person { name: enterprise.representative_name.clone(), role: "reprezentant legal".to_owned() }
}

fn key(question: &VisitQuestion) -> String {
    let item = question.item.as_ref().and_then(|item| item.label.split_whitespace().next());
    item.map_or_else(|| question.question.code.clone(), |item| format!("{}/{item}", question.question.code))
}

fn invented(question: &VisitQuestion, next_visit_on: &str) -> Value {
    match (question.question.answer_type, &question.previous) {
        (AnswerType::Date, _) => json!(next_visit_on),
        (_, Some(AnswerValue::MultiChoice(options))) => json!(options),
        (_, Some(previous)) => json!(previous.text()),
        (AnswerType::Bool, None) => json!(true),
        (AnswerType::Int | AnswerType::Decimal, None) => json!(question.question.min_value.unwrap_or(0)),
        (AnswerType::Choice, None) => json!(question.question.options.first()),
        (AnswerType::MultiChoice, None) => json!([]),
        (AnswerType::Text | AnswerType::Computed | AnswerType::Unknown, None) => json!("–"),
    }
}
