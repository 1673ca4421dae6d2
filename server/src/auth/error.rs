//! Why someone is not let in.

use super::DeviceStatus;
use crate::store::StoreError;

/// A refusal. Its message and hint may be shown; what the database said never is.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The e-mail or the password is wrong; which one is never said.
    #[error("The e-mail address or the password is not right.")]
    WrongCredentials,
    /// There is no token, or it is unknown or has expired.
    #[error("This request carries no valid token.")]
    Unauthenticated,
    /// Too many wrong passwords for one e-mail.
    #[error("Signing in with this e-mail address is locked after too many wrong passwords.")]
    AccountLocked {
        /// Seconds until the lock ends.
        retry_after_s: i64,
    },
    /// Too many people sign in at once.
    #[error("Too many people are signing in at the moment.")]
    TooBusy,
    /// A field does not hold what it must.
    #[error("{message}")]
    BadRequest {
        /// The path of the field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The session was ended: a logout, a stolen token, a new enrolment, a disabled account.
    #[error("This session has been ended.")]
    SessionRevoked,
    /// The device may not talk to the server.
    #[error("This device has been blocked by your programme.")]
    DeviceRevoked {
        /// What the device has to know: on `WIPE_REQUESTED` it destroys its data.
        status: DeviceStatus,
    },
    /// The database failed.
    #[error("The server could not answer.")]
    Store(#[from] StoreError),
    /// A part of the server failed in a way that only a bug explains.
    #[error("The server could not answer.")]
    Internal(&'static str),
}

impl AuthError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongCredentials | Self::Unauthenticated => "UNAUTHENTICATED",
            Self::AccountLocked { .. } => "ACCOUNT_LOCKED",
            Self::TooBusy => "TOO_MANY_REQUESTS",
            Self::BadRequest { .. } => "BAD_REQUEST",
            Self::SessionRevoked => "SESSION_REVOKED",
            Self::DeviceRevoked { .. } => "DEVICE_REVOKED",
            Self::Store(_) | Self::Internal(_) => "UNAVAILABLE",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::WrongCredentials => "Check both and try again, or ask your programme's administrator.",
            Self::Unauthenticated => "Refresh the access token, or sign in again. Nothing on the device is lost.",
            Self::AccountLocked { .. } => "Wait and try again, or ask your programme's administrator.",
            Self::TooBusy => "Wait a few seconds and try again.",
            Self::BadRequest { .. } => "Correct the field and send the request again.",
            Self::SessionRevoked => "Sign in again. Nothing on the device is lost.",
            Self::DeviceRevoked { .. } => "Ask your programme's administrator.",
            Self::Store(_) | Self::Internal(_) => "Try again in a moment; tell your administrator if it goes on.",
        }
    }

    /// Returns the path of the field that is wrong.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::BadRequest { field, .. } => Some(field),
            _ => None,
        }
    }

    /// Returns after how many seconds another try makes sense.
    pub fn retry_after_s(&self) -> Option<i64> {
        match self {
            Self::AccountLocked { retry_after_s } => Some(*retry_after_s),
            Self::TooBusy | Self::Store(_) | Self::Internal(_) => Some(5),
            _ => None,
        }
    }
}
