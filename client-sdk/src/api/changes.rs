//! What was recorded here and is not settled: waiting, kept by the office, refused.

use sync_protocol::code::Locale;
use sync_protocol::entity::{Employment, EntityKind};
use sync_protocol::id::EmploymentId;
use sync_protocol::message::{MessageKey, render};
use sync_protocol::mutation::Op;
use sync_protocol::rule::{HOLDER, HOLDER_ID};
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::error::ApiResult;
use crate::client::Client;
use crate::store::{Answer, Change, ChangeState};

/// A change in a list for the person.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeItem {
    /// Names the change on this device, for ever.
    pub change_id: u64,
    /// The kind of row.
    pub kind: EntityKind,
    /// The row; patch it to put a refused change right.
    pub row_id: Uuid,
    /// Whether it creates, changes or voids the row.
    pub op: Op,
    /// The fields that it sets.
    pub fields: Vec<&'static str>,
    /// When it was recorded, by the device's clock.
    pub recorded_at: Timestamp,
    /// What became of it.
    pub state: ChangeState,
    /// The office's answer, with a text in the person's language.
    pub answer: Option<AnswerItem>,
}

/// What the office answered to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerItem {
    /// The stable code, such as `HELD_PARENT_MISSING`.
    pub code: String,
    /// The rule that refused, such as `I19`.
    pub rule: Option<String>,
    /// The field to put right.
    pub field: Option<String>,
    /// What happened and what to do.
    pub text: String,
}

impl Client {
    /// Returns the changes that wait for the next sync, oldest first.
    pub fn pending(&self, limit: u32) -> ApiResult<Vec<ChangeItem>> {
        Ok(self.items(self.store.pending(limit)?))
    }

    /// Returns the changes that the office keeps until something else happens, oldest first. They are no errors.
    pub fn held(&self, limit: u32) -> ApiResult<Vec<ChangeItem>> {
        Ok(self.items(self.store.held(limit)?))
    }

    /// Returns the changes that the office refused, oldest first.
    ///
    /// Each is put right by changing its row with [`Client::edit`], which sends it again, or given up with
    /// [`Client::discard`].
    pub fn rejected(&self, limit: u32) -> ApiResult<Vec<ChangeItem>> {
        Ok(self.items(self.store.rejected(limit)?))
    }

    /// Gives up a change that the office refused: the row is shown again as the office has it.
    pub fn discard(&self, change_id: u64) -> ApiResult<()> {
        Ok(self.store.discard(change_id)?)
    }

    fn items(&self, changes: Vec<Change>) -> Vec<ChangeItem> {
        let told = changes.into_iter().map(|mut change| {
            change.answer = change.answer.map(|answer| self.naming(answer));
            item(change, self.locale())
        });
        told.collect()
    }

    /// Says what a person is called of whom an answer only names the record, if that is here.
    fn naming(&self, mut answer: Answer) -> Answer {
        let record = answer.args.iter().find(|(slot, _)| slot == HOLDER_ID).and_then(|(_, id)| id.parse().ok());
        let record = record.and_then(|id| self.get::<Employment>(EmploymentId(id)).ok().flatten());
        if let Some(record) = record {
            let slots = answer.args.iter_mut().filter(|(slot, _)| slot == HOLDER);
            slots.for_each(|(_, name)| name.clone_from(&record.data.holder_name));
        }
        answer
    }
}

fn item(change: Change, locale: Locale) -> ChangeItem {
    let mutation = change.mutation;
    let fields = mutation.kind.def().fields;
    ChangeItem {
        change_id: change.change_id,
        kind: mutation.kind,
        row_id: mutation.row_id,
        op: mutation.op,
        fields: mutation.patch.iter().filter_map(|(at, _)| Some(fields.get(*at)?.name)).collect(),
        recorded_at: mutation.captured_at,
        state: change.state,
        answer: change.answer.map(|answer| answer_item(answer, locale)),
    }
}

fn answer_item(answer: Answer, locale: Locale) -> AnswerItem {
    let text = text_of(&answer, locale);
    AnswerItem { code: answer.code, rule: answer.rule, field: answer.field, text }
}

/// Returns the most exact text that this version has; the code itself for an answer of a newer version.
fn text_of(answer: &Answer, locale: Locale) -> String {
    let message = answer.message.as_deref().and_then(MessageKey::parse);
    let Some(key) = message.or_else(|| MessageKey::parse(&answer.code)) else { return answer.code.clone() };
    let mut args: Vec<(&str, String)> = Vec::with_capacity(answer.args.len() + 2);
    args.extend(answer.args.iter().map(|(name, value)| (name.as_str(), value.clone())));
    args.extend(answer.rule.iter().map(|rule| ("rule", rule.clone())));
    args.extend(answer.field.iter().map(|field| ("field", field.clone())));
    render(key, locale, &args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: &str, message: Option<&str>) -> Answer {
        Answer {
            code: code.to_owned(),
            rule: Some("I19".to_owned()),
            field: Some("start_on".to_owned()),
            message: message.map(str::to_owned),
            args: vec![("limit".to_owned(), "2020-01-15".to_owned())],
        }
    }

    #[test]
    fn a_refusal_is_told_as_exactly_as_this_version_can() {
        let exact = text_of(&answer("REJECT_RULE", Some("START_BEFORE_REGISTRATION")), Locale::En);
        assert!(exact.starts_with("The job starts before the enterprise was registered (2020-01-15)."));
        let general = text_of(&answer("REJECT_RULE", Some("RULE_OF_2031")), Locale::En);
        assert_eq!(
            general,
            "The change breaks rule I19 in “First day of work” (limit: 2020-01-15). \
                             Correct the field and send it again."
        );
        assert_eq!(text_of(&answer("REJECT_MOON", None), Locale::En), "REJECT_MOON");
    }
}
