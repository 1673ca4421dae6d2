//! What goes into the machine and what comes out of it.

use sync_protocol::cursor::Cursor;
use sync_protocol::mutation::ChainHash;
use sync_protocol::time::Timestamp;
use sync_protocol::wire::{Digests, Listing, Message, PushResult, Scopes};
use uuid::Uuid;

use crate::store::{Page, SyncView};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Something suggests to sync now: the start, a tap, the network coming back, a sign-in.
    Wake,
    /// Something was recorded on the device.
    Recorded,
    /// A message of the response arrived.
    Frame(Message),
    /// The response ended as it should.
    Ended,
    /// The request or a refresh of the tokens failed.
    Failed(Failure),
    /// There are new tokens.
    TokenRefreshed,
    /// The server no longer accepts the device's tokens.
    TokenRefused,
    /// The time that was asked for has passed.
    Timer,
    /// The person or the application stops it.
    Cancel,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server was not reached, or the response broke off.
    #[error("{0}")]
    Offline(String),
    /// Something else than the server answered: a sign-in page of a network, a proxy.
    #[error("something else than the server answered: {0}")]
    NotOurServer(String),
    /// The token is not accepted.
    #[error("the token is not accepted")]
    Unauthorised,
    /// The server asks to come back later.
    #[error("the server is busy")]
    Busy {
        /// When to come back at the earliest.
        after_ms: u64,
    },
    /// The server refuses to talk.
    #[error("{code}: {message}")]
    Fault {
        /// The stable code.
        code: String,
        /// What the server says.
        message: String,
    },
    /// The device's own storage fails.
    #[error("the storage fails: {0}")]
    Storage(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Send a request.
    Request {
        /// Whether to push what is pending.
        push: bool,
        /// How long the server may wait for news.
        wait_ms: u32,
    },
    /// Drop the request that is under way.
    Abort,
    /// Apply rows and the place that they lead to.
    ApplyPage(Page),
    /// Take the answer to a push.
    ApplyResult(PushResult),
    /// Take the list of scopes.
    ApplyScopes(Scopes),
    /// Forget how far the device is.
    StartOver,
    /// Note which history is fetched, from its beginning or from the place where the device stands in both.
    Begin(Uuid),
    /// Note the server's time, by which old work is forgotten.
    NoteDay(Timestamp),
    /// Everything up to this number is in a verified backup: let go of what is kept for a restore.
    NoteDurable(u64),
    /// Go back to where the server's history and the device's part, and have the rows since then checked.
    Rebase(Cursor),
    /// The server no longer tells every deletion since the last sync: have the rows compared, and count what differs as
    /// expected.
    ExpectDifference,
    /// Compare what the device holds with the digests.
    Verify(Digests),
    /// Find out which rows of a listing differ.
    Compare(Listing),
    /// Compare the outbox with the last change that the server has of it.
    Meet {
        /// Its number.
        last_no: u64,
        /// The chain at it.
        last_hash: ChainHash,
    },
    /// The server was restored, and has of these earlier incarnations only what is up to a number: send again what it
    /// lacks.
    MeetEarlier(Vec<(Uuid, u64)>),
    /// The server has left the history of the answers that came in commits after a number: have them given again.
    AskAgain {
        /// The number.
        after_seq: u64,
    },
    /// Make everything from this number on pending again.
    Rewind(u64),
    /// The server has something else under our numbers: find out from where on, and number that anew.
    NewIncarnation,
    /// Get new tokens.
    RefreshToken,
    /// Come back with [`Event::Timer`].
    Schedule {
        /// After this time.
        after_ms: u64,
    },
    /// Tell whoever watches.
    Notify(Notice),
}

impl Command {
    /// Returns whether the request that is under way is given up with this command.
    pub fn ends_request(&self) -> bool {
        matches!(self, Self::Abort | Self::Schedule { .. } | Self::RefreshToken | Self::Notify(Notice::NeedsSignIn))
    }

    /// Returns whether the store carries the command out, with [`perform`](crate::sync::perform).
    pub fn is_for_store(&self) -> bool {
        matches!(
            self,
            Self::ApplyPage(_)
                | Self::ApplyResult(_)
                | Self::ApplyScopes(_)
                | Self::StartOver
                | Self::Begin(_)
                | Self::NoteDay(_)
                | Self::NoteDurable(_)
                | Self::Rebase(_)
                | Self::ExpectDifference
                | Self::Verify(_)
                | Self::Compare(_)
                | Self::Meet { .. }
                | Self::MeetEarlier(_)
                | Self::AskAgain { .. }
                | Self::Rewind(_)
                | Self::NewIncarnation
        )
    }
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Rows arrived.
    Received {
        /// Rows sent so far in this session.
        rows: u64,
        /// Rows expected at its start.
        expected: u64,
    },
    /// Everything is on both sides.
    Complete,
    /// It did not work now; it is tried again.
    Waiting {
        /// Why.
        failure: Failure,
        /// After this time.
        after_ms: u64,
    },
    /// The person has to sign in. Everything local goes on.
    NeedsSignIn,
    /// It was stopped.
    Stopped,
}

/// Where the device and its surroundings stand when an event is handled.
#[derive(Clone, Copy, Debug, Default)]
pub struct StateView {
    /// Where the store stands.
    pub store: SyncView,
    /// A random number, for the spread of retries.
    pub random: u64,
    /// A clock that nobody sets.
    pub uptime_ms: u64,
}

impl StateView {
    pub(super) fn has_pending(&self) -> bool {
        self.store.last_no > self.store.acked_no || self.store.is_seeking
    }
}
