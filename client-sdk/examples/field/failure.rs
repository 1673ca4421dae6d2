//! How a command ends that did not work.

use std::process::ExitCode;

use client_sdk::error::{ApiError, ApiErrorKind};
use sync_protocol::code::Locale;

use crate::texts::{Key, text};

/// What the exit codes mean, for the help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it did not work; the message says why
  2  the command line is wrong
  3  the server cannot be reached; everything local goes on
  4  sign in first (field enrol)
  5  the rules refuse it; this step was not recorded";

/// Tells the person, and returns the exit code.
pub(crate) fn report(error: &anyhow::Error, locale: Locale) -> ExitCode {
    let label = text(Key::Error, locale);
    let Some(api) = error.downcast_ref::<ApiError>() else {
        eprintln!("{label}: {error:#}");
        return ExitCode::FAILURE;
    };
    match (&api.refusals[..], api.kind) {
        ([], ApiErrorKind::Offline) => eprintln!("{label}: {}", text(Key::Offline, locale)),
        ([], ApiErrorKind::Intercepted) => eprintln!("{label}: {}", text(Key::Intercepted, locale)),
        ([], ApiErrorKind::StorageFull) => eprintln!("{label}: {}", text(Key::StorageFull, locale)),
        ([], _) => eprintln!("{label}: {}", api.message),
        (refusals, _) => {
            for refusal in refusals {
                eprintln!("{label}: {} [{}, {}]", refusal.message, refusal.field, refusal.rule);
            }
        }
    }
    if let Some(hint) = hint(api, locale) {
        eprintln!("{}: {hint}", text(Key::Hint, locale));
    }
    ExitCode::from(match api.kind {
        ApiErrorKind::Offline | ApiErrorKind::Intercepted => 3,
        ApiErrorKind::NeedsSignIn => 4,
        ApiErrorKind::Refused => 5,
        _ => 1,
    })
}

fn hint(api: &ApiError, locale: Locale) -> Option<&'static str> {
    match api.kind {
        ApiErrorKind::Refused => Some(text(Key::HintRefused, locale)),
        ApiErrorKind::Offline => Some(text(Key::HintOffline, locale)),
        ApiErrorKind::Intercepted => Some(text(Key::HintIntercepted, locale)),
        ApiErrorKind::NeedsSignIn => Some(text(Key::HintSignIn, locale)),
        ApiErrorKind::StorageFull => Some(text(Key::HintStorageFull, locale)),
        _ => api.hint(),
    }
}
