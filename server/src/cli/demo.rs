//! `demo`: makes a demo programme.

use std::sync::Arc;

use clap::Args;

use super::database::Database;
use super::failure::Failure;
use super::{Login, runtime};
use crate::app::App;
use crate::config::Config;
use crate::ops::telemetry;
use crate::world::SystemWorld;

/// How large the demo is.
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// How many projects it has.
    #[arg(long, default_value_t = 1)]
    pub projects: u32,
    /// Decides everything random; the same seed makes the same demo.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print what was made.
    #[arg(long)]
    pub print: bool,
}

/// Runs the command.
pub(super) fn run(config: Config, options: &DemoOptions) -> Result<(), Failure> {
    telemetry::start(&config.log)?;
    let database = Database::start(&config)?;
    runtime()?.block_on(async {
        database.prepare().await?;
        let app = App::new(config, Arc::new(SystemWorld), &database.url())?;
        make(&app, options).await
    })
}

/// Makes the demo.
async fn make(_app: &App, _options: &DemoOptions) -> Result<(), Failure> {
    Ok(())
}

/// Makes the demo programme where there is none yet, and returns its logins.
pub(super) async fn ensure(_app: &App) -> Result<Vec<Login>, Failure> {
    Ok(Vec::new())
}
