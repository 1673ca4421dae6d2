//! Histories of a phone that loses its power at any moment: `power-loss --histories N --seed S`.
//!
//! Ends in `N histories, V violations` and fails when there are any. History `n` has the seed `S + n`: one that
//! fails is run again with `--histories 1 --seed <its seed>`.

use std::process::ExitCode;

use clap::Parser;
use tests::storage::power_loss::history;

#[derive(Parser)]
struct Arguments {
    /// How many histories to run.
    #[arg(long, default_value_t = 10_000)]
    histories: u64,
    /// The seed of the first one.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> ExitCode {
    let Arguments { histories, seed } = Arguments::parse();
    let (mut promised, mut cuts, mut violations) = (0, 0, 0);
    for seed in seed..seed + histories {
        match history(seed) {
            Ok(survived) => {
                promised += survived.promised;
                cuts += survived.cuts;
            }
            Err(broken) => {
                violations += 1;
                println!("seed {seed}: {broken}");
            }
        }
    }
    println!("{promised} promised changes, {cuts} losses of power");
    println!("{histories} histories, {violations} violations");
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
