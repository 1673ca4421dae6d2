//! What can go wrong below the domain.

/// A failure of the store. Callers see it as an internal fault or as "try again", never as the user's mistake.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection was free in time, or none could be opened.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A named constraint refused the write.
    #[error("the constraint `{constraint}` refused the write: {message}")]
    Constraint {
        /// The name of the constraint.
        constraint: String,
        /// What Postgres said.
        message: String,
    },
    /// The statement lost against another one and may be repeated.
    #[error("the statement collided with another one: {0}")]
    Retry(String),
    /// A column did not hold what the code expects.
    #[error("column {column} does not hold {expected}")]
    Shape {
        /// The position of the column.
        column: usize,
        /// What was expected.
        expected: &'static str,
    },
    /// Anything else that Postgres said.
    #[error("database error: {0}")]
    Other(#[source] diesel::result::Error),
}

impl StoreError {
    /// Returns whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Retry(_))
    }
}

impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        match error {
            Error::DatabaseError(Kind::SerializationFailure, info) => Self::Retry(info.message().to_owned()),
            Error::DatabaseError(Kind::ClosedConnection, info) => Self::Unavailable(info.message().to_owned()),
            Error::DatabaseError(_, info) if info.constraint_name().is_some() => Self::Constraint {
                constraint: info.constraint_name().unwrap_or_default().to_owned(),
                message: info.message().to_owned(),
            },
            Error::DatabaseError(_, info)
                if info.message().contains("deadlock detected") || info.message().contains("lock timeout") =>
            {
                Self::Retry(info.message().to_owned())
            }
            other => Self::Other(other),
        }
    }
}
