//! What people name: an enterprise by its code or name, a visit by the end of its identifier.

use anyhow::{Context as _, Result, bail};
use client_sdk::api::Record;
use client_sdk::api::conflicts::ConflictItem;
use client_sdk::store::RowState;
use sync_protocol::code::VisitStatus;
use sync_protocol::entity::{Employment, Enterprise, Entity, FollowUpAction, Position, Visit};
use uuid::Uuid;

use crate::session::Session;
use crate::standing::MOST;
use crate::texts::Key;

/// How many characters of an identifier people see and type.
const SHORT_CHARS: usize = 8;

/// Returns the end of an identifier, which differs between rows that were made together.
pub(crate) fn short(id: impl Into<Uuid>) -> String {
    let text = id.into().simple().to_string();
    text[text.len() - SHORT_CHARS..].to_owned()
}

/// Finds an enterprise by its code, or by words of its name.
pub(crate) fn enterprise(session: &Session, named: &str) -> Result<Record<Enterprise>> {
    let enterprises = session.client.enterprises();
    if let Some(found) = enterprises.by_code(named)? {
        return Ok(found);
    }
    let mut found = enterprises.search(named)?;
    if found.len() > 1 {
        let codes: Vec<&str> = found.iter().map(|enterprise| enterprise.code.as_str()).collect();
        bail!("{}: {}", session.text(Key::WhichOne), codes.join(", "));
    }
    found.pop().ok_or_else(|| not_here(session, named))
}

/// Finds a position by its code.
pub(crate) fn position(session: &Session, code: &str) -> Result<Record<Position>> {
    session.client.positions().by_code(code)?.ok_or_else(|| not_here(session, code))
}

/// Finds the job record of whoever holds a position now; one that the office refused goes before the others.
pub(crate) fn holder(session: &Session, code: &str) -> Result<Record<Employment>> {
    let position = position(session, code)?;
    let mut employments = session.client.employments().of(position.enterprise_id)?;
    employments.retain(|employment| employment.position_id == position.id && employment.end_on.is_none());
    let holder = employments.into_iter().min_by_key(|employment| employment.state != RowState::Rejected);
    holder.with_context(|| format!("{}: {}", position.code, session.text(Key::NoHolder)))
}

/// Finds a visit: the one whose identifier ends like this, or the unfinished one. One that is begun goes before
/// those that the office sent back.
pub(crate) fn visit(session: &Session, ending: Option<&str>) -> Result<Record<Visit>> {
    let visits = session.client.visits();
    if let Some(ending) = ending {
        let all = session.client.enterprises().list()?;
        let mut candidates = visits.drafts()?;
        for enterprise in all {
            candidates.extend(visits.of(enterprise.id)?);
        }
        return by_ending(session, candidates, ending);
    }
    let mut drafts = visits.drafts()?;
    if drafts.iter().any(|visit| visit.status == VisitStatus::InProgress) {
        drafts.retain(|visit| visit.status == VisitStatus::InProgress);
    }
    if drafts.len() > 1 {
        let ids: Vec<String> = drafts.iter().map(|visit| short(visit.id)).collect();
        bail!("{}: {}", session.text(Key::WhichOne), ids.join(", "));
    }
    match drafts.pop() {
        Some(draft) => Ok(draft),
        None => bail!("{}", session.text(Key::NoDraft)),
    }
}

/// Finds an open action by the end of its identifier.
pub(crate) fn action(session: &Session, ending: &str) -> Result<Record<FollowUpAction>> {
    by_ending(session, session.client.actions().open()?, ending)
}

/// Finds a conflict by the end of its identifier.
pub(crate) fn conflict(session: &Session, ending: &str) -> Result<ConflictItem> {
    let conflicts = session.client.conflicts(MOST)?;
    conflicts.into_iter().find(|conflict| ends_with(conflict.id.0, ending)).ok_or_else(|| not_here(session, ending))
}

fn by_ending<T: Entity>(session: &Session, candidates: Vec<Record<T>>, ending: &str) -> Result<Record<T>> {
    let found = candidates.into_iter().find(|record| ends_with(record.id().into(), ending));
    found.ok_or_else(|| not_here(session, ending))
}

fn ends_with(id: Uuid, ending: &str) -> bool {
    id.simple().to_string().ends_with(&ending.to_lowercase().replace('-', ""))
}

fn not_here(session: &Session, named: &str) -> anyhow::Error {
    anyhow::anyhow!("{named}: {}", session.text(Key::NotHere))
}
