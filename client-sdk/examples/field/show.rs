//! How rows look in a terminal.

use std::fmt::Arguments;
use std::io::{self, Write as _};

use client_sdk::api::{Record, Warning};
use client_sdk::store::RowState;
use sync_protocol::entity::{AnswerValue, Visit};
use sync_protocol::message::state_label;
use sync_protocol::rule::WisePreview;
use sync_protocol::time::Timestamp;

use crate::pick::short;
use crate::session::Session;
use crate::texts::Key;

/// See the macro of the same name.
pub(crate) fn say(text: Arguments<'_>) {
    if writeln!(io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Returns a mark for how a row stands: nothing when the office has it like this.
pub(crate) fn mark(state: RowState) -> &'static str {
    match state {
        RowState::Synced => " ",
        RowState::Pending => "↑",
        RowState::Held => "⏸",
        RowState::Rejected => "✗",
        RowState::Conflict => "≠",
    }
}

/// Prints a visit in one line.
pub(crate) fn visit(session: &Session, visit: &Record<Visit>) -> anyhow::Result<()> {
    let enterprise = session.client.enterprises().get(visit.enterprise_id)?;
    let (code, name) = enterprise.map_or_else(Default::default, |found| (found.data.code, found.data.name));
    let at = visit.actual_start_at.or(visit.planned_start_at).map(minute).unwrap_or_default();
    let status = state_label(visit.status.code(), session.locale()).unwrap_or(visit.status.code());
    say!("  {} {}  {at:16}  {code:8} {name}  ({}, {status})", mark(visit.state), short(visit.id), visit.kind);
    Ok(())
}

/// Prints what the rules say about something that they accepted.
pub(crate) fn warnings(session: &Session, warnings: &[Warning]) {
    for warning in warnings {
        say!("  {}: {}", session.text(Key::Warning), warning.message);
    }
}

/// Returns an answer as it was typed.
pub(crate) fn answer(session: &Session, value: &AnswerValue) -> String {
    match value {
        AnswerValue::Bool(true) => session.text(Key::Yes).to_owned(),
        AnswerValue::Bool(false) => session.text(Key::No).to_owned(),
        value => value.text(),
    }
}

/// Returns the share of the vulnerable as people read it.
pub(crate) fn wise(session: &Session, preview: &WisePreview) -> String {
    let percent = |ratio: rust_decimal::Decimal| (ratio * rust_decimal::Decimal::from(100)).round_dp(1).normalize();
    let (people, hours) = (percent(preview.headcount_ratio), percent(preview.hours_ratio));
    let below = if preview.is_below_minimum() { session.text(Key::BelowMinimum) } else { "✓" };
    let (employees, of_hours) = (session.text(Key::Employees), session.text(Key::OfHours));
    format!("{employees}: {people} %, {hours} % {of_hours}  {below}")
}

/// Returns an instant to the minute.
pub(crate) fn minute(at: Timestamp) -> String {
    at.to_string().chars().take(16).collect::<String>().replace('T', " ")
}

/// Returns a duration in its largest unit.
pub(crate) fn duration(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
