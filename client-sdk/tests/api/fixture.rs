//! What the office has planned: one work-integration enterprise, two positions, one employee, the visit form.

use rust_decimal::Decimal;
use sync_protocol::code::*;
use sync_protocol::entity::*;
use sync_protocol::id::*;
use sync_protocol::rows::Rows;
use sync_protocol::time::{Date, Timestamp};
use uuid::Uuid;

use crate::device::rows;

/// 2024-04-01T08:00:00Z, a Monday.
pub(crate) const NOW: Timestamp = Timestamp(1_711_958_400_000);
pub(crate) const PROGRAMME: Uuid = Uuid::from_u128(1);
pub(crate) const MENTOR: UserId = UserId(Uuid::from_u128(2));
pub(crate) const COORDINATOR: UserId = UserId(Uuid::from_u128(3));
pub(crate) const ENTERPRISE: EnterpriseId = EnterpriseId(Uuid::from_u128(4));
pub(crate) const BAKER: PositionId = PositionId(Uuid::from_u128(5));
pub(crate) const DRIVER: PositionId = PositionId(Uuid::from_u128(6));
pub(crate) const OLD_VISIT: VisitId = VisitId(Uuid::from_u128(7));
pub(crate) const OLD_ACTION: FollowUpActionId = FollowUpActionId(Uuid::from_u128(8));
pub(crate) const PLANNED_VISIT: VisitId = VisitId(Uuid::from_u128(9));
const FORM: FormId = FormId(Uuid::from_u128(10));

pub(crate) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn reference_data() -> Vec<Rows> {
    vec![
        rows(1, &[user(MENTOR, "Ana Berceanu", Role::Mentor), user(COORDINATOR, "Elena Crișan", Role::Coordinator)]),
        rows(1, &[form()]),
        rows(1, &questions()),
        rows(1, &[enterprise()]),
        rows(
            1,
            &[position(BAKER, "P-001", PositionStatus::Filled), position(DRIVER, "P-002", PositionStatus::Planned)],
        ),
        rows(1, &[baker()]),
        rows(1, &[old_visit(), planned_visit()]),
        rows(1, &[old_answer()]),
        rows(1, &[old_action()]),
    ]
}

fn user(id: UserId, name: &str, role: Role) -> User {
    User {
        id,
        display_name: name.to_owned(),
        email: format!("{role}@example.org"),
        role,
        organisation: None,
        locale: Locale::Ro,
        is_active: true,
    }
}

fn enterprise() -> Enterprise {
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
        siruta_code: "53817".to_owned(),
        locality_name: "Bogodinț".to_owned(),
        status: EnterpriseStatus::Operating,
        social_mission: "Pâine și locuri de muncă".to_owned(),
        representative_name: "Viorica Miclea".to_owned(),
        mentor_id: Some(MENTOR),
    }
}

fn position(id: PositionId, code: &str, status: PositionStatus) -> Position {
    Position {
        id,
        enterprise_id: ENTERPRISE,
        code: code.to_owned(),
        title: "Brutar".to_owned(),
        isco_code: "7512".to_owned(),
        fte: Decimal::ONE,
        planned_start_on: None,
        is_committed: true,
        status,
        is_reserved_for_vulnerable: false,
        first_filled_on: None,
    }
}

fn baker() -> Employment {
    Employment {
        id: EmploymentId(Uuid::from_u128(20)),
        enterprise_id: ENTERPRISE,
        position_id: BAKER,
        holder_name: "Rodica Lungu".to_owned(),
        holder_birth_on: None,
        contract_type: ContractType::Indefinite,
        contract_no: None,
        start_on: day("2020-03-01"),
        end_on: None,
        end_reason: None,
        weekly_hours: Decimal::from(40),
        fte: Decimal::ONE,
        wage_band: None,
        is_vulnerable: false,
        vulnerability_codes: None,
        status: EmploymentStatus::Recorded,
        verification: Verification::None,
        verified_by: None,
        verified_on: None,
        recorded_by: MENTOR,
    }
}

fn planned_visit() -> Visit {
    Visit {
        id: PLANNED_VISIT,
        enterprise_id: ENTERPRISE,
        mentor_id: MENTOR,
        kind: VisitKind::Routine,
        mode: VisitMode::OnSite,
        purpose: None,
        planned_start_at: Some(NOW.plus_ms(3_600_000)),
        planned_end_at: None,
        actual_start_at: None,
        actual_end_at: None,
        form_id: None,
        status: VisitStatus::Planned,
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

fn old_visit() -> Visit {
    let start = day("2024-03-04").midnight().plus_ms(36_000_000);
    Visit {
        id: OLD_VISIT,
        planned_start_at: Some(start),
        actual_start_at: Some(start),
        actual_end_at: Some(start.plus_ms(3_600_000)),
        form_id: Some(FORM),
        status: VisitStatus::Validated,
        ..planned_visit()
    }
}

fn old_answer() -> ChecklistAnswer {
    ChecklistAnswer {
        id: ChecklistAnswer::id_of(OLD_VISIT, "J01", None),
        enterprise_id: ENTERPRISE,
        visit_id: OLD_VISIT,
        question_code: "J01".to_owned(),
        item_id: None,
        value: Some(AnswerValue::Int(4)),
        na_reason: None,
        answered_at: NOW,
    }
}

fn old_action() -> FollowUpAction {
    FollowUpAction {
        id: OLD_ACTION,
        enterprise_id: ENTERPRISE,
        visit_id: OLD_VISIT,
        finding_id: None,
        text: "Afișați panoul".to_owned(),
        responsible: Responsible::Enterprise,
        responsible_name: None,
        owner_id: Some(MENTOR),
        priority: Priority::Normal,
        due_on: day("2024-03-20"),
        status: ActionStatus::Open,
        done_on: None,
        verified_in_visit_id: None,
        status_note: None,
        cancel_reason: None,
    }
}

fn form() -> Form {
    Form {
        id: FORM,
        code: "VISIT_ROUTINE".to_owned(),
        version_no: 3,
        title: I18n::default(),
        valid_from_on: day("2019-10-01"),
        valid_until_on: None,
    }
}

/// Code, type, options: the 24 questions of `VISIT_ROUTINE`, version 3.
const LINES: [(&str, AnswerType, &[&str]); 24] = {
    use AnswerType::{Bool, Choice, Computed, Date, Decimal, Int, MultiChoice, Text};
    [
        ("G01", Choice, &["YES", "NO", "PARTLY"]),
        ("G02", Text, &[]),
        ("G03", Bool, &[]),
        ("G04", Bool, &[]),
        ("J01", Int, &[]),
        ("J02", Int, &[]),
        ("J03", Choice, &["FILLED_PRESENT", "FILLED_ABSENT", "VACANT"]),
        ("J04", Choice, &["SEEN", "PARTLY", "NOT_AVAILABLE"]),
        ("J05", Int, &[]),
        ("J06", Bool, &[]),
        ("J07", Computed, &[]),
        ("E01", Bool, &[]),
        ("E02", Bool, &[]),
        ("F01", Decimal, &[]),
        ("F02", Bool, &[]),
        ("F03", Bool, &[]),
        ("S01", Text, &[]),
        ("S02", Choice, &["OK", "NEEDS_ACTION", "NOT_APPLICABLE"]),
        ("S03", Bool, &[]),
        ("P01", MultiChoice, &["HUB", "EDUCATION", "HEALTH"]),
        ("P02", Bool, &[]),
        ("R01", Choice, &["DONE", "STILL_OPEN"]),
        ("R02", Choice, &["LOW", "MED", "HIGH"]),
        ("R03", Date, &[]),
    ]
};

fn questions() -> Vec<Question> {
    LINES.iter().enumerate().map(|(at, line)| question(at, line)).collect()
}

fn question(at: usize, (code, answer_type, options): &(&str, AnswerType, &[&str])) -> Question {
    let not_open = || Condition { question: "G01".to_owned(), any_of: vec!["NO".to_owned(), "PARTLY".to_owned()] };
    Question {
        id: QuestionId(Uuid::from_u128(100 + at as u128)),
        form_id: FORM,
        code: (*code).to_owned(),
        position: at as i32 + 1,
        text: I18n { ro: format!("Întrebarea {code}"), en: Some(format!("Question {code}")), it: None },
        answer_type: *answer_type,
        options: options.iter().map(|&option| option.to_owned()).collect(),
        asked_if: (*code == "G02").then(not_open),
        repeat_over: match *code {
            "J03" => Some(RepeatOver::Positions),
            "R01" => Some(RepeatOver::OpenActions),
            _ => None,
        },
        is_required: *answer_type != AnswerType::Computed,
        min_value: Some(0),
        max_value: (*answer_type == AnswerType::Int).then_some(200),
    }
}

/// Returns an answer that fits a question.
pub(crate) fn fitting_answer(question: &Question) -> AnswerValue {
    match question.answer_type {
        AnswerType::Bool => AnswerValue::Bool(true),
        AnswerType::Int => AnswerValue::Int(3),
        AnswerType::Decimal => AnswerValue::Decimal(Decimal::new(1_250_050, 2)),
        AnswerType::Choice => AnswerValue::Choice(question.options[0].clone()),
        AnswerType::MultiChoice => AnswerValue::MultiChoice(question.options[..2].to_vec()),
        AnswerType::Date => AnswerValue::Date(day("2024-05-01")),
        AnswerType::Text | AnswerType::Computed | AnswerType::Unknown => AnswerValue::Text("Două ateliere".to_owned()),
    }
}
