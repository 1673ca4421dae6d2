//! Measures sync against the limits of its parts, in one run on one machine.
//!
//! `cargo run --release -p tests --bin bench -- sync [--rows N] [--phase A,B,C,D,E]`
//!
//! It starts its own durable Postgres, its own server and its clients, each a process of its own, and prints one
//! JSON line for each phase. The limit of a phase is measured in the same run: a raw SQLite bulk upsert of the
//! same rows into the same table under the same settings, a raw Postgres bulk upsert of the same rows, or the raw
//! rate of one-row commits.
//!
//! A push and its limit are measured five times, in turns, and the medians are printed with the lowest and the highest.
//!
//! | phase | what |
//! |---|---|
//! | A | first sync of 10,000 and of `--rows` rows into an empty client |
//! | B | 10,000 changes recorded offline, one by one and in one transaction, then pushed |
//! | C | 1,000 of `--rows` rows changed, pulled |
//! | D | one row changed until a connected client has it, 100 times |
//! | E | 50 clients push 200 changes each at once |
//! | I | a sync with nothing to do |
//! | G | GraphQL: 50 enterprises with the last 5 visits of each |
//!
//! `cargo run --release -p tests --bin bench -- herd [--devices N] [--edits N]` lets N devices come back at once, each
//! with edits, while someone in the office asks for a page every 100 ms. The ideal time is that of the same edits at
//! the rate measured just before and after, with 12 devices at once.

mod client;
mod fixture;
mod graphql;
mod herd;
mod limits;
mod measure;
mod phases;
mod report;
mod stage;

use clap::{Args, Parser, Subcommand};

/// Benchmarks.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure sync.
    Sync(SyncOptions),
    /// Let a herd of devices come back at once while the office works.
    Herd(herd::HerdOptions),
    /// Run one client, for the phases.
    #[command(hide = true)]
    Client {
        /// What to do, as JSON.
        task: String,
    },
    /// Run the server, for the phases.
    #[command(hide = true)]
    Server,
}

/// What to measure.
#[derive(Args)]
struct SyncOptions {
    /// The rows of the large scope.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Which phases to run.
    #[arg(long, value_delimiter = ',', default_value = "A,B,C,D,E,I,G")]
    phase: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Sync(options) => phases::run(&options),
        Command::Herd(options) => herd::run(&options),
        Command::Client { task } => client::run(&task),
        Command::Server => {
            // The exit code of a server that was told to stop says nothing here.
            let _ = server::run_with(["server", "serve", "--listen", "127.0.0.1:0"].map(Into::into));
            Ok(())
        }
    }
}
