//! The rules of the domain, run identically on phones and on the server.
//!
//! A caller asks [`needs`] what else must be known, loads it (one row at a time on a phone, in bulk on the
//! server) and calls [`check`]. The rules read no clock and no store: everything comes in through
//! [`RuleContext`].

mod checklist_answer;
mod dating;
mod duplicate;
mod employment;
mod follow_up_action;
mod held_item;
mod merge_proposal;
mod monthly_job_status;
mod participation;
mod position;
mod related;
mod reporting_period;
mod signature;
mod state;
mod visit;
mod visit_part;
mod wise;

pub use dating::{dates, reported_with};
pub use duplicate::{compared, families, likeness, matched};
pub use employment::{FULL_TIME_HOURS, fte_of};
pub use related::Related;
pub use signature::{signature_holds, signed_content, void_signature};
pub use state::STATE;
pub use wise::{WISE_MINIMUM_PERCENT, WisePreview, wise_preview};

use uuid::Uuid;

use crate::code::{Locale, VisitStatus};
use crate::entity::{ChecklistAnswer, Entity, EntityKind, MonthlyJobStatus, Row, Site};
use crate::id::UserId;
use crate::message::{MessageKey, render};
use crate::time::{Date, Timestamp};
use crate::validate;
use crate::value::Value;

/// How serious a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The change is refused.
    Hard,
    /// The change is accepted; people see the message.
    Warning,
}

/// A rule that a change breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant (`I19`), or `FIELD`, `STATE`, `DUTIES`.
    pub rule: &'static str,
    /// Whether it stops the change.
    pub level: Level,
    /// The field to put right.
    pub field: &'static str,
    /// What to tell people.
    pub message: MessageKey,
    /// The values of the message's slots; always holds `field`.
    pub args: Vec<(&'static str, String)>,
}

/// The slot of the name of the person whom another record is about.
pub const HOLDER: &str = "holder";
/// What is kept instead: the record.
pub const HOLDER_ID: &str = "holder_id";
/// What stands for a name that is not known, or not any more.
pub const NAMELESS: &str = "…";

impl Violation {
    /// Returns a violation that refuses the change.
    pub fn hard(rule: &'static str, field: &'static str, message: MessageKey) -> Self {
        Self { rule, level: Level::Hard, field, message, args: vec![("field", field.to_owned())] }
    }

    /// Returns a violation that people are told about while the change is accepted.
    pub fn warning(rule: &'static str, field: &'static str, message: MessageKey) -> Self {
        Self { level: Level::Warning, ..Self::hard(rule, field, message) }
    }

    /// Adds the value of a slot.
    #[must_use]
    pub fn arg(mut self, slot: &'static str, value: impl ToString) -> Self {
        self.args.push((slot, value.to_string()));
        self
    }

    /// Adds the name of the person whom another record is about, and the record: what is kept of the violation names the
    /// record alone, so that nothing of the person stays in it once they are erased.
    #[must_use]
    pub fn holder(self, name: &str, record: Uuid) -> Self {
        self.arg(HOLDER, name).arg(HOLDER_ID, record)
    }

    /// Returns whether the change is refused.
    pub fn is_hard(&self) -> bool {
        self.level == Level::Hard
    }

    /// Returns the text for people.
    pub fn text(&self, locale: Locale) -> String {
        render(self.message, locale, &self.args)
    }
}

/// What must be known besides the row itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// One row.
    Row {
        /// Its kind.
        kind: EntityKind,
        /// Its identifier.
        id: Uuid,
    },
    /// Every row of a kind whose field names a parent.
    Children {
        /// The kind of the children.
        kind: EntityKind,
        /// The field that names the parent.
        field: &'static str,
        /// The parent.
        parent: Uuid,
    },
}

/// What a rule knows besides the row before and after.
#[derive(Clone, Copy, Debug)]
pub struct RuleContext<'a> {
    /// The current time: the phone's on a phone, the server's on the server. `None` on a phone whose clock is known to
    /// be wrong: nothing counts as in the future there, and the server judges.
    pub now: Option<Timestamp>,
    /// Who made the change.
    pub actor: UserId,
    /// Whether the change comes from the office rather than from a device.
    pub in_office: bool,
    /// What [`needs`] asked for.
    pub related: &'a Related,
}

impl RuleContext<'_> {
    /// Returns the last day that is not in the future: the local date may be a day ahead of the date in UTC.
    fn tomorrow(&self) -> Option<Date> {
        self.now.map(|now| now.date().plus_days(1))
    }
}

/// Returns what must be loaded before [`check`]; nothing for most changes.
pub fn needs(kind: EntityKind, before: Option<&Row>, after: &Row) -> Vec<Need> {
    match kind {
        EntityKind::Visit => visit::needs(before, after),
        EntityKind::Employment => employment::needs(before, after),
        EntityKind::FollowUpAction => follow_up_action::needs(before, after),
        EntityKind::ChecklistAnswer | EntityKind::Finding | EntityKind::Attendee => visit_part::needs(kind, after),
        _ => Vec::new(),
    }
}

/// Completes the computed fields of `after` and returns every violation.
///
/// `before` is the row as it is stored, `None` for a new one. The rules of the entity run only on rows whose
/// fields are sound. A change of what was signed clears the signature in `after` (I27).
pub fn check(kind: EntityKind, before: Option<&Row>, after: &mut Row, cx: &RuleContext<'_>) -> Vec<Violation> {
    complete(kind, before, after, cx);
    let mut out = validate::row(kind.def(), before, after, cx.in_office);
    if out.iter().any(Violation::is_hard) {
        return out;
    }
    let sound = match kind {
        EntityKind::Visit => typed(before, after, |before, after| visit::check(before, after, cx, &mut out)),
        EntityKind::Employment => typed(before, after, |before, after| employment::check(before, after, cx, &mut out)),
        EntityKind::Position => typed(before, after, |before, after| position::check(before, after, cx, &mut out)),
        EntityKind::FollowUpAction => {
            typed(before, after, |before, after| follow_up_action::check(before, after, cx, &mut out))
        }
        EntityKind::MonthlyJobStatus => {
            typed(before, after, |_, after: &MonthlyJobStatus| monthly_job_status::check(after, cx, &mut out))
        }
        EntityKind::Participation => {
            typed(before, after, |before, after| participation::check(before, after, &mut out))
        }
        EntityKind::ChecklistAnswer => typed(before, after, |_, after: &ChecklistAnswer| {
            checklist_answer::check(after, &mut out);
        }),
        EntityKind::ReportingPeriod => {
            typed(before, after, |before, after| reporting_period::check(before, after, &mut out))
        }
        EntityKind::HeldItem => typed(before, after, |before, after| held_item::check(before, after, &mut out)),
        EntityKind::MergeProposal => {
            typed(before, after, |before, after| merge_proposal::check(before, after, &mut out))
        }
        EntityKind::Site => typed(before, after, |_, _: &Site| {}),
        _ => Ok(()),
    };
    if let Err(field) = sound {
        out.push(Violation::hard(validate::FIELD, field, MessageKey::WrongType));
    }
    match kind {
        EntityKind::Visit => signature::void_when_changed(before, after, &mut out),
        EntityKind::ChecklistAnswer | EntityKind::Finding | EntityKind::Attendee => {
            visit_part::check(kind, before, after, cx, &mut out);
        }
        _ => {}
    }
    out
}

/// Changes a row as the server does when it receives it from a device: a completed visit counts as submitted.
pub fn on_receipt(kind: EntityKind, row: &mut Row) {
    if kind == EntityKind::Visit && row.get(kind.def(), "status").as_text() == Some(VisitStatus::Completed.code()) {
        set(row, kind, "status", Value::Text(VisitStatus::Submitted.code().to_owned()));
    }
}

fn complete(kind: EntityKind, before: Option<&Row>, after: &mut Row, cx: &RuleContext<'_>) {
    match kind {
        EntityKind::Employment => employment::complete(before, after, cx),
        EntityKind::Participation => participation::complete(after),
        _ => {}
    }
}

/// Runs a rule on typed rows, or returns the name of the field of `after` that has the wrong shape.
fn typed<T: Entity>(before: Option<&Row>, after: &Row, rule: impl FnOnce(Option<&T>, &T)) -> Result<(), &'static str> {
    let before = before.and_then(|row| T::from_row(row).ok());
    rule(before.as_ref(), &T::from_row(after)?);
    Ok(())
}

/// Sets a field of a row; a field that the entity does not have is left out.
fn set(row: &mut Row, kind: EntityKind, field: &str, value: Value) {
    if let Some(slot) = kind.def().position(field).and_then(|at| row.values.get_mut(at)) {
        *slot = value;
    }
}

/// Returns whether a field differs between two rows; a new row differs in every field.
fn differs(kind: EntityKind, before: Option<&Row>, after: &Row, field: &str) -> bool {
    before.is_none_or(|before| before.get(kind.def(), field) != after.get(kind.def(), field))
}

/// Returns whether a text says nothing.
fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

#[cfg(test)]
mod fixture;
