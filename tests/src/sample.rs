//! Sound rows in which a test changes what it is about. Each call makes new identifiers.

use sync_protocol::code::*;
use sync_protocol::entity::{Attendee, ChecklistAnswer, Employment, Finding, FollowUpAction, Position, Visit};
use sync_protocol::id::*;
use sync_protocol::time::{Date, Timestamp};
use uuid::Uuid;

/// 2024-04-01T08:00:00Z.
pub const VISIT_START: Timestamp = Timestamp(1_711_958_400_000);

/// Returns the date that a text names.
pub fn day(text: &str) -> Date {
    text.parse().expect("the test names a date")
}

/// Returns a visit that is under way.
pub fn visit(enterprise: EnterpriseId, mentor: UserId) -> Visit {
    Visit {
        id: VisitId(Uuid::now_v7()),
        enterprise_id: enterprise,
        mentor_id: mentor,
        kind: VisitKind::Routine,
        mode: VisitMode::OnSite,
        purpose: Some("Vizită de rutină".to_owned()),
        planned_start_at: None,
        planned_end_at: None,
        actual_start_at: Some(VISIT_START),
        actual_end_at: None,
        form_id: None,
        status: VisitStatus::InProgress,
        arrival_place: None,
        gps_exception_reason: None,
        summary: None,
        risk_rating: None,
        next_visit_on: None,
        travel_km: None,
        signer_name: None,
        signer_role: None,
        signed_at: None,
        signed_content_hash: None,
        signature_refusal_note: None,
        return_reason: None,
        validated_by: None,
        validated_at: None,
    }
}

/// Returns a finding of a visit.
pub fn finding(visit: &Visit, text: &str) -> Finding {
    Finding {
        id: FindingId(Uuid::now_v7()),
        enterprise_id: visit.enterprise_id,
        visit_id: visit.id,
        area: FindingArea::Jobs,
        severity: Severity::Minor,
        text: text.to_owned(),
        rule_ref: None,
    }
}

/// Returns an open action of a visit.
pub fn action(visit: &Visit) -> FollowUpAction {
    FollowUpAction {
        id: FollowUpActionId(Uuid::now_v7()),
        enterprise_id: visit.enterprise_id,
        visit_id: visit.id,
        finding_id: None,
        text: "Afișarea panoului".to_owned(),
        responsible: Responsible::Enterprise,
        responsible_name: None,
        owner_id: None,
        priority: Priority::Normal,
        due_on: day("2024-05-01"),
        status: ActionStatus::Open,
        done_on: None,
        verified_in_visit_id: None,
        status_note: None,
        cancel_reason: None,
    }
}

/// Returns the answer to a question, under the identifier that every device gives it.
pub fn answer(visit: &Visit, question: &str, reason: &str) -> ChecklistAnswer {
    ChecklistAnswer {
        id: ChecklistAnswer::id_of(visit.id, question, None),
        enterprise_id: visit.enterprise_id,
        visit_id: visit.id,
        question_code: question.to_owned(),
        item_id: None,
        value: None,
        na_reason: Some(reason.to_owned()),
        answered_at: VISIT_START,
    }
}

/// Returns someone who was present at a visit.
pub fn attendee(visit: &Visit, name: &str) -> Attendee {
    Attendee {
        id: AttendeeId(Uuid::now_v7()),
        enterprise_id: visit.enterprise_id,
        visit_id: visit.id,
        name: name.to_owned(),
        role: "Administrator".to_owned(),
        organisation: None,
        is_present: true,
    }
}

/// Returns a planned position.
pub fn position(enterprise: EnterpriseId) -> Position {
    Position {
        id: PositionId(Uuid::now_v7()),
        enterprise_id: enterprise,
        code: "P-001".to_owned(),
        title: "Brutar".to_owned(),
        isco_code: "7512".to_owned(),
        fte: "1".parse().expect("a number"),
        planned_start_on: None,
        is_committed: true,
        status: PositionStatus::Planned,
        is_reserved_for_vulnerable: true,
        first_filled_on: None,
    }
}

/// Returns the job record of a vulnerable person, special categories included.
pub fn employment(position: &Position, recorded_by: UserId) -> Employment {
    Employment {
        id: EmploymentId(Uuid::now_v7()),
        enterprise_id: position.enterprise_id,
        position_id: position.id,
        holder_name: "Ion Țepeș".to_owned(),
        holder_birth_on: Some(day("1980-06-30")),
        contract_type: ContractType::Indefinite,
        contract_no: None,
        start_on: day("2024-02-01"),
        end_on: None,
        end_reason: None,
        weekly_hours: "40".parse().expect("a number"),
        fte: "1".parse().expect("a number"),
        wage_band: None,
        is_vulnerable: true,
        vulnerability_codes: Some(vec!["ROMA".to_owned()]),
        status: EmploymentStatus::Recorded,
        verification: Verification::None,
        verified_by: None,
        verified_on: None,
        recorded_by,
    }
}
