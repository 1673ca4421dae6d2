//! Why a command failed: one message, and an exit code that a script can act on.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::postgres::PostgresError;
use crate::store::StoreError;

/// The exit codes, for `--help`.
pub(super) const EXIT_CODES: &str = "Exit codes: 0 done, 1 unexpected failure, 2 wrong command line, 3 wrong setting, \
     4 address not free, 5 no Postgres programs, 6 database not reachable, 7 database not fit for this version, \
     8 data folder not usable, 9 private Postgres failed, 130 interrupted twice";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be served on.
    #[error("cannot listen on {address}: {reason}; choose another one with `serve --listen 127.0.0.1:{other_port}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
        /// A port to propose.
        other_port: u16,
    },
    /// There is no private Postgres.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The database does not let us in.
    #[error("cannot use the database `{database}`: {problem}")]
    Database {
        /// The database, without its password.
        database: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// What the database holds does not fit this version.
    #[error("the database `{database}` does not fit this version: {problem}")]
    Content {
        /// The database, without its password.
        database: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Anything else.
    #[error("{0}")]
    Unexpected(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::unexpected(error)
    }
}

impl Failure {
    /// Returns the failure for what nobody foresaw.
    pub(super) fn unexpected(error: impl std::fmt::Display) -> Self {
        Self::Unexpected(error.to_string())
    }

    /// Returns the failure to listen.
    pub(super) fn listen(address: SocketAddr, error: &std::io::Error) -> Self {
        let reason = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!("port {} is taken by another program", address.port()),
            _ => error.to_string(),
        };
        let other_port = address.port().checked_add(1).unwrap_or(8080);
        Self::Listen { address, reason, other_port }
    }

    /// Tells the person, and returns the code for the script.
    pub(super) fn report(&self) -> ExitCode {
        // Nobody may be listening; the code still tells.
        let _ = writeln!(std::io::stderr(), "error: {self}");
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Unexpected(_) => 1,
            Self::Config(_) => 3,
            Self::Listen { .. } => 4,
            Self::Postgres(PostgresError::NoBinaries { .. }) => 5,
            Self::Database { .. } => 6,
            Self::Content { .. } => 7,
            Self::Postgres(
                PostgresError::Folder { .. } | PostgresError::InUse { .. } | PostgresError::OtherVersion { .. },
            ) => 8,
            Self::Postgres(PostgresError::Program { .. } | PostgresError::NoAccount) => 9,
        }
    }
}
