//! `demo`: makes a demo programme.

use std::sync::Arc;

use clap::Args;

use super::database::Database;
use super::failure::Failure;
use super::{Login, print, runtime};
use crate::app::App;
use crate::config::Config;
use crate::demo::{self, DEMO_PASSWORD, DemoProgramme, Plan};
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

/// Makes the demo programmes that are not there yet, and tells what they hold.
async fn make(app: &App, options: &DemoOptions) -> Result<(), Failure> {
    let plan = Plan { seed: options.seed, projects: options.projects, today: app.world.now().date() };
    for programme in demo::generate(&plan) {
        let is_new = demo::load::load(&app.office, &app.auth, &programme).await.map_err(Failure::unexpected)?;
        let what = if is_new { "made" } else { "was there already" };
        print(&format!("Programme {} {what}: {} rows.\n", programme.programme_id, programme.rows.len()))?;
        if options.print {
            print(&format!("{}\n", serde_json::to_string_pretty(&programme.expected).unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Makes the demo programme where there is none yet, and returns its logins.
pub(super) async fn ensure(app: &App) -> Result<Vec<Login>, Failure> {
    let plan = Plan { seed: 1, projects: 1, today: app.world.now().date() };
    let Some(programme) = demo::generate(&plan).next() else { return Ok(Vec::new()) };
    demo::load::load(&app.office, &app.auth, &programme).await.map_err(Failure::unexpected)?;
    Ok(logins(&programme))
}

fn logins(programme: &DemoProgramme) -> Vec<Login> {
    let accounts = programme.accounts.iter();
    accounts
        .map(|account| Login {
            name: account.email.clone(),
            password: DEMO_PASSWORD.to_owned(),
            role: format!("{}, {}", account.display_name, account.role.code().to_lowercase().replace('_', " ")),
        })
        .collect()
}
