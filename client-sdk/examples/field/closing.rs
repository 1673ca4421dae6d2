//! The end of a visit: the place, who was there, what was found, the signature.

use anyhow::Result;
use client_sdk::api::visits::{Conclusion, NewAction, NewAttendee, NewFinding};
use sync_protocol::code::{FindingArea, Priority, Responsible, RiskRating, Severity, VisitMode};
use sync_protocol::entity::{Finding, Place, Visit};
use sync_protocol::id::VisitId;
use sync_protocol::time::Date;

use crate::session::Session;
use crate::texts::Key;
use crate::{answer, prompt, show};

/// How long an enterprise has when no date is given.
const DEFAULT_DUE_DAYS: i32 = 14;

/// Asks for everything that is still missing. Returns whether the visit may be completed now.
pub(crate) fn run(session: &Session, visit: VisitId) -> Result<bool> {
    say!("");
    ask_place(session, visit)?;
    ask_attendees(session, visit)?;
    ask_findings(session, visit)?;
    ask_conclusion(session, visit)?;
    print_open_points_before_signature(session, visit)?;
    ask_signature(session, visit)?;
    print_open_points(session, visit)
}

/// Completes the visit, or says what is open.
pub(crate) fn complete(session: &Session, visit: VisitId) -> Result<()> {
    let completed = session.client.visits().complete(visit)?;
    show::warnings(session, &completed.warnings);
    say!("{}", session.text(Key::Completed));
    Ok(())
}

/// Prints what stands between the visit and its completion. Returns whether there is nothing.
pub(crate) fn print_open_points(session: &Session, visit: VisitId) -> Result<bool> {
    let points = session.client.visits().open_points(visit)?;
    if points.is_empty() {
        return Ok(true);
    }
    say!("{}:", session.text(Key::Missing));
    for point in &points {
        say!("  {} [{}]", point.message, point.field);
    }
    Ok(false)
}

fn print_open_points_before_signature(session: &Session, visit: VisitId) -> Result<()> {
    let points = session.client.visits().open_points(visit)?;
    let open = points.iter().filter(|point| point.field != "signed_at");
    open.for_each(|point| say!("  {}: {} [{}]", session.text(Key::Missing), point.message, point.field));
    Ok(())
}

fn shown(session: &Session, visit: VisitId) -> Result<Option<Visit>> {
    Ok(session.client.visits().get(visit)?.map(|visit| visit.data))
}

fn ask_place(session: &Session, visit: VisitId) -> Result<()> {
    let has_place = |visit: Visit| {
        visit.mode != VisitMode::OnSite || visit.arrival_place.is_some() || visit.gps_exception_reason.is_some()
    };
    if shown(session, visit)?.is_none_or(has_place) {
        return Ok(());
    }
    let visits = session.client.visits();
    let typed = prompt::optional(session.text(Key::Place))?;
    if let Some(place) = typed.as_deref().and_then(place) {
        visits.set_place(visit, place)?;
    } else if let Some(reason) = prompt::optional(session.text(Key::NoPlace))? {
        visits.set_gps_exception(visit, &reason)?;
    }
    Ok(())
}

fn place(typed: &str) -> Option<Place> {
    let mut numbers = typed.split([' ', ',']).filter(|part| !part.is_empty()).map(str::parse::<f64>);
    let (latitude, longitude) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Place { latitude, longitude, accuracy_m: None, fixed_at: None, is_mock: false })
}

fn ask_attendees(session: &Session, visit: VisitId) -> Result<()> {
    let visits = session.client.visits();
    if !visits.attendees(visit)?.is_empty() {
        return Ok(());
    }
    while let Some(name) = prompt::optional(session.text(Key::AttendeeName))? {
        let role = prompt::optional(session.text(Key::RoleOf))?.unwrap_or_else(|| "–".to_owned());
        visits.add_attendee(visit, NewAttendee { name, role, organisation: None })?;
    }
    Ok(())
}

fn ask_findings(session: &Session, visit: VisitId) -> Result<()> {
    let visits = session.client.visits();
    for finding in visits.findings(visit)?.iter().filter(|finding| finding.severity == Severity::Critical) {
        if session.client.actions().of_visit(visit)?.iter().all(|action| action.finding_id != Some(finding.id)) {
            ask_action(session, finding)?;
        }
    }
    while let Some(text) = prompt::optional(session.text(Key::FindingText))? {
        let Some(area) = prompt::choose(session.text(Key::Area), FindingArea::CODES)? else { continue };
        let Some(severity) = prompt::choose(session.text(Key::Severity), Severity::CODES)? else { continue };
        let (area, severity) = (FindingArea::parse(area), Severity::parse(severity));
        let finding = visits.add_finding(visit, NewFinding { area, severity, text, rule_ref: None })?;
        ask_action(session, &finding)?;
    }
    Ok(())
}

fn ask_action(session: &Session, finding: &Finding) -> Result<()> {
    say!("  {} {}: {}", finding.severity, finding.area, finding.text);
    let Some(text) = prompt::optional(session.text(Key::ActionText))? else { return Ok(()) };
    let due_on = ask_date(session, Key::DueOn)?.unwrap_or_else(|| session.today().plus_days(DEFAULT_DUE_DAYS));
    let saved = session.client.visits().add_action(finding.visit_id, action_for(finding, text, due_on))?;
    show::warnings(session, &saved.warnings);
    Ok(())
}

/// Returns what the enterprise has to do about a finding.
pub(crate) fn action_for(finding: &Finding, text: String, due_on: Date) -> NewAction {
    let is_critical = finding.severity == Severity::Critical;
    NewAction {
        finding: Some(finding.id),
        text,
        responsible: Responsible::Enterprise,
        responsible_name: None,
        priority: if is_critical { Priority::High } else { Priority::Normal },
        due_on,
    }
}

fn ask_conclusion(session: &Session, visit: VisitId) -> Result<()> {
    if shown(session, visit)?.is_none_or(|visit| visit.summary.is_some()) {
        return Ok(());
    }
    let Some(summary) = prompt::optional(session.text(Key::Summary))? else { return Ok(()) };
    let risk = prompt::choose(session.text(Key::Risk), RiskRating::CODES)?.map(RiskRating::parse);
    let next_visit_on = ask_date(session, Key::NextVisit)?;
    session.client.visits().conclude(visit, Conclusion { summary: Some(summary), risk, next_visit_on })?;
    Ok(())
}

fn ask_signature(session: &Session, visit: VisitId) -> Result<()> {
    let visits = session.client.visits();
    let is_refused = shown(session, visit)?.is_none_or(|visit| visit.signature_refusal_note.is_some());
    if is_refused || visits.signature_holds(visit)? {
        return Ok(());
    }
    if let Some(name) = prompt::optional(session.text(Key::Signer))? {
        let role = prompt::optional(session.text(Key::RoleOf))?.unwrap_or_else(|| "–".to_owned());
        visits.sign(visit, &name, &role)?;
    } else if let Some(reason) = prompt::optional(session.text(Key::NoSignature))? {
        visits.refuse_signature(visit, &reason)?;
    }
    Ok(())
}

fn ask_date(session: &Session, label: Key) -> Result<Option<Date>> {
    let typed = prompt::optional(&format!("{} ({})", session.text(label), session.text(Key::AskDate)))?;
    Ok(typed.as_deref().and_then(|typed| answer::date(typed, session.today())))
}
