//! What a person types, as an answer of the type that the question asks for.

use sync_protocol::code::{AnswerType, Locale};
use sync_protocol::entity::{AnswerValue, Question};
use sync_protocol::time::Date;

use crate::prompt;
use crate::texts::{Key, text};

const YES: [&str; 8] = ["da", "d", "yes", "y", "sì", "si", "s", "true"];
const NO: [&str; 4] = ["nu", "no", "n", "false"];

/// Reads an answer; `None` when the text does not fit the question. Limits are checked when it is saved.
pub(crate) fn parse(question: &Question, typed: &str, today: Date) -> Option<AnswerValue> {
    match question.answer_type {
        AnswerType::Bool => bool_of(typed).map(AnswerValue::Bool),
        AnswerType::Int => typed.parse().ok().map(AnswerValue::Int),
        AnswerType::Decimal => typed.replace(',', ".").parse().ok().map(AnswerValue::Decimal),
        AnswerType::Text => Some(AnswerValue::Text(typed.to_owned())),
        AnswerType::Choice => prompt::find(&question.options, typed).cloned().map(AnswerValue::Choice),
        AnswerType::MultiChoice => several(&question.options, typed).map(AnswerValue::MultiChoice),
        AnswerType::Date => date(typed, today).map(AnswerValue::Date),
        AnswerType::Computed | AnswerType::Unknown => None,
    }
}

/// Reads a date: `2026-12-01`, `1.12.2026`, or `+30` for thirty days from today.
pub(crate) fn date(typed: &str, today: Date) -> Option<Date> {
    if let Some(days) = typed.strip_prefix('+') {
        return days.parse().ok().map(|days| today.plus_days(days));
    }
    typed.parse().ok().or_else(|| {
        let mut parts = typed.splitn(3, '.');
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    })
}

/// Returns what to type, for the line under a question.
pub(crate) fn expected(question: &Question, locale: Locale) -> String {
    let limits = match (question.min_value, question.max_value) {
        (Some(least), Some(most)) => format!(" {least}–{most}"),
        (Some(least), None) => format!(" ≥ {least}"),
        (None, Some(most)) => format!(" ≤ {most}"),
        (None, None) => String::new(),
    };
    match question.answer_type {
        AnswerType::Bool => text(Key::AskYesNo, locale).to_owned(),
        AnswerType::Int => format!("{}{limits}", text(Key::AskInt, locale)),
        AnswerType::Decimal => format!("{}{limits}", text(Key::AskDecimal, locale)),
        AnswerType::Text => text(Key::AskText, locale).to_owned(),
        AnswerType::Choice => prompt::numbered(&question.options),
        AnswerType::MultiChoice => {
            format!("{} {}", text(Key::AskSeveral, locale), prompt::numbered(&question.options))
        }
        AnswerType::Date => text(Key::AskDate, locale).to_owned(),
        AnswerType::Computed | AnswerType::Unknown => String::new(),
    }
}

fn bool_of(typed: &str) -> Option<bool> {
    let typed = typed.to_lowercase();
    if YES.contains(&typed.as_str()) {
        return Some(true);
    }
    NO.contains(&typed.as_str()).then_some(false)
}

/// Reads codes or numbers with commas between them; `0` is none of them.
fn several(options: &[String], typed: &str) -> Option<Vec<String>> {
    if typed == "0" {
        return Some(Vec::new());
    }
    typed.split(',').map(|one| prompt::find(options, one.trim()).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_three_forms() {
        let today = Date::new(2026, 11, 22).unwrap();
        for (typed, expected) in
            [("2026-12-01", "2026-12-01"), ("1.12.2026", "2026-12-01"), ("+9", "2026-12-01"), ("32.1.2026", "")]
        {
            assert_eq!(date(typed, today).map_or_else(String::new, |date| date.to_string()), expected);
        }
    }

    #[test]
    fn several_options_are_chosen_by_number_or_code() {
        let options = ["HUB", "HEALTH", "CLUSTER"].map(str::to_owned);
        assert_eq!(several(&options, "1, cluster").unwrap(), ["HUB", "CLUSTER"]);
        assert_eq!(several(&options, "0").unwrap(), Vec::<String>::new());
        assert_eq!(several(&options, "4"), None);
    }
}
