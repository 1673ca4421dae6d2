//! Large runs of the kill loops: `cargo run --release -p tests --bin kill-loops -- --kills 10000 --seed 1`.

mod loops;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use loops::{KillablePostgres, Tally, kill_backends, kill_servers, runtime};

/// What is killed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// The server's process.
    Server,
    /// A backend of Postgres, and all of Postgres with it.
    Postgres,
}

#[derive(Debug, Parser)]
struct Options {
    /// How many kills.
    #[arg(long, default_value_t = 2_000)]
    kills: u64,
    /// The seed of what is recorded and when the kills come.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is killed.
    #[arg(long, value_enum, default_value_t = Target::Server)]
    target: Target,
}

fn main() -> ExitCode {
    let Options { kills, seed, target } = Options::parse();
    let postgres = matches!(target, Target::Postgres).then(KillablePostgres::start);
    let tally = match &postgres {
        Some(postgres) => runtime().block_on(kill_backends(postgres, kills, seed)),
        None => kill_servers(kills, seed),
    };
    let Tally { pushes, hit, unheard, changes, duplicates, lost, .. } = tally;
    println!("{changes} changes sent; of {pushes} pushes, {hit} were hit, {unheard} of them after their commit");
    println!("{kills} kills, {duplicates} duplicates, {lost} lost");
    if !tally.has_met_everything() {
        println!("the kills came at the wrong moments: this shows too little");
    }
    ExitCode::from(u8::from(duplicates + lost > 0 || !tally.has_met_everything()))
}
