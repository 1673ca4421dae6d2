//! Many histories, side by side, and what is told of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bug::Bug;
use super::check::Violation;
use super::history::{Options, Outcome, play};
use super::plan::Plan;
use super::shrink::shrink;
use super::tally::Tally;

/// With which features a history is played again as it was: a file that is not encrypted fails at other calls.
const FEATURES: &str = if cfg!(feature = "cipher") { "" } else { " --no-default-features --features plain" };

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// The first seed.
    pub seed: u64,
    /// How many histories, of consecutive seeds.
    pub histories: u64,
    /// How many at a time.
    pub threads: usize,
    /// The mistake that is planted.
    pub bug: Option<Bug>,
    /// Stops at so many violations.
    pub most_violations: u64,
    /// Whether each history is played a second time with clocks that are right.
    pub clock_pairs: bool,
}

/// A history in which something was not as it must be.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// Plays the history of a seed.
pub fn play_seed(seed: u64, options: Options) -> Outcome {
    play(&Plan::draw(seed), options)
}

fn play_one(seed: u64, bug: Option<Bug>) -> Outcome {
    play_seed(seed, Options { bug, ..Options::default() })
}

/// Plays a history as it is and with right clocks: what people wrote must come to the same.
fn play_pair(seed: u64, bug: Option<Bug>) -> Outcome {
    let mut wrong = play_one(seed, bug);
    let right = play_seed(seed, Options { bug, has_right_clocks: true, ..Options::default() });
    if wrong.is_close_call || right.is_close_call {
        return wrong;
    }
    let differs = wrong.state.iter().zip(&right.state).find(|(a, b)| a != b);
    if wrong.violations.is_empty() && right.violations.is_empty() && wrong.state != right.state {
        let what = match differs {
            Some((a, b)) => format!("{a}\n   with right clocks: {b}"),
            None => format!("{} rows, with right clocks {}", wrong.state.len(), right.state.len()),
        };
        wrong.violations.push(Violation { invariant: "clock", what });
    }
    wrong
}

/// What many histories came to.
#[derive(Debug)]
pub struct Played {
    /// How many were played.
    pub histories: u64,
    /// Those that failed, in the order of their seeds.
    pub failures: Vec<Failure>,
    /// What they met.
    pub tally: Tally,
}

/// Plays histories. After each, `progress` hears how many were begun, and how it failed if it did.
pub fn run(runs: &Runs, progress: impl Fn(u64, Option<&Failure>) + Sync) -> Played {
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let tally = Mutex::new(Tally::default());
    let failed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..runs.threads.max(1) {
            scope.spawn(|| {
                while failed.load(Ordering::Relaxed) < runs.most_violations {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= runs.histories {
                        break;
                    }
                    let seed = runs.seed + at;
                    let outcome = if runs.clock_pairs { play_pair(seed, runs.bug) } else { play_one(seed, runs.bug) };
                    tally.lock().expect("no thread panics").add(&outcome.tally, false);
                    let failure = (!outcome.violations.is_empty()).then_some(Failure { seed, outcome });
                    progress(at + 1, failure.as_ref());
                    if let Some(failure) = failure {
                        failed.fetch_add(1, Ordering::Relaxed);
                        failures.lock().expect("no thread panics").push(failure);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no thread panics");
    failures.sort_by_key(|failure| failure.seed);
    let histories = next.into_inner().min(runs.histories);
    Played { histories, failures, tally: tally.into_inner().expect("no thread panics") }
}

/// Returns a failure as a person wants to read it: the smallest plan that still fails in the same way, its trace, and
/// how to see it again.
pub fn report(failure: &Failure, bug: Option<Bug>) -> String {
    let first = &failure.outcome.violations[0];
    let plan = shrink(&Plan::draw(failure.seed), first.invariant, Options { bug, ..Options::default() });
    let outcome = play(&plan, Options { bug, keeps_trace: true, ..Options::default() });
    let mut text = format!("seed {}: {first}\n", failure.seed);
    text.push_str(&format!("the smallest plan that fails so, {} steps:\n", plan.steps.len()));
    for planned in &plan.steps {
        text.push_str(&format!("  {:>11.3} {:?}\n", planned.at_ms as f64 / 1_000.0, planned.step));
    }
    text.push_str("its trace:\n");
    outcome.trace.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    let bug = bug.map_or(String::new(), |bug| format!(" --bug {}", bug.name()));
    text.push_str(&format!(
        "again: cargo run --release -p tests{FEATURES} --bin simulate -- --histories 1 --seed {}{bug} --trace\n",
        failure.seed
    ));
    text
}
