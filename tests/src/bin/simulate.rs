//! Plays histories of the simulator.
//!
//! `simulate --histories 10000 --seed 1` plays ten thousand; `simulate --histories 1 --seed 7 --trace` shows one.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tests::simulator::bug::Bug;
use tests::simulator::history::Options;
use tests::simulator::run::{Played, Runs, play_seed, report, run};

/// In so many histories everything that can go wrong must have gone wrong.
const ENOUGH: u64 = 2_000;

/// Plays histories of phones, people, a network and a server, all from one seed each.
#[derive(Parser)]
struct Args {
    /// How many histories, of consecutive seeds.
    #[arg(long, default_value_t = 1_000)]
    histories: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plants a mistake, which must be found.
    #[arg(long)]
    bug: Option<Bug>,
    /// How many histories are played at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Prints the trace of the first history.
    #[arg(long)]
    trace: bool,
    /// Prints it as it is with right clocks.
    #[arg(long)]
    right_clocks: bool,
    /// Stops after so many violations.
    #[arg(long, default_value_t = 20)]
    most_violations: u64,
    /// Names the seeds that failed, without looking for the smallest plan that fails so.
    #[arg(long)]
    brief: bool,
    /// Plays each history a second time with clocks that are right: both must end in the same state.
    #[arg(long)]
    clock_pairs: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.trace {
        let options = Options { bug: args.bug, keeps_trace: true, has_right_clocks: args.right_clocks };
        let outcome = play_seed(args.seed, options);
        outcome.trace.iter().for_each(|line| println!("{line}"));
        println!("trace {:016x}", outcome.trace_hash);
    }
    let started = Instant::now();
    let most_violations = if args.bug.is_some() { 1 } else { args.most_violations };
    let runs = Runs {
        seed: args.seed,
        histories: args.histories,
        threads: args.threads,
        bug: args.bug,
        most_violations,
        clock_pairs: args.clock_pairs,
    };
    let Played { histories, failures, tally } = run(&runs, |done, failure| {
        // At once: a long run may be ended before its end.
        if let Some(failure) = failure {
            println!("seed {}: {}", failure.seed, failure.outcome.violations[0]);
        }
        if done % 500 == 0 {
            eprintln!("{done} of {} after {:.0} s", args.histories, started.elapsed().as_secs_f64());
        }
    });
    if let Some(first) = failures.first().filter(|_| !args.brief) {
        print!("{}", report(first, args.bug));
    }
    print!("what they met:\n{tally}");
    let never = if histories >= ENOUGH { tally.never() } else { Vec::new() };
    if !never.is_empty() {
        println!("never met, so that nothing is shown of it: {never:?}");
    }
    println!("{histories} histories, {} violations, {:.1} s", failures.len(), started.elapsed().as_secs_f64());
    if failures.is_empty() && never.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
