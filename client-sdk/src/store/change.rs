//! A change that was recorded here, and what became of it.

use serde::{Deserialize, Serialize};
use sync_protocol::mutation::Mutation;
use sync_protocol::wire::MutationResult;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeState {
    /// The server has not confirmed it yet.
    Pending,
    /// The server has it exactly as recorded.
    Confirmed,
    /// The server keeps it until something else happens.
    Held,
    /// The server refused it; it stays here, editable.
    Rejected,
    /// The server has it, merged with what others changed; their part is still to come.
    Accepted,
    /// Nothing more happens with it.
    Settled,
}

impl ChangeState {
    /// Returns the number in the file.
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Confirmed => 1,
            Self::Held => 2,
            Self::Rejected => 3,
            Self::Accepted => 4,
            Self::Settled => 5,
        }
    }

    /// Returns the state of a number.
    pub(super) const fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Pending,
            1 => Self::Confirmed,
            2 => Self::Held,
            3 => Self::Rejected,
            4 => Self::Accepted,
            _ => Self::Settled,
        }
    }

    /// Returns whether what was recorded is still laid over the server's row.
    pub(super) const fn is_laid_over(self) -> bool {
        !matches!(self, Self::Confirmed | Self::Settled)
    }
}

/// A change in a list for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Names the change on this device, for ever. Ascends in the order of recording.
    pub change_id: u64,
    /// What became of it.
    pub state: ChangeState,
    /// What was recorded.
    pub mutation: Mutation,
    /// What the server answered, where that is more than "applied as sent".
    pub answer: Option<Answer>,
}

/// The server's answer to one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The stable code, such as `REJECT_RULE`.
    pub code: String,
    /// The rule that refused, such as `I19`.
    pub rule: Option<String>,
    /// The field that it is about.
    pub field: Option<String>,
    /// The key of the text for people.
    pub message: Option<String>,
    /// What the text mentions: (name, value).
    pub args: Vec<(String, String)>,
}

impl Answer {
    /// Returns whether the server refused the change, at once or after it had kept it.
    pub(super) fn is_refusal(&self) -> bool {
        self.code.starts_with("REJECT") || self.code == "RETURNED"
    }
}

impl From<&MutationResult> for Answer {
    fn from(result: &MutationResult) -> Self {
        Self {
            code: result.code.clone(),
            rule: result.rule.clone(),
            field: result.field.clone(),
            message: result.message.clone(),
            args: result.args.clone(),
        }
    }
}
