//! Errors: rich inside, few outside.

use std::path::PathBuf;

use sync_protocol::cbor::Malformed;
use uuid::Uuid;

use crate::key::KeyError;

/// The result of most functions of the SDK's inside.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the rules refuse a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule, such as `I19`.
    pub rule: String,
    /// The field to put right; empty when the whole row is meant.
    pub field: String,
    /// What to tell the person, in the person's language.
    pub message: String,
}

/// What went wrong, in full.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused.
    #[error("{doing}: {source}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A file could not be read or written.
    #[error("{doing} {}: {source}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No room is left on the device. Nothing of this was recorded; what was recorded before is safe.
    #[error("{doing}: no room is left on the device")]
    StorageFull {
        /// What was being done.
        doing: &'static str,
    },
    /// The key provider has no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is not the one that the file was encrypted with. The file is left as it is.
    #[error("the key for {file} is not the one that it was encrypted with")]
    WrongKey {
        /// The name of the file.
        file: &'static str,
    },
    /// The file was written by a newer version of the application. It is left as it is.
    #[error("{file} has version {found}, this application knows {known}")]
    NewerFile {
        /// The name of the file.
        file: &'static str,
        /// Its version.
        found: u32,
        /// The newest version that is known here.
        known: u32,
    },
    /// The file is damaged, although SQLite does not say so.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The name of the file.
        file: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Another process uses the folder.
    #[error("another process has opened {}", .0.display())]
    InUse(PathBuf),
    /// The SQLite that was linked has a known fault.
    #[error("SQLite {0} is too old; 3.51.3 is needed")]
    OldSqlite(&'static str),
    /// The rules refuse the change.
    #[error("refused: {}", .0.first().map_or("", |refusal| refusal.message.as_str()))]
    Refused(Vec<Refusal>),
    /// There is no such row here.
    #[error("there is no {kind} {id}")]
    NotFound {
        /// The kind.
        kind: &'static str,
        /// The identifier.
        id: Uuid,
    },
    /// There is a row with this identifier already.
    #[error("there is a {kind} {id} already")]
    Exists {
        /// The kind.
        kind: &'static str,
        /// The identifier.
        id: Uuid,
    },
    /// The caller named a field that the kind does not have, or gave a value of another type.
    #[error("{0}")]
    Usage(String),
    /// Bytes are not what they should be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The device is not enrolled, or its permission has ended.
    #[error("nobody is signed in")]
    NeedsSignIn,
    /// The server refused the credentials.
    #[error("the address or the password is wrong")]
    WrongPassword,
    /// The server could not be reached or did not answer as it should.
    #[error("no answer from the server: {0}")]
    Network(String),
    /// What answers is not our server: a sign-in page of a network, for instance.
    #[error("something else than the server answered: {0}")]
    NotOurServer(String),
    /// The server asks to come back later.
    #[error("the server is busy")]
    Busy {
        /// When to come back at the earliest.
        after_ms: u32,
    },
    /// The server and the device disagree about the protocol.
    #[error("{code}: {message}")]
    Fault {
        /// The stable code.
        code: String,
        /// What the server says.
        message: String,
    },
    /// The device's storage failed while syncing.
    #[error("the storage failed: {0}")]
    Storage(String),
    /// The person or the application stopped it.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Returns whether the file that was worked on is damaged, in contrast to locked, full or unreadable.
    pub(crate) fn is_damage(&self) -> bool {
        // After a page that it cannot prove, the cipher lets a write fail as if there were no memory.
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, OutOfMemory};
        match self {
            Self::Damaged { .. } => true,
            Self::Sqlite { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase | OutOfMemory))
            }
            _ => false,
        }
    }
}

/// Says what was being done when SQLite refused.
pub(crate) trait Doing<T> {
    fn doing(self, what: &'static str) -> Result<T>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| match source.sqlite_error() {
            Some(error) if is_for_want_of_room(error) => Error::StorageFull { doing },
            _ => Error::Sqlite { doing, source },
        })
    }
}

/// Where there is no room for the index that connections share, SQLite only says that it could not be made.
fn is_for_want_of_room(error: &rusqlite::ffi::Error) -> bool {
    error.code == rusqlite::ErrorCode::DiskFull || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
}

/// What an application sees: few codes, each with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind of error it is.
    pub kind: ApiErrorKind,
    /// What happened and what to do, in English, for a developer or a fallback text.
    pub message: String,
    /// What the rules refuse, field by field, with texts for people.
    pub refusals: Vec<Refusal>,
}

/// The kinds of error that an application tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// The rules refuse the change: show the texts beside the fields.
    Refused,
    /// There is no such row on this device.
    NotFound,
    /// The call itself is wrong.
    Usage,
    /// The network or the server is not there: everything local goes on.
    Offline,
    /// Something else than the server answers, such as the sign-in page of a Wi-Fi: everything local goes on.
    Intercepted,
    /// The person has to sign in: everything local goes on.
    NeedsSignIn,
    /// The key store is locked: try again when the device is unlocked.
    Locked,
    /// The application is too old for its data or for the server.
    NeedsUpdate,
    /// No room is left on the device: nothing was recorded. Reading and sending go on.
    StorageFull,
    /// The device's storage fails: damaged, or the key is lost.
    Storage,
    /// The call was cancelled.
    Cancelled,
}

impl ApiError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self.kind {
            ApiErrorKind::Refused => "REFUSED",
            ApiErrorKind::NotFound => "NOT_FOUND",
            ApiErrorKind::Usage => "USAGE",
            ApiErrorKind::Offline => "OFFLINE",
            ApiErrorKind::Intercepted => "INTERCEPTED",
            ApiErrorKind::NeedsSignIn => "NEEDS_SIGN_IN",
            ApiErrorKind::Locked => "LOCKED",
            ApiErrorKind::NeedsUpdate => "NEEDS_UPDATE",
            ApiErrorKind::StorageFull => "STORAGE_FULL",
            ApiErrorKind::Storage => "STORAGE",
            ApiErrorKind::Cancelled => "CANCELLED",
        }
    }

    /// Returns whether the same call may succeed later without anyone doing anything.
    pub const fn retryable(&self) -> bool {
        use ApiErrorKind::{Cancelled, Intercepted, Locked, Offline};
        matches!(self.kind, Offline | Intercepted | Locked | Cancelled)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let kind = kind_of(&error);
        let message = match (&error, kind) {
            (Error::Damaged { .. }, _) => {
                tracing::error!(%error, "storage is damaged");
                "A file is damaged. Restart the application: it saves what can be read, and tells what it could not save."
                    .to_owned()
            }
            (Error::Sqlite { .. } | Error::Storage(_), _) => {
                tracing::error!(%error, "storage failed");
                "The device's storage failed. Free some space and restart the application.".to_owned()
            }
            (Error::StorageFull { .. }, _) => {
                tracing::error!(%error, "storage is full");
                "No room is left on the device. This was not recorded; what was recorded before is safe and is sent with the next sync. Free some room and try again.".to_owned()
            }
            (Error::NeedsSignIn, _) => "Sign in again to sync; what was recorded is kept.".to_owned(),
            (_, ApiErrorKind::Offline) => {
                tracing::info!(%error, "no sync");
                "The server cannot be reached. What was recorded is kept and sent later.".to_owned()
            }
            (_, ApiErrorKind::Intercepted) => {
                tracing::warn!(%error, "no sync");
                "Something else than the server answered, such as the sign-in page of a Wi-Fi. \
                 What was recorded is kept and sent later."
                    .to_owned()
            }
            (_, ApiErrorKind::NeedsUpdate) => format!("Update the application: {error}."),
            _ => error.to_string(),
        };
        let refusals = if let Error::Refused(refusals) = error { refusals } else { Vec::new() };
        Self { kind, message, refusals }
    }
}

fn kind_of(error: &Error) -> ApiErrorKind {
    match error {
        Error::Refused(_) => ApiErrorKind::Refused,
        Error::NotFound { .. } => ApiErrorKind::NotFound,
        Error::Exists { .. } | Error::Usage(_) => ApiErrorKind::Usage,
        Error::Network(_) | Error::Busy { .. } => ApiErrorKind::Offline,
        Error::NotOurServer(_) => ApiErrorKind::Intercepted,
        Error::NeedsSignIn | Error::WrongPassword => ApiErrorKind::NeedsSignIn,
        Error::Key(KeyError::Unavailable(_)) | Error::InUse(_) => ApiErrorKind::Locked,
        Error::NewerFile { .. } | Error::Fault { .. } | Error::Malformed(_) => ApiErrorKind::NeedsUpdate,
        Error::StorageFull { .. } => ApiErrorKind::StorageFull,
        Error::Sqlite { .. }
        | Error::Damaged { .. }
        | Error::File { .. }
        | Error::Key(KeyError::Lost(_))
        | Error::WrongKey { .. }
        | Error::Storage(_)
        | Error::OldSqlite(_) => ApiErrorKind::Storage,
        Error::Cancelled => ApiErrorKind::Cancelled,
    }
}
