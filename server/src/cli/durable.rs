//! Telling the server what is in a verified backup.

use std::path::Path;
use std::time::Duration;

use super::database::Database;
use super::failure::Failure;
use super::{print, runtime};
use crate::config::Config;
use crate::ops::telemetry;
use crate::restore::durable::{self, Head};
use crate::store::Db;

/// Prints how far each programme goes.
pub(super) fn print_heads(config: &Config) -> Result<(), Failure> {
    let (database, runtime) = (Database::start(config)?, runtime()?);
    let heads = runtime.block_on(async { Ok::<_, Failure>(durable::heads(&connect(&database)?).await?) })?;
    print(&format!("{}\n", serde_json::to_string_pretty(&heads).map_err(Failure::unexpected)?))
}

/// Notes what a restored backup holds. Fails, and says of which, when one of the programmes is of another history.
pub(super) fn mark(config: &Config, path: &Path) -> Result<(), Failure> {
    telemetry::start(&config.log)?;
    let text = std::fs::read(path).map_err(Failure::unexpected)?;
    let heads: Vec<Head> = serde_json::from_slice(&text).map_err(Failure::unexpected)?;
    let (database, runtime) = (Database::start(config)?, runtime()?);
    let foreign = runtime.block_on(async { Ok::<_, Failure>(durable::mark(&connect(&database)?, &heads).await?) })?;
    let line = |head: &Head| match foreign.contains(head) {
        true => format!("Programme {}: {} is not in its history; nothing is noted.\n", head.programme, head.seq),
        false => format!("Programme {}: safe up to {}.\n", head.programme, head.seq),
    };
    print(&heads.iter().map(line).collect::<String>())?;
    if foreign.is_empty() { Ok(()) } else { Err(Failure::unexpected(ForeignHeads(foreign.len()))) }
}

fn connect(database: &Database) -> Result<Db, Failure> {
    Ok(Db::new(&database.url(), 1, Duration::from_secs(10))?)
}

/// Heads of a database that is no copy of this one.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the programmes are of another history: was another database backed up, or this one restored since?")]
struct ForeignHeads(usize);
