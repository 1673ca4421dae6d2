//! Log lines, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, Log, LogFormat};

/// Starts writing log lines. A second call, as tests make, changes nothing.
pub(crate) fn start(log: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| ConfigError(format!("the setting `log.filter` cannot be used: {error}")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A reader of the log that has gone away would else end every task that logs, by a panic.
    let lines = lines.log_internal_errors(false);
    // It fails only where lines are written already.
    let _ = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
