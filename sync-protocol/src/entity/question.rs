use serde::{Deserialize, Serialize};

use super::{EntityKind, I18n, entity};
use crate::code::{AnswerType, RepeatOver};
use crate::id::{FormId, QuestionId};
use crate::value::json_field_value;

/// When a question is asked: the answer to another question is one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The code of the other question.
    pub question: String,
    /// The answers, in the textual form of [`AnswerValue::text`](super::AnswerValue::text), that make it apply.
    pub any_of: Vec<String>,
}

json_field_value!(Condition);

entity! {
    /// A question of a form.
    Question("question", QuestionId) scope(Programme) from(Office) {
        /// The form.
        form_id: FormId [to(EntityKind::Form) indexed],
        /// The code within the form, such as `J04`.
        code: String [max(16) indexed],
        /// The order in the form, from 1.
        position: i32 [indexed],
        /// The question.
        text: I18n,
        /// What is asked for.
        answer_type: AnswerType,
        /// The codes to choose from, for choices.
        options: Vec<String>,
        /// The question is asked only if this holds.
        asked_if: Option<Condition>,
        /// The question is asked for each of these.
        repeat_over: Option<RepeatOver>,
        /// Whether a visit cannot be completed without an answer or a reason.
        is_required: bool,
        /// The smallest number allowed.
        min_value: Option<i32>,
        /// The largest number allowed.
        max_value: Option<i32>,
    }
}
