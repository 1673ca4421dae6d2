//! Answers: a value, or a reason why there is none.

use super::{Violation, is_blank};
use crate::entity::ChecklistAnswer;
use crate::message::MessageKey;
use crate::validate::FIELD;

pub(super) fn check(after: &ChecklistAnswer, out: &mut Vec<Violation>) {
    if after.value.is_none() && is_blank(after.na_reason.as_deref()) {
        out.push(Violation::hard(FIELD, "value", MessageKey::AnswerMissing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Related;
    use crate::rule::fixture;

    #[test]
    fn an_answer_has_a_value_or_a_reason() {
        let answered = fixture::answer();
        let reason = ChecklistAnswer { value: None, na_reason: Some("closed".to_owned()), ..answered.clone() };
        let neither = ChecklistAnswer { value: None, na_reason: Some(" ".to_owned()), ..answered.clone() };
        for (answer, count) in [(answered, 0), (reason, 0), (neither, 1)] {
            assert_eq!(fixture::check_new(&answer, &Related::new()).len(), count);
        }
    }
}
