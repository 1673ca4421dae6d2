//! Actions: I28 and the lifecycle.

use super::state::{Lifecycle, STATE};
use super::{Need, RuleContext, Violation, differs, visit};
use crate::code::ActionStatus;
use crate::entity::{EntityKind, FollowUpAction, Row};
use crate::message::MessageKey;

const KIND: EntityKind = EntityKind::FollowUpAction;

const LIFECYCLE: Lifecycle<ActionStatus> = {
    use ActionStatus::{Cancelled, Done, Open, Verified};
    Lifecycle {
        first: &[Open, Done],
        anyone: &[(Open, Done), (Done, Verified), (Done, Open), (Open, Cancelled), (Done, Cancelled)],
        office: &[(Verified, Open), (Cancelled, Open)],
    }
};

pub(super) fn needs(before: Option<&Row>, after: &Row) -> Vec<Need> {
    if !differs(KIND, before, after, "due_on") {
        return Vec::new();
    }
    let visit = after.get(KIND.def(), "visit_id").as_uuid();
    visit.map(|id| Need::Row { kind: EntityKind::Visit, id }).into_iter().collect()
}

pub(super) fn check(
    before: Option<&FollowUpAction>,
    after: &FollowUpAction,
    cx: &RuleContext<'_>,
    out: &mut Vec<Violation>,
) {
    LIFECYCLE.check(before.map(|row| row.status), after.status, cx, out);
    check_done(after, cx, out);
    if after.status == ActionStatus::Cancelled && super::is_blank(after.cancel_reason.as_deref()) {
        out.push(Violation::hard(STATE, "cancel_reason", MessageKey::CancelReasonMissing));
    }
    if before.is_none_or(|row| row.due_on != after.due_on) {
        check_due(after, cx, out);
    }
}

fn check_done(after: &FollowUpAction, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    let is_done = matches!(after.status, ActionStatus::Done | ActionStatus::Verified);
    if is_done && after.done_on.is_none() {
        out.push(Violation::hard(STATE, "done_on", MessageKey::DoneOnMissing));
    }
    if let Some(done_on) = after.done_on.filter(|done_on| cx.tomorrow().is_some_and(|tomorrow| *done_on > tomorrow)) {
        out.push(Violation::warning(STATE, "done_on", MessageKey::DoneInFuture).arg("limit", done_on));
    }
}

fn check_due(after: &FollowUpAction, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    let visit = cx.related.untyped(EntityKind::Visit, after.visit_id.0);
    if let Some(limit) = visit.and_then(visit::date_of).filter(|visited_on| after.due_on < *visited_on) {
        out.push(Violation::hard("I28", "due_on", MessageKey::DueBeforeVisit).arg("limit", limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::rule::Related;
    use crate::rule::fixture::{self, day};

    fn keys(violations: &[Violation]) -> Vec<MessageKey> {
        violations.iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn an_action_is_not_due_before_its_visit() {
        let visit = fixture::visit();
        let related = Related::new().with_row(EntityKind::Visit, visit.to_row());
        for (due_on, expected) in
            [("2024-03-31", vec![MessageKey::DueBeforeVisit]), ("2024-04-01", vec![]), ("2024-04-15", vec![])]
        {
            let action = FollowUpAction { due_on: day(due_on), ..fixture::action() };
            assert_eq!(keys(&fixture::check_new(&action, &related)), expected, "due on {due_on}");
        }
    }

    #[test]
    fn states_move_along_the_table() {
        use ActionStatus::{Cancelled, Done, Open, Verified};
        for (from, to, in_office, expected) in [
            (Open, Done, false, None),
            (Done, Open, false, None),
            (Done, Verified, false, None),
            (Open, Verified, true, Some(MessageKey::TransitionRefused)),
            (Verified, Open, false, Some(MessageKey::TransitionOfficeOnly)),
            (Verified, Open, true, None),
            (Cancelled, Done, true, Some(MessageKey::TransitionRefused)),
        ] {
            let mut before = fixture::action();
            before.done_on = Some(day("2024-04-02"));
            let mut after = before.clone();
            (before.status, after.status) = (from, to);
            let found = fixture::check_change(&before, &after, in_office, &Related::new());
            assert_eq!(keys(&found), expected.into_iter().collect::<Vec<_>>(), "{from} to {to}");
        }
    }

    #[test]
    fn an_action_is_done_on_a_day_and_cancelled_for_a_reason() {
        let before = fixture::action();
        let changed = |edit: fn(&mut FollowUpAction)| {
            let mut after = before.clone();
            edit(&mut after);
            keys(&fixture::check_change(&before, &after, false, &Related::new()))
        };
        assert_eq!(changed(|a| a.status = ActionStatus::Done), [MessageKey::DoneOnMissing]);
        assert_eq!(changed(|a| (a.status, a.done_on) = (ActionStatus::Done, Some(day("2024-04-02")))), []);
        assert_eq!(
            changed(|a| (a.status, a.done_on) = (ActionStatus::Done, Some(day("2034-04-02")))),
            [MessageKey::DoneInFuture]
        );
        assert_eq!(changed(|a| a.status = ActionStatus::Cancelled), [MessageKey::CancelReasonMissing]);
        assert_eq!(changed(|a| (a.status, a.cancel_reason) = (ActionStatus::Cancelled, Some("moved".to_owned()))), []);
    }

    #[test]
    fn an_edit_that_keeps_the_due_date_needs_no_other_row() {
        let before = fixture::action();
        let after = FollowUpAction { status: ActionStatus::Done, ..before.clone() };
        assert_eq!(needs(Some(&before.to_row()), &after.to_row()), []);
        assert_eq!(needs(None, &after.to_row()), [Need::Row { kind: EntityKind::Visit, id: before.visit_id.0 }]);
    }
}
