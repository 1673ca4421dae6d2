//! Histories of the simulator with fixed seeds: those that must be clean, those that once were not, and one for each
//! planted mistake, which must be found.

use tests::simulator::bug::Bug;
use tests::simulator::history::Options;
use tests::simulator::run::{Played, Runs, play_seed, report, run};

/// Every seed that ever failed, one a line, with what it showed.
const SEEDS: &str = include_str!("../simulator-seeds.txt");
/// How many histories of consecutive seeds are played here; the `simulate` program plays as many as wanted.
const HISTORIES: u64 = 6;

fn runs(seed: u64, histories: u64, bug: Option<Bug>) -> Runs {
    Runs { seed, histories, threads: 2, bug, most_violations: 1, clock_pairs: false }
}

#[test]
fn histories_are_clean() {
    let Played { histories, failures, .. } = run(&runs(1, HISTORIES, None), |_, _| {});
    let first = failures.first().map(|failure| report(failure, None));
    assert!(first.is_none(), "{}", first.unwrap_or_default());
    assert_eq!(histories, HISTORIES);
}

#[test]
fn wrong_clocks_change_nothing() {
    let Played { failures, .. } = run(&Runs { clock_pairs: true, ..runs(11, HISTORIES, None) }, |_, _| {});
    assert!(failures.is_empty(), "seed {}: {}", failures[0].seed, failures[0].outcome.violations[0]);
}

#[test]
fn seeds_that_failed_once_are_clean() {
    let seeds = SEEDS.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    for seed in seeds {
        let outcome = play_seed(seed, Options::default());
        assert!(outcome.violations.is_empty(), "seed {seed}: {}", outcome.violations[0]);
    }
}

#[test]
fn a_seed_gives_the_same_history_again() {
    for seed in [3, 5] {
        let play = || play_seed(seed, Options { keeps_trace: true, ..Options::default() });
        let (first, second) = (play(), play());
        let differs = first.trace.iter().zip(&second.trace).find(|(a, b)| a != b);
        assert!(differs.is_none(), "seed {seed}: {differs:?}");
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
    }
}

/// A seed that finds each planted mistake; `simulate --bug` plants any of them.
const FOUND_BY: [(Bug, u64); 17] = [
    (Bug::PlainSequence, 51),
    (Bug::AckBeforeCommit, 835),
    (Bug::PageWithoutCursor, 17),
    (Bug::DropOnReject, 5),
    (Bug::LastWriterByClock, 1),
    (Bug::RetryWithoutDedupe, 5),
    (Bug::MissingLeave, 20),
    (Bug::StuckBackoff, 8),
    (Bug::OutboxNotSynced, 62),
    (Bug::ReadUnscoped, 1),
    (Bug::GroupTornApart, 5),
    (Bug::NoResend, 4),
    (Bug::FloorNotHeld, 451),
    (Bug::AliasLost, 161),
    (Bug::MergeDropsValues, 14),
    (Bug::ErasuresNotRepeated, 45),
    (Bug::ErasedBytesKept, 6),
];

#[test]
fn planted_mistakes_are_found() {
    let proven: std::collections::BTreeSet<String> = FOUND_BY.iter().map(|(bug, _)| bug.name()).collect();
    assert_eq!(proven.len(), Bug::ALL.len(), "every planted mistake needs a seed that finds it");
    for (bug, seed) in FOUND_BY {
        let outcome = play_seed(seed, Options { bug: Some(bug), ..Options::default() });
        assert!(!outcome.violations.is_empty(), "{bug:?} was not found by seed {seed}");
        let clean = play_seed(seed, Options::default());
        assert!(clean.violations.is_empty(), "seed {seed} fails without {bug:?} too: {}", clean.violations[0]);
    }
}
