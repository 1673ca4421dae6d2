//! What a reply looks like to the client.

use async_graphql::Value;
use sync_protocol::code::Locale;
use sync_protocol::message::{MessageKey, render};
use sync_protocol::wire::MutationResult;

use super::types::USER_ERROR;
use crate::domain::office::Reply;
use crate::graphql::catalog::camel;
use crate::graphql::plan::{Planner, Selected};

/// An expected error.
pub(in crate::graphql) struct UserError {
    type_name: &'static str,
    code: String,
    message: String,
    path: Vec<String>,
    rule: Option<String>,
    current_version: u64,
}

impl UserError {
    /// Returns the error of a reply, `None` for a success.
    pub(super) fn of(reply: &Reply, locale: Locale) -> Option<Self> {
        Some(match reply {
            Reply::Done(_) => return None,
            Reply::Refused(result) => refused(result, locale),
            Reply::Unsuitable(argument) => unsuitable(argument),
            Reply::Conflict(version) => {
                let message = "Someone changed the row in the meantime. Read it again and decide anew.";
                Self { current_version: *version, ..plain("VersionConflict", "VERSION_CONFLICT", message) }
            }
            Reply::NotPermitted => Self::not_permitted(),
            Reply::NotFound => Self::not_found(),
        })
    }

    /// Returns the error of someone who may not do this.
    pub(in crate::graphql) fn not_permitted() -> Self {
        plain("NotPermitted", "NOT_PERMITTED", "Your role may not do this.")
    }

    /// Returns the error for something that is not there, or not to be seen.
    pub(in crate::graphql) fn not_found() -> Self {
        plain("NotFound", "NOT_FOUND", "There is no such row. Check the identifier.")
    }

    /// Shows what is selected of the error in a result of the type `result`.
    pub(in crate::graphql) fn show<'a>(&self, planner: &Planner<'a>, selected: &Selected<'a>, result: &str) -> Value {
        let parts = planner.collect_as(&selected.below(), &[self.type_name, USER_ERROR, result]);
        Value::Object(parts.into_iter().map(|part| (part.key.clone(), self.field(part.name()))).collect())
    }

    /// Returns the value of a field, null for one that this error does not have.
    fn field(&self, name: &str) -> Value {
        match name {
            "code" => Value::from(self.code.as_str()),
            "message" => Value::from(self.message.as_str()),
            "path" => Value::List(self.path.iter().map(|part| Value::from(part.as_str())).collect()),
            "rule" => self.rule.as_deref().map_or(Value::Null, Value::from),
            "currentVersion" => Value::from(self.current_version.to_string()),
            _ => Value::from(self.type_name),
        }
    }
}

fn plain(type_name: &'static str, code: &str, message: &str) -> UserError {
    UserError {
        type_name,
        code: code.to_owned(),
        message: message.to_owned(),
        path: Vec::new(),
        rule: None,
        current_version: 0,
    }
}

fn unsuitable(argument: &str) -> UserError {
    let (code, message) = match argument {
        "mentorId" => ("MENTOR_UNKNOWN", "This user is not a mentor at work. Choose another one."),
        "conflictId" => ("CONFLICT_SETTLED", "This conflict is settled or holds no other value. Read it again."),
        "periodId" => ("PERIOD_STATE", "The period is in that state already. Read it again."),
        _ => ("MUTATION_ID_REUSED", "This `clientMutationId` was used for another change. Make a new one."),
    };
    UserError { path: input_path(argument.to_owned()), ..plain("ValidationFailed", code, message) }
}

/// The text comes from the shared rules, in the language of the viewer.
fn refused(result: &MutationResult, locale: Locale) -> UserError {
    let key = result.message.as_deref().and_then(MessageKey::parse);
    let args: Vec<(&str, String)> = result.args.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let message = key.map_or_else(|| "A rule refused the change.".to_owned(), |key| render(key, locale, &args));
    UserError {
        code: result.message.clone().unwrap_or_else(|| result.code.clone()),
        path: result.field.as_deref().map_or_else(Vec::new, |field| input_path(camel(field))),
        rule: result.rule.clone(),
        ..plain("ValidationFailed", "", &message)
    }
}

fn input_path(argument: String) -> Vec<String> {
    vec!["input".to_owned(), argument]
}
