//! Lifecycles as tables of transitions.

use std::fmt::Display;

use super::{RuleContext, Violation};
use crate::message::MessageKey;

/// The rule that a lifecycle violation names.
///
/// When the state was edited concurrently, the step that breaks the table is a conflict, not a mistake: callers
/// that merge match on this name.
pub const STATE: &str = "STATE";

/// The states of an entity and who may move between them.
pub(super) struct Lifecycle<S: 'static> {
    /// The states in which a device may create a row; the office may import a row in any state.
    pub(super) first: &'static [S],
    /// What devices and the office may do.
    pub(super) anyone: &'static [(S, S)],
    /// What only the office may do.
    pub(super) office: &'static [(S, S)],
}

impl<S: Copy + PartialEq + Display> Lifecycle<S> {
    /// Checks the state of a new row, or the step from one state to another.
    pub(super) fn check(&self, before: Option<S>, after: S, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
        match before {
            None => self.check_first(after, cx, out),
            Some(before) if before == after => {}
            Some(before) => self.check_step((before, after), cx, out),
        }
    }

    fn check_first(&self, after: S, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
        if cx.in_office || self.first.contains(&after) {
            return;
        }
        let allowed = self.first.first().map_or_else(String::new, ToString::to_string);
        let violation = Violation::hard(STATE, "status", MessageKey::FirstStateRefused);
        out.push(violation.arg("to", after).arg("limit", allowed));
    }

    fn check_step(&self, step: (S, S), cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
        let is_office_step = self.office.contains(&step);
        if self.anyone.contains(&step) || (cx.in_office && is_office_step) {
            return;
        }
        let message = if is_office_step { MessageKey::TransitionOfficeOnly } else { MessageKey::TransitionRefused };
        out.push(Violation::hard(STATE, "status", message).arg("from", step.0).arg("to", step.1));
    }
}
