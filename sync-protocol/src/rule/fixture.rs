//! Sound rows that the tests of the rules change one thing in.

use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Related, RuleContext, Violation, check};
use crate::code::*;
use crate::entity::*;
use crate::id::*;
use crate::time::{Date, Timestamp};

pub(super) const MENTOR: UserId = UserId(Uuid::from_u128(1));
pub(super) const OFFICER: UserId = UserId(Uuid::from_u128(2));
const ENTERPRISE: EnterpriseId = EnterpriseId(Uuid::from_u128(3));
const VISIT: VisitId = VisitId(Uuid::from_u128(4));
const POSITION: PositionId = PositionId(Uuid::from_u128(5));

/// 2024-05-01T00:00:00Z.
const NOW: Timestamp = Timestamp(1_714_521_600_000);
/// 2024-04-01T08:00:00Z.
const VISIT_START: Timestamp = Timestamp(1_711_958_400_000);

pub(super) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

pub(super) fn context(related: &Related) -> RuleContext<'_> {
    RuleContext { now: Some(NOW), actor: MENTOR, in_office: false, related }
}

pub(super) fn check_new<T: Entity>(after: &T, related: &Related) -> Vec<Violation> {
    check(T::DEF.kind, None, &mut after.to_row(), &context(related))
}

pub(super) fn check_change<T: Entity>(before: &T, after: &T, in_office: bool, related: &Related) -> Vec<Violation> {
    let cx = RuleContext { in_office, ..context(related) };
    check(T::DEF.kind, Some(&before.to_row()), &mut after.to_row(), &cx)
}

pub(super) fn visit_parts(
    answers: &[ChecklistAnswer],
    attendees: &[Attendee],
    findings: &[Finding],
    actions: &[FollowUpAction],
) -> Related {
    fn add<T: Entity>(related: Related, rows: &[T]) -> Related {
        related.with_children(T::DEF.kind, "visit_id", VISIT.0, rows.iter().map(T::to_row).collect())
    }
    add(add(add(add(Related::new(), answers), attendees), findings), actions)
}

pub(super) fn enterprise() -> Enterprise {
    Enterprise {
        id: ENTERPRISE,
        code: "ENT-012".to_owned(),
        name: "Brutăria Bogodinț".to_owned(),
        legal_form: LegalForm::Srl,
        kind: EnterpriseKind::Wise,
        cui: None,
        registered_on: Some(day("2020-01-15")),
        nace_code: "1071".to_owned(),
        county: County::CarasSeverin,
        siruta_code: "52800".to_owned(),
        locality_name: "Bogodinț".to_owned(),
        status: EnterpriseStatus::Operating,
        social_mission: "Jobs in the mountains".to_owned(),
        representative_name: "Ana Pop".to_owned(),
        mentor_id: Some(MENTOR),
    }
}

pub(super) fn position() -> Position {
    Position {
        id: POSITION,
        enterprise_id: ENTERPRISE,
        code: "P-047".to_owned(),
        title: "Brutar".to_owned(),
        isco_code: "7512".to_owned(),
        fte: Decimal::ONE,
        planned_start_on: None,
        is_committed: true,
        status: PositionStatus::Planned,
        is_reserved_for_vulnerable: true,
        first_filled_on: None,
    }
}

pub(super) fn employment() -> Employment {
    Employment {
        id: EmploymentId(Uuid::from_u128(6)),
        enterprise_id: ENTERPRISE,
        position_id: POSITION,
        holder_name: "Ion Țepeș".to_owned(),
        holder_birth_on: Some(day("1980-06-30")),
        contract_type: ContractType::PartTime,
        contract_no: None,
        start_on: day("2020-02-01"),
        end_on: None,
        end_reason: None,
        weekly_hours: Decimal::from(30),
        fte: Decimal::ZERO,
        wage_band: None,
        is_vulnerable: true,
        vulnerability_codes: None,
        status: EmploymentStatus::Recorded,
        verification: Verification::None,
        verified_by: None,
        verified_on: None,
        recorded_by: MENTOR,
    }
}

pub(super) fn month() -> MonthlyJobStatus {
    MonthlyJobStatus {
        id: MonthlyJobStatusId(Uuid::from_u128(7)),
        enterprise_id: ENTERPRISE,
        employment_id: EmploymentId(Uuid::from_u128(6)),
        month_on: day("2024-03-01"),
        is_active: true,
        hours_worked: None,
        absence_kind: None,
        is_wage_paid: Some(true),
        visit_id: None,
        note: None,
    }
}

/// A visit in progress that has all it needs to be completed.
pub(super) fn visit() -> Visit {
    Visit {
        id: VISIT,
        enterprise_id: ENTERPRISE,
        mentor_id: MENTOR,
        kind: VisitKind::Routine,
        mode: VisitMode::OnSite,
        purpose: None,
        planned_start_at: None,
        planned_end_at: None,
        actual_start_at: Some(VISIT_START),
        actual_end_at: Some(VISIT_START.plus_ms(5_400_000)),
        form_id: None,
        status: VisitStatus::InProgress,
        arrival_place: Some(Place {
            latitude: 44.9,
            longitude: 21.9,
            accuracy_m: Some(8.5),
            fixed_at: None,
            is_mock: false,
        }),
        gps_exception_reason: None,
        summary: Some("All well".to_owned()),
        risk_rating: None,
        next_visit_on: None,
        travel_km: None,
        signer_name: Some("Ana Pop".to_owned()),
        signer_role: None,
        signed_at: Some(VISIT_START.plus_ms(5_400_000)),
        signed_content_hash: Some("00".repeat(32)),
        signature_refusal_note: None,
        return_reason: None,
        validated_by: None,
        validated_at: None,
    }
}

pub(super) fn answer() -> ChecklistAnswer {
    ChecklistAnswer {
        id: ChecklistAnswer::id_of(VISIT, "G03", None),
        enterprise_id: ENTERPRISE,
        visit_id: VISIT,
        question_code: "G03".to_owned(),
        item_id: None,
        value: Some(AnswerValue::Bool(true)),
        na_reason: None,
        answered_at: VISIT_START,
    }
}

pub(super) fn attendee() -> Attendee {
    Attendee {
        id: AttendeeId(Uuid::from_u128(8)),
        enterprise_id: ENTERPRISE,
        visit_id: VISIT,
        name: "Ana Pop".to_owned(),
        role: "administrator".to_owned(),
        organisation: None,
        is_present: true,
    }
}

pub(super) fn finding() -> Finding {
    Finding {
        id: FindingId(Uuid::from_u128(9)),
        enterprise_id: ENTERPRISE,
        visit_id: VISIT,
        area: FindingArea::Equipment,
        severity: Severity::Critical,
        text: "The oven is missing".to_owned(),
        rule_ref: None,
    }
}

pub(super) fn action() -> FollowUpAction {
    FollowUpAction {
        id: FollowUpActionId(Uuid::from_u128(10)),
        enterprise_id: ENTERPRISE,
        visit_id: VISIT,
        finding_id: None,
        text: "Bring the oven back".to_owned(),
        responsible: Responsible::Enterprise,
        responsible_name: None,
        owner_id: Some(MENTOR),
        priority: Priority::High,
        due_on: day("2024-04-15"),
        status: ActionStatus::Open,
        done_on: None,
        verified_in_visit_id: None,
        status_note: None,
        cancel_reason: None,
    }
}

pub(super) fn participation() -> Participation {
    Participation {
        id: ParticipationId(Uuid::from_u128(11)),
        code: "PT-031".to_owned(),
        group_code: None,
        sex: Some(Sex::Female),
        age_at_entry: Some(30),
        county: County::Timis,
        is_rural: false,
        entry_on: day("2020-03-01"),
        exit_on: None,
        exit_reason: None,
        status: ParticipationStatus::Active,
        employment_status: Some(EmploymentStatusAtEntry::Unemployed),
        isced_band: Some(IscedBand::Middle),
        first_certificate_on: None,
        second_certificate_on: None,
        is_complete: true,
    }
}
