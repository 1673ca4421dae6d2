//! What an application sees when a call fails.

use crate::error::{ApiError, ApiErrorKind};

/// The result of every call of the typed areas.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// Returns the field to put right, when the rules refuse one.
    pub fn field(&self) -> Option<&str> {
        self.refusals.first().map(|refusal| refusal.field.as_str()).filter(|field| !field.is_empty())
    }

    /// Returns what to do, in English, where the message itself does not say it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self.kind {
            ApiErrorKind::Refused => Some("Put the named fields right and try again; this step was not recorded."),
            ApiErrorKind::NotFound => Some("Sync, then look again; the record may have left your area."),
            ApiErrorKind::Offline => Some("Go on working; sync again where there is a signal."),
            ApiErrorKind::Intercepted => Some("Open a web page to sign in to the Wi-Fi, or turn the Wi-Fi off."),
            ApiErrorKind::NeedsSignIn => Some("Enrol this device with your address and password."),
            ApiErrorKind::Locked => Some("Close the other program that uses the folder, or unlock the device."),
            ApiErrorKind::NeedsUpdate => Some("Install the newest version; what was recorded is kept."),
            ApiErrorKind::StorageFull => {
                Some("Free some room on the device, then try again; sync now to send what waits.")
            }
            ApiErrorKind::Usage | ApiErrorKind::Storage | ApiErrorKind::Cancelled => None,
        }
    }
}
