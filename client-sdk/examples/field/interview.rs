//! The form, question by question. Every answer is on the disk before the next question is put.

use std::collections::HashSet;

use anyhow::Result;
use client_sdk::api::visits::{Reply, VisitQuestion};
use client_sdk::error::{ApiError, ApiErrorKind};
use sync_protocol::code::AnswerType;
use sync_protocol::id::VisitId;
use uuid::Uuid;

use crate::session::Session;
use crate::texts::Key;
use crate::{answer, prompt, show};

/// What the person does at a question.
enum Step {
    Answered,
    Skipped,
    Stop,
}

/// What the person typed at a question.
enum Typed {
    Reply(Reply),
    Again,
    Skip,
    Stop,
}

/// Puts every open question. Returns whether the end was reached; otherwise the person stopped.
pub(crate) fn run(session: &Session, visit: VisitId) -> Result<bool> {
    say!("{}", session.text(Key::Keys));
    let mut skipped: HashSet<(String, Option<Uuid>)> = HashSet::new();
    loop {
        let questions = session.client.visits().questions(visit)?;
        let next = questions.iter().position(|question| question.is_open() && !skipped.contains(&key(question)));
        let Some(at) = next else { return Ok(true) };
        let question = &questions[at];
        print_question(session, question, (at + 1, questions.len()));
        match ask(session, visit, question)? {
            Step::Answered => {}
            Step::Skipped => drop(skipped.insert(key(question))),
            Step::Stop => return Ok(false),
        }
    }
}

/// Prints a question with its answer, for the whole visit on one page.
pub(crate) fn print_answer(session: &Session, question: &VisitQuestion) {
    let given = question.answer.as_ref();
    let value = given.and_then(|answer| answer.value.as_ref()).map(|value| show::answer(session, value));
    let reason = given.and_then(|answer| answer.na_reason.as_ref()).map(|reason| format!("– ({reason})"));
    let computed = question.computed.as_ref().map(|preview| show::wise(session, preview));
    let shown = value.or(reason).or(computed).unwrap_or_else(|| "·".to_owned());
    say!(
        "  {}  {}{}\n        {shown}",
        question.question.code,
        question.question.text.text(session.locale()),
        about(question)
    );
}

fn key(question: &VisitQuestion) -> (String, Option<Uuid>) {
    (question.question.code.clone(), question.item.as_ref().map(|item| item.id))
}

fn about(question: &VisitQuestion) -> String {
    question.item.as_ref().map(|item| format!(" [{}]", item.label)).unwrap_or_default()
}

fn print_question(session: &Session, question: &VisitQuestion, (at, of): (usize, usize)) {
    let text = question.question.text.text(session.locale());
    say!("\n[{at:2}/{of}] {}  {text}{}", question.question.code, about(question));
    let mut hints = vec![answer::expected(&question.question, session.locale())];
    if let Some(previous) = &question.previous {
        hints.push(format!("{}: {}", session.text(Key::Previous), show::answer(session, previous)));
    }
    say!("        {}", hints.join("  ·  "));
}

fn ask(session: &Session, visit: VisitId, question: &VisitQuestion) -> Result<Step> {
    loop {
        let reply = match read(session, question)? {
            Typed::Reply(reply) => reply,
            Typed::Again => continue,
            Typed::Skip => return Ok(Step::Skipped),
            Typed::Stop => return Ok(Step::Stop),
        };
        match save(session, visit, question, reply) {
            Ok(()) => return Ok(Step::Answered),
            Err(error) if error.kind == ApiErrorKind::Refused => say!("        {}", told(&error)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn read(session: &Session, question: &VisitQuestion) -> Result<Typed> {
    let Some(typed) = prompt::line("        ")? else { return Ok(Typed::Stop) };
    match typed.as_str() {
        "" => Ok(Typed::Skip),
        "q" => Ok(Typed::Stop),
        "?" => {
            say!("        {}", session.text(Key::Keys));
            Ok(Typed::Again)
        }
        "-" => {
            let reason = prompt::optional(session.text(Key::WhyNot))?;
            Ok(reason.map_or(Typed::Again, |reason| Typed::Reply(Reply::NotApplicable(reason))))
        }
        typed => Ok(match answer::parse(&question.question, typed, session.today()) {
            Some(value) => Typed::Reply(value.into()),
            None => {
                let expected = answer::expected(&question.question, session.locale());
                say!("        {}: {expected}", session.text(Key::NotUnderstood));
                Typed::Again
            }
        }),
    }
}

/// Saves one answer.
pub(crate) fn save(session: &Session, visit: VisitId, question: &VisitQuestion, reply: Reply) -> Result<(), ApiError> {
    debug_assert!(question.question.answer_type != AnswerType::Computed);
    let item = question.item.as_ref().map(|item| item.id);
    let saved = session.client.visits().answer(visit, &question.question.code, item, reply)?;
    show::warnings(session, &saved.warnings);
    Ok(())
}

fn told(error: &ApiError) -> &str {
    error.refusals.first().map_or(error.message.as_str(), |refusal| refusal.message.as_str())
}
