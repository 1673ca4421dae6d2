//! Visits: the lifecycle, what a completed visit holds (I26), critical findings (I28).

use super::state::{Lifecycle, STATE};
use super::{Need, RuleContext, Violation, is_blank, signature};
use crate::code::{ActionStatus, Severity, VisitMode, VisitStatus};
use crate::entity::{Attendee, ChecklistAnswer, Entity, EntityKind, Finding, FollowUpAction, Row, Visit};
use crate::message::MessageKey;
use crate::time::{Date, Timestamp};
use crate::value::FieldValue;

const LIFECYCLE: Lifecycle<VisitStatus> = {
    use VisitStatus::{Cancelled, Completed, InProgress, Locked, Planned, Rescheduled, Returned, Submitted, Validated};
    Lifecycle {
        first: &[Planned, InProgress],
        anyone: &[
            (Planned, InProgress),
            (InProgress, Completed),
            (Returned, Completed),
            (Planned, Cancelled),
            (Planned, Rescheduled),
        ],
        office: &[
            (Completed, Submitted),
            (Completed, Validated),
            (Completed, Returned),
            (Submitted, Validated),
            (Submitted, Returned),
            (Validated, Returned),
            (Validated, Locked),
            (Locked, Returned),
            (Rescheduled, Planned),
            (Cancelled, Planned),
        ],
    }
};

pub(super) fn needs(before: Option<&Row>, after: &Row) -> Vec<Need> {
    let completed = Some(VisitStatus::Completed.code());
    let status = |row: &Row| row.get(Visit::DEF, "status").as_text() == completed;
    if !status(after) || before.is_some_and(status) {
        return Vec::new();
    }
    let parts = [EntityKind::ChecklistAnswer, EntityKind::Attendee, EntityKind::Finding, EntityKind::FollowUpAction];
    parts.map(|kind| Need::Children { kind, field: "visit_id", parent: after.id }).to_vec()
}

/// Returns the date of a visit: when it started, or else when it is planned.
///
/// The date is the one in UTC, which is never later than the local one where visits take place.
pub(super) fn date_of(visit: &Row) -> Option<Date> {
    let instant = |field| Timestamp::from_value(visit.get(Visit::DEF, field));
    instant("actual_start_at").or_else(|| instant("planned_start_at")).map(Timestamp::date)
}

/// Returns whether nothing of a visit in this state changes any more.
pub(super) fn is_final(status: VisitStatus) -> bool {
    matches!(status, VisitStatus::Validated | VisitStatus::Locked)
}

pub(super) fn check(before: Option<&Visit>, after: &Visit, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    LIFECYCLE.check(before.map(|visit| visit.status), after.status, cx, out);
    check_order(after, out);
    check_decision(before, after, out);
    if before.is_some_and(|before| is_final(before.status) && has_other_changes(before, after)) {
        out.push(Violation::hard(STATE, "status", MessageKey::RecordLocked));
    }
    let was_completed = before.is_some_and(|before| before.status == VisitStatus::Completed);
    if after.status == VisitStatus::Completed && !was_completed {
        check_completion(before, after, cx, out);
    }
}

fn check_order(after: &Visit, out: &mut Vec<Violation>) {
    for (start, end, field) in [
        (after.planned_start_at, after.planned_end_at, "planned_end_at"),
        (after.actual_start_at, after.actual_end_at, "actual_end_at"),
    ] {
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            out.push(Violation::hard("I26", field, MessageKey::EndBeforeStart).arg("limit", start));
        }
    }
}

/// Checks what the office decided: a return has a reason, and nobody validates an own visit.
fn check_decision(before: Option<&Visit>, after: &Visit, out: &mut Vec<Violation>) {
    let is_new_state = before.is_none_or(|before| before.status != after.status);
    if is_new_state && after.status == VisitStatus::Returned && is_blank(after.return_reason.as_deref()) {
        out.push(Violation::hard(STATE, "return_reason", MessageKey::ReturnReasonMissing));
    }
    if after.status == VisitStatus::Validated && after.validated_by == Some(after.mentor_id) {
        out.push(Violation::hard("DUTIES", "validated_by", MessageKey::VerifiedByRecorder));
    }
}

/// Returns whether more changed than the state and the office's decision.
fn has_other_changes(before: &Visit, after: &Visit) -> bool {
    let decided = Visit {
        status: after.status,
        return_reason: after.return_reason.clone(),
        validated_by: after.validated_by,
        validated_at: after.validated_at,
        ..before.clone()
    };
    decided != *after
}

fn check_completion(before: Option<&Visit>, after: &Visit, cx: &RuleContext<'_>, out: &mut Vec<Violation>) {
    let parts = Parts::load(after, cx);
    let refuse = |is_broken: bool, field, message| is_broken.then(|| Violation::hard("I26", field, message));
    let has_no_place = after.mode == VisitMode::OnSite
        && after.arrival_place.is_none()
        && is_blank(after.gps_exception_reason.as_deref());
    let keeps_signature = after.is_signed() && before.is_none_or(|before| !signature::is_voided(before, after));
    let is_unsigned = !keeps_signature && is_blank(after.signature_refusal_note.as_deref());
    out.extend(refuse(parts.answers.is_empty(), "status", MessageKey::VisitWithoutAnswers));
    out.extend(refuse(after.actual_start_at.is_none(), "actual_start_at", MessageKey::VisitWithoutTimes));
    out.extend(refuse(after.actual_end_at.is_none(), "actual_end_at", MessageKey::VisitWithoutTimes));
    out.extend(refuse(has_no_place, "gps_exception_reason", MessageKey::VisitWithoutPlace));
    let is_nobody_present = !parts.attendees.iter().any(|attendee| attendee.is_present);
    out.extend(refuse(is_nobody_present, "status", MessageKey::VisitWithoutAttendee));
    out.extend(refuse(is_unsigned, "signed_at", MessageKey::VisitWithoutSignature));
    out.extend(parts.critical_without_action().map(|finding| {
        Violation::hard("I28", "status", MessageKey::CriticalWithoutAction).arg("finding", &finding.text)
    }));
    if keeps_signature && !signature::signature_holds(after, &parts.answers, &parts.findings, &parts.attendees) {
        out.push(Violation::warning("I27", "signed_at", MessageKey::SignatureOutdated));
    }
}

/// The rows that belong to a visit.
struct Parts {
    answers: Vec<ChecklistAnswer>,
    attendees: Vec<Attendee>,
    findings: Vec<Finding>,
    actions: Vec<FollowUpAction>,
}

impl Parts {
    fn load(visit: &Visit, cx: &RuleContext<'_>) -> Self {
        Self {
            answers: cx.related.children("visit_id", visit.id),
            attendees: cx.related.children("visit_id", visit.id),
            findings: cx.related.children("visit_id", visit.id),
            actions: cx.related.children("visit_id", visit.id),
        }
    }

    fn critical_without_action(&self) -> impl Iterator<Item = &Finding> {
        let is_answered = |finding: &Finding| {
            let mut actions = self.actions.iter().filter(|action| action.status != ActionStatus::Cancelled);
            actions.any(|action| action.finding_id == Some(finding.id))
        };
        self.findings.iter().filter(move |finding| finding.severity == Severity::Critical && !is_answered(finding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Role;
    use crate::rule::fixture::{self, MENTOR, OFFICER};
    use crate::rule::{Level, Related};

    type Edit = fn(&mut Visit);

    fn keys(violations: &[Violation]) -> Vec<MessageKey> {
        violations.iter().map(|violation| violation.message).collect()
    }

    fn completing(edit: Edit, related: &Related) -> Vec<MessageKey> {
        let mut before = fixture::visit();
        edit(&mut before);
        let mut after = before.clone();
        (before.status, after.status) = (VisitStatus::InProgress, VisitStatus::Completed);
        let found = fixture::check_change(&before, &after, false, related);
        keys(&found.into_iter().filter(Violation::is_hard).collect::<Vec<_>>())
    }

    fn parts() -> Related {
        fixture::visit_parts(&[fixture::answer()], &[fixture::attendee()], &[], &[])
    }

    #[test]
    fn a_completed_visit_holds_what_an_auditor_asks_for() {
        use MessageKey as Key;
        let cases: &[(Edit, Option<Key>)] = &[
            (|_| {}, None),
            (|v| v.actual_start_at = None, Some(Key::VisitWithoutTimes)),
            (|v| v.actual_end_at = None, Some(Key::VisitWithoutTimes)),
            (|v| v.actual_end_at = v.actual_start_at.map(|at| at.plus_ms(-1)), Some(Key::EndBeforeStart)),
            (|v| v.arrival_place = None, Some(Key::VisitWithoutPlace)),
            (|v| (v.arrival_place, v.gps_exception_reason) = (None, Some("valley".to_owned())), None),
            (|v| (v.arrival_place, v.mode) = (None, VisitMode::Phone), None),
            (|v| v.signed_at = None, Some(Key::VisitWithoutSignature)),
            (|v| (v.signed_at, v.signature_refusal_note) = (None, Some("ill".to_owned())), None),
        ];
        for (at, (edit, expected)) in cases.iter().enumerate() {
            assert_eq!(completing(*edit, &parts()), expected.iter().copied().collect::<Vec<_>>(), "case {at}");
        }
    }

    #[test]
    fn a_completed_visit_has_an_answer_and_someone_present() {
        let absent = Attendee { is_present: false, ..fixture::attendee() };
        let unanswered = fixture::visit_parts(&[], &[fixture::attendee()], &[], &[]);
        let alone = fixture::visit_parts(&[fixture::answer()], &[absent], &[], &[]);
        assert_eq!(completing(|_| {}, &unanswered), [MessageKey::VisitWithoutAnswers]);
        assert_eq!(completing(|_| {}, &alone), [MessageKey::VisitWithoutAttendee]);
    }

    #[test]
    fn a_critical_finding_needs_an_action() {
        let critical = fixture::finding();
        let minor = Finding { severity: Severity::Minor, ..critical.clone() };
        let action = FollowUpAction { finding_id: Some(critical.id), ..fixture::action() };
        let cancelled = FollowUpAction { status: ActionStatus::Cancelled, ..action.clone() };
        for (finding, actions, expected) in [
            (&critical, vec![], vec![MessageKey::CriticalWithoutAction]),
            (&critical, vec![fixture::action()], vec![MessageKey::CriticalWithoutAction]),
            (&critical, vec![cancelled], vec![MessageKey::CriticalWithoutAction]),
            (&critical, vec![action], vec![]),
            (&minor, vec![], vec![]),
        ] {
            let related = fixture::visit_parts(
                &[fixture::answer()],
                &[fixture::attendee()],
                std::slice::from_ref(finding),
                &actions,
            );
            assert_eq!(completing(|_| {}, &related), expected);
        }
    }

    #[test]
    fn states_move_along_the_table() {
        use VisitStatus::{Cancelled, InProgress, Locked, Planned, Rescheduled, Returned, Submitted, Validated};
        for (from, to, in_office, expected) in [
            (Planned, InProgress, false, None),
            (Planned, Cancelled, false, None),
            (Planned, Rescheduled, false, None),
            (InProgress, Planned, false, Some(MessageKey::TransitionRefused)),
            (Submitted, Validated, false, Some(MessageKey::TransitionOfficeOnly)),
            (Submitted, Validated, true, None),
            (Submitted, Returned, true, None),
            (Validated, Returned, true, None),
            (Validated, Locked, true, None),
            (Locked, Validated, true, Some(MessageKey::TransitionRefused)),
            (Cancelled, InProgress, false, Some(MessageKey::TransitionRefused)),
        ] {
            let mut before = fixture::visit();
            before.return_reason = Some("photo missing".to_owned());
            let mut after = before.clone();
            (before.status, after.status) = (from, to);
            let found = fixture::check_change(&before, &after, in_office, &Related::new());
            assert_eq!(keys(&found), expected.into_iter().collect::<Vec<_>>(), "{from} to {to}");
        }
    }

    #[test]
    fn a_device_creates_a_visit_planned_or_begun() {
        for (status, is_refused) in
            [(VisitStatus::Planned, false), (VisitStatus::InProgress, false), (VisitStatus::Validated, true)]
        {
            let visit = Visit { status, ..fixture::visit() };
            assert_eq!(!fixture::check_new(&visit, &Related::new()).is_empty(), is_refused, "{status}");
        }
    }

    #[test]
    fn nothing_changes_in_a_validated_visit_but_the_decision() {
        for status in [VisitStatus::Validated, VisitStatus::Locked] {
            let before = Visit { status, ..fixture::visit() };
            let after = Visit { summary: Some("another".to_owned()), ..before.clone() };
            for in_office in [false, true] {
                let found = fixture::check_change(&before, &after, in_office, &Related::new());
                assert_eq!(keys(&found), [MessageKey::RecordLocked]);
            }
        }
    }

    #[test]
    fn the_office_gives_a_reason_and_does_not_validate_its_own_visit() {
        let before = Visit { status: VisitStatus::Submitted, ..fixture::visit() };
        let returned = Visit { status: VisitStatus::Returned, ..before.clone() };
        let by = |user| Visit { status: VisitStatus::Validated, validated_by: Some(user), ..before.clone() };
        for (after, expected) in [
            (returned, vec![MessageKey::ReturnReasonMissing]),
            (by(MENTOR), vec![MessageKey::VerifiedByRecorder]),
            (by(OFFICER), vec![]),
        ] {
            assert_eq!(keys(&fixture::check_change(&before, &after, true, &Related::new())), expected);
        }
    }

    #[test]
    fn a_signature_of_other_content_is_reported_on_completion() {
        let mut before = fixture::visit();
        let hash_of = |visit: &Visit| {
            let hash = signature::signed_content(visit, &[fixture::answer()], &[], &[fixture::attendee()]);
            hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        before.signed_content_hash = Some(hash_of(&before));
        let after = Visit { status: VisitStatus::Completed, ..before.clone() };
        assert_eq!(fixture::check_change(&before, &after, false, &parts()), []);
        let after = Visit { summary: Some("another".to_owned()), ..after };
        let found = fixture::check_change(&before, &after, false, &parts());
        assert_eq!((keys(&found), found[0].level), (vec![MessageKey::SignatureOutdated], Level::Warning));
    }

    #[test]
    fn only_completing_a_visit_asks_for_its_parts() {
        let open = fixture::visit().to_row();
        let completed = Visit { status: VisitStatus::Completed, ..fixture::visit() }.to_row();
        assert_eq!(needs(None, &open), []);
        assert_eq!(needs(Some(&completed), &completed), []);
        assert_eq!(needs(Some(&open), &completed).len(), 4);
    }

    #[test]
    fn a_completed_visit_is_submitted_on_receipt_and_other_rows_stay() {
        for (status, expected) in
            [(VisitStatus::Completed, VisitStatus::Submitted), (VisitStatus::Returned, VisitStatus::Returned)]
        {
            let mut row = Visit { status, ..fixture::visit() }.to_row();
            crate::rule::on_receipt(EntityKind::Visit, &mut row);
            assert_eq!(Visit::from_row(&row).map(|visit| visit.status), Ok(expected));
        }
        let mut user = Row { id: MENTOR.0, values: vec![Role::Mentor.to_value()] };
        let before = user.clone();
        crate::rule::on_receipt(EntityKind::User, &mut user);
        assert_eq!(user, before);
    }
}
