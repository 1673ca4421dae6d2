//! The command line.

mod banner;
mod database;
mod demo;
mod durable;
mod failure;
mod schema;
mod serve;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, load};
use crate::ops::telemetry;
use crate::restore;
use crate::store::{Db, migrate};
use crate::world::{SharedWorld, SystemWorld};
pub use banner::Login;
use database::Database;
pub use demo::DemoOptions;
use failure::{EXIT_CODES, Failure};

/// The record of social programmes: GraphQL for the office, sync for the field.
#[derive(Debug, Parser)]
#[command(name = "server", version, after_help = EXIT_CODES)]
struct Cli {
    /// A settings file that goes over the defaults; `print-config` shows every setting.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Migrate the database and serve (the default).
    Serve(ServeOptions),
    /// Bring the database to this version.
    Migrate,
    /// Begin a new history after a restore that the server cannot notice; with the server stopped.
    NewEpoch,
    /// Print how far each programme goes in the database, for `mark-durable`; run it on a backup that was restored.
    PrintHeads,
    /// Say that a backup was verified: phones no longer keep what it holds.
    MarkDurable(MarkDurable),
    /// Make a demo programme.
    Demo(DemoOptions),
    /// Print the settings in force.
    PrintConfig,
    /// Print the GraphQL schema.
    PrintSchema,
}

#[derive(Debug, Default, Args)]
struct ServeOptions {
    /// The address to serve on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
struct MarkDurable {
    /// What `print-heads` said of the restored backup.
    heads: PathBuf,
}

/// Runs the command of this process and returns its exit code.
pub fn run() -> ExitCode {
    run_with(std::env::args_os())
}

/// Runs the command that the arguments name, the first of which is the name of the program.
pub fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // The help and the version are "errors" too, with code 0.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let command = cli.command.unwrap_or_else(|| Command::Serve(ServeOptions::default()));
    let overrides: Vec<_> = match &command {
        Command::Serve(options) => options.listen.iter().map(|at| ("http.listen", at.to_string())).collect(),
        _ => Vec::new(),
    };
    let config = load(cli.config.as_deref(), &overrides)?;
    match command {
        Command::Serve(_) => serve::run(config),
        Command::Migrate => run_migrate(&config),
        Command::NewEpoch => run_new_epoch(&config),
        Command::PrintHeads => durable::print_heads(&config),
        Command::MarkDurable(options) => durable::mark(&config, &options.heads),
        Command::Demo(options) => demo::run(config, &options),
        Command::PrintConfig => print(&config.to_toml()?),
        Command::PrintSchema => print(&schema::sdl()),
    }
}

fn run_migrate(config: &Config) -> Result<(), Failure> {
    telemetry::start(&config.log)?;
    let database = Database::start(config)?;
    let migrated = runtime()?.block_on(database.prepare())?;
    print(&summary(&migrated))
}

fn run_new_epoch(config: &Config) -> Result<(), Failure> {
    telemetry::start(&config.log)?;
    let database = Database::start(config)?;
    let begun = runtime()?.block_on(async {
        database.prepare().await?;
        let db = Db::new(&database.url(), 1, Duration::from_secs(10))?;
        let world: SharedWorld = Arc::new(SystemWorld);
        Ok::<_, Failure>(restore::begin_everywhere(&db, &world).await?)
    })?;
    let line = |found: &restore::Restored| {
        let restore::Restored { programme, common_seq, resumed_seq } = found;
        format!(
            "Programme {programme}: common up to {common_seq}, goes on at {resumed_seq}. Devices bring back their work.\n"
        )
    };
    match begun.as_slice() {
        [] => print("No programme has a history yet.\n"),
        begun => print(&begun.iter().map(line).collect::<String>()),
    }
}

fn summary(migrated: &migrate::Migrated) -> String {
    match migrated.applied.as_slice() {
        [] => "The database is current.\n".to_owned(),
        applied => format!("Applied {}.\n", applied.join(", ")),
    }
}

/// Writes to standard output; a reader that has gone away is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// Returns the runtime. A private Postgres must be running by now; see [`crate::postgres`].
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::unexpected)
}
