//! What arrived of an answer.

use sync_protocol::entity::EntityKind;
use sync_protocol::rows::{GoneReason, VersionedRow};
use sync_protocol::wire::{Checkpoint, Commit, Demand, End, Message, MutationResult, Outcome, PushResult, Welcome};
use uuid::Uuid;

/// The messages of an answer, up to where the connection ended.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The HTTP status; `None` when there was no answer.
    pub status: Option<u16>,
    /// After how many seconds a device that was not let in may come back.
    pub retry_after_s: Option<u64>,
    /// The whole messages.
    pub messages: Vec<Message>,
}

/// Defines a list of the messages of one kind.
macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $variant:ident -> $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> Vec<&$type> {
            self.messages.iter().filter_map(|m| if let Message::$variant(m) = m { Some(m) } else { None }).collect()
        }
    )*};
}

impl Answer {
    lists! {
        /// Returns the results of the pushes, in order.
        push_results: PushResult -> PushResult;
        /// Returns the checkpoints.
        checkpoints: Checkpoint -> Checkpoint;
        /// Returns the welcomes: one, when anything arrived.
        welcomes: Welcome -> Welcome;
        /// Returns the faults.
        faults: Fault -> sync_protocol::wire::Fault;
    }

    /// Returns the welcome.
    pub fn welcome(&self) -> &Welcome {
        self.welcomes().first().expect("an answer starts with a welcome")
    }

    /// Returns the only push result.
    pub fn pushed(&self) -> &PushResult {
        self.push_results().first().expect("a push has a result")
    }

    /// Returns what the server demanded of the first push.
    pub fn demand(&self) -> Option<Demand> {
        self.pushed().demand
    }

    /// Returns the commits of the first push.
    pub fn commits(&self) -> &[Commit] {
        &self.pushed().commits
    }

    /// Returns the number under which the first push was committed.
    pub fn seq(&self) -> u64 {
        self.commits().last().map_or(0, |commit| commit.seq)
    }

    /// Returns the result of a mutation other than "applied as sent".
    pub fn result(&self, no: u64) -> Option<&MutationResult> {
        self.push_results().into_iter().flat_map(|push| &push.results).find(|result| result.no == no)
    }

    /// Returns what became of a mutation.
    pub fn outcome(&self, no: u64) -> Outcome {
        self.result(no).map_or(Outcome::Applied, |result| result.outcome)
    }

    /// Returns the code of a mutation's result, empty when it was applied as sent.
    pub fn code(&self, no: u64) -> &str {
        self.result(no).map_or("", |result| &result.code)
    }

    /// Returns the scopes, where they were sent.
    pub fn scopes(&self) -> Option<&[Uuid]> {
        self.messages.iter().find_map(|m| if let Message::Scopes(scopes) = m { Some(&*scopes.scopes) } else { None })
    }

    /// Returns every row that was sent.
    pub fn rows(&self) -> Vec<(EntityKind, &VersionedRow)> {
        let pages = self.messages.iter().filter_map(|m| if let Message::Rows(rows) = m { Some(rows) } else { None });
        pages.flat_map(|page| page.rows.iter().filter_map(|row| Some((page.kind?, row)))).collect()
    }

    /// Returns whether a row was sent.
    pub fn has_row(&self, id: impl Into<Uuid>) -> bool {
        let id = id.into();
        self.rows().iter().any(|(_, row)| row.row.id == id)
    }

    /// Returns every row that is gone.
    pub fn gone(&self) -> Vec<(u16, Uuid, GoneReason)> {
        let lists = self.messages.iter().filter_map(|m| if let Message::Gone(gone) = m { Some(gone) } else { None });
        lists.flat_map(|gone| gone.rows.iter().copied()).collect()
    }

    /// Returns the end, `None` when the answer was cut.
    pub fn end(&self) -> Option<&End> {
        self.messages.iter().find_map(|m| if let Message::End(end) = m { Some(end) } else { None })
    }
}
