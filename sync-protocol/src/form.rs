//! Visit forms: which questions are asked, whether an answer fits, how far a visit is.

use rust_decimal::Decimal;

use crate::code::AnswerType;
use crate::entity::{AnswerValue, ChecklistAnswer, Question};
use crate::message::MessageKey;
use crate::rule::Violation;
use crate::validate::FIELD;

/// How far a form is filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Questions with an answer or a reason.
    pub answered: usize,
    /// Questions that apply, without the computed ones.
    pub asked: usize,
    /// The codes of required questions without an answer or a reason, in the order of the form.
    ///
    /// Repeated questions are not listed: how often they are asked depends on rows outside the form.
    pub missing_required: Vec<String>,
}

/// The questions of a form whose codes begin with the same letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Section<'a> {
    /// The letter, such as `J` for jobs.
    pub letter: char,
    /// Its questions in order.
    pub questions: Vec<&'a Question>,
}

/// Returns whether a question applies, given the answers so far.
pub fn asked(question: &Question, answers: &[ChecklistAnswer]) -> bool {
    let Some(condition) = &question.asked_if else { return true };
    let conditioning = answers.iter().filter(|answer| answer.question_code == condition.question);
    conditioning.filter_map(|answer| answer.value.as_ref()).any(|value| match value {
        AnswerValue::MultiChoice(options) => options.iter().any(|option| condition.any_of.contains(option)),
        value => condition.any_of.contains(&value.text()),
    })
}

/// Checks an answer against the type, the options and the limits of its question.
///
/// # Errors
/// Returns the violation; its field is `value` and its slot `question` holds the code.
pub fn check_answer(question: &Question, value: &AnswerValue) -> Result<(), Violation> {
    match (question.answer_type, value) {
        (AnswerType::Bool, AnswerValue::Bool(_))
        | (AnswerType::Text, AnswerValue::Text(_))
        | (AnswerType::Date, AnswerValue::Date(_)) => Ok(()),
        (AnswerType::Int | AnswerType::Decimal, AnswerValue::Int(number)) => {
            check_limits(question, Decimal::from(*number))
        }
        (AnswerType::Decimal, AnswerValue::Decimal(number)) => check_limits(question, *number),
        (AnswerType::Choice, AnswerValue::Choice(option)) => check_option(question, option),
        (AnswerType::MultiChoice, AnswerValue::MultiChoice(options)) => {
            options.iter().try_for_each(|option| check_option(question, option))
        }
        _ => Err(violation(question, MessageKey::AnswerWrongType)),
    }
}

/// Returns how far a form is filled in.
pub fn progress(questions: &[Question], answers: &[ChecklistAnswer]) -> Progress {
    let mut progress = Progress::default();
    for question in in_order(questions) {
        if question.answer_type == AnswerType::Computed || !asked(question, answers) {
            continue;
        }
        progress.asked += 1;
        if answers.iter().any(|answer| answer.question_code == question.code && is_given(answer)) {
            progress.answered += 1;
        } else if question.is_required && question.repeat_over.is_none() {
            progress.missing_required.push(question.code.clone());
        }
    }
    progress
}

/// Returns the sections of a form in the order in which their first questions stand.
pub fn sections(questions: &[Question]) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for question in in_order(questions) {
        let letter = question.code.chars().next().unwrap_or(' ');
        match sections.iter_mut().find(|section| section.letter == letter) {
            Some(section) => section.questions.push(question),
            None => sections.push(Section { letter, questions: vec![question] }),
        }
    }
    sections
}

fn in_order(questions: &[Question]) -> Vec<&Question> {
    let mut ordered: Vec<&Question> = questions.iter().collect();
    ordered.sort_by_key(|question| question.position);
    ordered
}

fn is_given(answer: &ChecklistAnswer) -> bool {
    answer.value.is_some() || answer.na_reason.as_deref().is_some_and(|reason| !reason.trim().is_empty())
}

fn check_limits(question: &Question, number: Decimal) -> Result<(), Violation> {
    if let Some(limit) = question.min_value.filter(|limit| number < Decimal::from(*limit)) {
        return Err(violation(question, MessageKey::AnswerTooSmall).arg("limit", limit));
    }
    match question.max_value.filter(|limit| number > Decimal::from(*limit)) {
        Some(limit) => Err(violation(question, MessageKey::AnswerTooLarge).arg("limit", limit)),
        None => Ok(()),
    }
}

fn check_option(question: &Question, option: &str) -> Result<(), Violation> {
    if question.options.iter().any(|known| known == option) {
        return Ok(());
    }
    Err(violation(question, MessageKey::AnswerNotAnOption).arg("value", option))
}

fn violation(question: &Question, message: MessageKey) -> Violation {
    Violation::hard(FIELD, "value", message).arg("question", &question.code)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::code::RepeatOver;
    use crate::entity::{Condition, I18n};
    use crate::id::{EnterpriseId, FormId, QuestionId, VisitId};
    use crate::time::{Date, Timestamp};

    fn question(code: &str, position: i32, answer_type: AnswerType) -> Question {
        Question {
            id: QuestionId(Uuid::from_u128(position as u128)),
            form_id: FormId(Uuid::nil()),
            code: code.to_owned(),
            position,
            text: I18n::default(),
            answer_type,
            options: vec!["yes".to_owned(), "partly".to_owned(), "no".to_owned()],
            asked_if: None,
            repeat_over: None,
            is_required: true,
            min_value: Some(0),
            max_value: Some(500),
        }
    }

    fn asked_if(mut question: Question, other: &str, any_of: &[&str]) -> Question {
        let any_of = any_of.iter().map(|&text| text.to_owned()).collect();
        question.asked_if = Some(Condition { question: other.to_owned(), any_of });
        question
    }

    fn answer(code: &str, value: Option<AnswerValue>) -> ChecklistAnswer {
        ChecklistAnswer {
            id: ChecklistAnswer::id_of(VisitId(Uuid::nil()), code, None),
            enterprise_id: EnterpriseId(Uuid::nil()),
            visit_id: VisitId(Uuid::nil()),
            question_code: code.to_owned(),
            item_id: None,
            na_reason: value.is_none().then(|| "shop closed".to_owned()),
            value,
            answered_at: Timestamp(0),
        }
    }

    fn choice(option: &str) -> Option<AnswerValue> {
        Some(AnswerValue::Choice(option.to_owned()))
    }

    #[test]
    fn a_question_is_asked_when_the_other_answer_says_so() {
        let reason = asked_if(question("G02", 2, AnswerType::Text), "G01", &["no", "partly"]);
        for (answers, expected) in [
            (vec![], false),
            (vec![answer("G01", choice("yes"))], false),
            (vec![answer("G01", choice("no"))], true),
            (vec![answer("G01", Some(AnswerValue::Bool(false)))], true),
            (vec![answer("G01", Some(AnswerValue::MultiChoice(vec!["yes".into(), "partly".into()])))], true),
            (vec![answer("G01", None)], false),
        ] {
            assert_eq!(asked(&reason, &answers), expected, "{answers:?}");
        }
    }

    #[test]
    fn an_answer_fits_its_question_or_says_why_not() {
        use AnswerType as Type;
        use AnswerValue as Answer;
        use MessageKey as Key;
        for (answer_type, value, expected) in [
            (Type::Bool, Answer::Bool(true), None),
            (Type::Bool, Answer::Int(1), Some(Key::AnswerWrongType)),
            (Type::Int, Answer::Int(500), None),
            (Type::Int, Answer::Int(501), Some(Key::AnswerTooLarge)),
            (Type::Int, Answer::Decimal(Decimal::ONE), Some(Key::AnswerWrongType)),
            (Type::Decimal, Answer::Decimal(Decimal::new(-1, 2)), Some(Key::AnswerTooSmall)),
            (Type::Decimal, Answer::Int(3), None),
            (Type::Choice, Answer::Choice("partly".into()), None),
            (Type::Choice, Answer::Choice("maybe".into()), Some(Key::AnswerNotAnOption)),
            (Type::MultiChoice, Answer::MultiChoice(vec![]), None),
            (Type::MultiChoice, Answer::MultiChoice(vec!["no".into(), "x".into()]), Some(Key::AnswerNotAnOption)),
            (Type::Date, Answer::Date(Date(0)), None),
            (Type::Computed, Answer::Text("x".into()), Some(Key::AnswerWrongType)),
        ] {
            let found = check_answer(&question("Q01", 1, answer_type), &value).err().map(|v| v.message);
            assert_eq!(found, expected, "{answer_type} {value:?}");
        }
    }

    #[test]
    fn progress_counts_what_applies_and_lists_what_is_missing() {
        let mut repeated = question("R01", 5, AnswerType::Text);
        repeated.repeat_over = Some(RepeatOver::OpenActions);
        let questions = [
            question("J01", 3, AnswerType::Int),
            question("G01", 1, AnswerType::Choice),
            asked_if(question("G02", 2, AnswerType::Text), "G01", &["no"]),
            question("J07", 4, AnswerType::Computed),
            repeated,
        ];
        let found = |answers: &[ChecklistAnswer]| {
            let progress = progress(&questions, answers);
            (progress.answered, progress.asked, progress.missing_required.join(" "))
        };
        assert_eq!(found(&[]), (0, 3, "G01 J01".to_owned()));
        assert_eq!(found(&[answer("G01", choice("no"))]), (1, 4, "G02 J01".to_owned()));
        assert_eq!(found(&[answer("G01", choice("yes")), answer("J01", None)]), (2, 3, String::new()));
    }

    #[test]
    fn sections_stand_in_the_order_of_the_form() {
        let codes = [("R01", 9), ("G02", 2), ("J01", 3), ("G01", 1)];
        let questions = codes.map(|(code, position)| question(code, position, AnswerType::Bool));
        let found: Vec<_> = sections(&questions)
            .iter()
            .map(|section| (section.letter, section.questions.iter().map(|q| q.code.as_str()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(found, [('G', vec!["G01", "G02"]), ('J', vec!["J01"]), ('R', vec!["R01"])]);
    }
}
