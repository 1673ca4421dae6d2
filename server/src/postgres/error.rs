//! Why a private Postgres could not be had.

use std::path::PathBuf;

/// A private Postgres could not be started. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The folder or a file in it cannot be used.
    #[error("cannot use the data folder `{}`: {source}; make it writable, or choose another one with `database.data_dir`", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process runs on the same folder.
    #[error(
        "the data folder `{}` is in use by another server; stop that one, or choose another folder with `database.data_dir`",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The data were written by another major version of Postgres.
    #[error(
        "the data in `{}` were made by Postgres {data}, but the binaries here are of {found}; \
         install Postgres {data}, or point PG_BINDIR at it, or choose another folder with `database.data_dir`",
        path.display()
    )]
    OtherVersion {
        /// The folder of the data.
        path: PathBuf,
        /// The major version of the data.
        data: u32,
        /// The major versions of the binaries.
        found: String,
    },
    /// No binaries, and no way to fetch them.
    #[error(
        "no Postgres: {reason}; do one of these:\n  apt-get install postgresql\n  \
         set DATABASE_URL to a database that you have\n  set PG_BINDIR to the folder with `postgres` and `initdb`"
    )]
    NoBinaries {
        /// What was tried.
        reason: String,
    },
    /// Root needs an account that Postgres may run as.
    #[error("Postgres does not run as root, and there is neither an account `postgres` nor `nobody` to run it as")]
    NoAccount,
    /// A Postgres program failed.
    #[error("`{program}` failed:\n{output}")]
    Program {
        /// The program.
        program: &'static str,
        /// The end of what it printed.
        output: String,
    },
}

impl PostgresError {
    /// Returns a mapper of an error at `path`.
    pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Folder { path, source }
    }
}
