//! How a command ends that did not work.

use std::process::ExitCode;

use client_sdk::error::{ApiError, ApiErrorKind};

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
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let api = error.downcast_ref::<ApiError>();
    match api.map_or(&[][..], |api| &api.refusals) {
        [] => eprintln!("error: {error:#}"),
        refusals => {
            for refusal in refusals {
                eprintln!("error: {} [{}, {}]", refusal.message, refusal.field, refusal.rule);
            }
        }
    }
    let Some(api) = api else { return ExitCode::FAILURE };
    if let Some(hint) = api.hint() {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(match api.kind {
        ApiErrorKind::Offline => 3,
        ApiErrorKind::NeedsSignIn => 4,
        ApiErrorKind::Refused => 5,
        _ => 1,
    })
}
