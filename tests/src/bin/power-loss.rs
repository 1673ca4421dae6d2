//! Histories of a phone that loses its power at any moment: `power-loss --histories N --seed S`.
//!
//! Ends in `N histories, V violations, T s` and fails when there are any. History `n` has the seed `S + n`: one that
//! fails is run again with `--histories 1 --seed <its seed>`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tests::storage::power_loss::{Survived, histories};

#[derive(Parser)]
struct Arguments {
    /// How many histories to run.
    #[arg(long, default_value_t = 10_000)]
    histories: u64,
    /// The seed of the first one.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// So many histories are told of at once.
const STRETCH: u64 = 1_000;

fn main() -> ExitCode {
    let Arguments { histories: count, seed } = Arguments::parse();
    let (started, mut violations, mut survived) = (Instant::now(), 0, Survived::default());
    for first in (seed..seed + count).step_by(STRETCH as usize) {
        let (more, broken) = histories(first..(first + STRETCH).min(seed + count));
        broken.iter().for_each(|broken| println!("{broken}"));
        violations += broken.len();
        survived += more;
        eprintln!("up to seed {} after {:.0} s", first + STRETCH - 1, started.elapsed().as_secs_f64());
    }
    println!("{} promised changes, {} losses of power", survived.promised, survived.cuts);
    println!("{count} histories, {violations} violations, {:.0} s", started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(violations > 0))
}
