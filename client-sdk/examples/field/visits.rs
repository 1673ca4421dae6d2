//! Visits: listing, starting, going on, showing.

use anyhow::Result;
use client_sdk::api::Record;
use sync_protocol::code::{VisitKind, VisitMode, VisitStatus};
use sync_protocol::entity::{Enterprise, Visit};
use sync_protocol::id::VisitId;

use crate::args::{Filling, VisitCommand};
use crate::jobs::known;
use crate::lists::section;
use crate::script::Script;
use crate::session::Session;
use crate::texts::Key;
use crate::{auto, closing, interview, pick, script, show};

/// How far ahead `visit list` looks.
const DAYS_AHEAD: i32 = 14;

pub(crate) fn run(session: &Session, command: VisitCommand) -> Result<()> {
    match command {
        VisitCommand::List { enterprise: Some(named) } => list_of(session, &named),
        VisitCommand::List { enterprise: None } => list(session),
        VisitCommand::Start { enterprise, kind, mode, filling } => {
            let kind = VisitKind::parse(known(VisitKind::CODES, &kind)?);
            let mode = VisitMode::parse(known(VisitMode::CODES, &mode)?);
            let visit = start(session, &pick::enterprise(session, &enterprise)?, kind, mode)?;
            fill_in(session, visit, &filling)
        }
        VisitCommand::Resume { visit, filling } => {
            let visit = pick::visit(session, visit.as_deref())?;
            if visit.status == VisitStatus::Planned {
                session.client.visits().start_planned(visit.id)?;
            }
            say!("{} {}", session.text(Key::Resumed), pick::short(visit.id));
            fill_in(session, visit.id, &filling)
        }
        VisitCommand::Show { visit } => print(session, &pick::visit(session, visit.as_deref())?),
    }
}

fn list(session: &Session) -> Result<()> {
    let visits = session.client.visits();
    section(session, Key::Unfinished, &visits.drafts()?, |visit| show::visit(session, visit))?;
    let mut coming = visits.between(session.today(), session.today().plus_days(DAYS_AHEAD))?;
    coming.retain(|visit| visit.status == VisitStatus::Planned);
    section(session, Key::NextDays, &coming, |visit| show::visit(session, visit))
}

fn list_of(session: &Session, named: &str) -> Result<()> {
    let enterprise = pick::enterprise(session, named)?;
    let visits = session.client.visits().of(enterprise.id)?;
    visits.iter().try_for_each(|visit| show::visit(session, visit))
}

/// Starts the visit that is planned today, or an unplanned one.
fn start(session: &Session, enterprise: &Record<Enterprise>, kind: VisitKind, mode: VisitMode) -> Result<VisitId> {
    let visits = session.client.visits();
    let is_planned =
        |visit: &&Record<Visit>| visit.enterprise_id == enterprise.id && visit.status == VisitStatus::Planned;
    let visit = match visits.today()?.iter().find(is_planned) {
        Some(planned) => visits.start_planned(planned.id)?,
        None => visits.start(enterprise.id, kind, mode)?,
    };
    say!("{} {}: {} {}", session.text(Key::Started), pick::short(visit.id), enterprise.code, enterprise.name);
    show::warnings(session, &visit.warnings);
    Ok(visit.id)
}

fn fill_in(session: &Session, visit: VisitId, filling: &Filling) -> Result<()> {
    let script = match &filling.answers {
        Some(file) => Some(Script::read(file)?),
        None if filling.auto => Some(auto::script(session, visit)?),
        None => None,
    };
    if let Some(script) = script {
        script::apply(session, visit, &script)?;
        return closing::complete(session, visit);
    }
    if interview::run(session, visit)? && closing::run(session, visit)? {
        return closing::complete(session, visit);
    }
    say!("{}", session.text(Key::ResumeLater));
    Ok(())
}

fn print(session: &Session, visit: &Record<Visit>) -> Result<()> {
    show::visit(session, visit)?;
    let visits = session.client.visits();
    for question in visits.questions(visit.id)?.iter().filter(|question| question.is_asked) {
        interview::print_answer(session, question);
    }
    let progress = visits.progress(visit.id)?;
    say!("{}: {}/{}", session.text(Key::Answered), progress.answered, progress.asked);
    say!("{}:", session.text(Key::Findings));
    for finding in visits.findings(visit.id)? {
        say!("  {} {}: {}", finding.severity, finding.area, finding.text);
    }
    if matches!(visit.status, VisitStatus::InProgress | VisitStatus::Returned) {
        closing::print_open_points(session, visit.id)?;
    }
    Ok(())
}
