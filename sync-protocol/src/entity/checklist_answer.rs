use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EntityKind, entity};
use crate::id::{ChecklistAnswerId, EnterpriseId, VisitId};
use crate::time::{Date, Timestamp};
use crate::value::json_field_value;

/// The value of an answer, as the type of the question asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerValue {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i32),
    /// A decimal number, as text.
    Decimal(Decimal),
    /// Text.
    Text(String),
    /// One of the question's options.
    Choice(String),
    /// Some of the question's options.
    MultiChoice(Vec<String>),
    /// A date.
    Date(Date),
}

impl AnswerValue {
    /// Returns the textual form that conditions compare with.
    pub fn text(&self) -> String {
        match self {
            Self::Bool(true) => "yes".to_owned(),
            Self::Bool(false) => "no".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Decimal(number) => number.to_string(),
            Self::Text(text) | Self::Choice(text) => text.clone(),
            Self::MultiChoice(options) => options.join(","),
            Self::Date(date) => date.to_string(),
        }
    }
}

json_field_value!(AnswerValue);

entity! {
    /// The answer to one question of a visit's form, saved on its own.
    ChecklistAnswer("checklist_answer", ChecklistAnswerId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// The visit.
        visit_id: VisitId [to(EntityKind::Visit) indexed immutable],
        /// The code of the question.
        question_code: String [max(16) indexed immutable],
        /// What the answer is about, where the question is repeated: a position, an action.
        item_id: Option<Uuid> [immutable],
        /// The answer; `null` with a reason.
        value: Option<AnswerValue> [group("answer")],
        /// Why there is no answer.
        na_reason: Option<String> [max(300) group("answer")],
        /// When it was given, by the phone's clock.
        answered_at: Timestamp [group("answer")],
    }
}

impl ChecklistAnswer {
    /// Returns the identifier of the answer to a question: the same on every device, so that two devices that
    /// answer one question edit one row.
    pub fn id_of(visit: VisitId, question_code: &str, item: Option<Uuid>) -> ChecklistAnswerId {
        let name = format!("{question_code}/{}", item.unwrap_or_default());
        ChecklistAnswerId(Uuid::new_v5(&visit.0, name.as_bytes()))
    }
}
