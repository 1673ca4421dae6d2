//! Damages of a phone's files: `damage --damages N --seed S`.
//!
//! Ends in `N damages, V violations` and fails when there are any. A damage that fails is run again with
//! `--damages 1 --seed <its number>`.

use std::process::ExitCode;

use clap::Parser;
use tests::storage::damage::damages;

#[derive(Parser)]
struct Arguments {
    /// How many damages.
    #[arg(long, default_value_t = 4_000)]
    damages: u64,
    /// The number of the first one.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> ExitCode {
    let Arguments { damages: count, seed } = Arguments::parse();
    let (endured, broken) = damages(seed, seed + count);
    broken.iter().for_each(|broken| println!("{broken}"));
    println!("{endured:?}");
    println!("{count} damages, {} violations", broken.len());
    ExitCode::from(u8::from(!broken.is_empty()))
}
