//! Each call of the disk fails once: the store says so, keeps what it had, and goes on when the fault is gone.

use tests::parallel::in_parallel;
use tests::storage::io_errors::{Lasting, session};
use tests::storage::paths::{Path, Prepared};
use tests::vfs::Fault;

/// So many calls are disturbed before it is looked whether the fault still came.
const STRETCH: u64 = 32;

/// Lets every call fail, each in a life of its own, until one ends before its fault comes. Returns how many came.
fn every_call(what: &str, disturb: impl Fn(u64) -> Result<bool, String> + Sync) -> usize {
    let (mut broken, mut reached) = (Vec::new(), 0);
    for first in (1..).step_by(STRETCH as usize) {
        let outcomes =
            in_parallel(first..first + STRETCH, |k| disturb(k).map_err(|error| format!("call {k}: {error}")));
        let has_ended = outcomes.contains(&Ok(false));
        reached += outcomes.iter().filter(|outcome| **outcome != Ok(false)).count();
        broken.extend(outcomes.into_iter().filter_map(Result::err));
        if has_ended {
            break;
        }
    }
    assert!(broken.is_empty(), "{what}: {} of {reached} break:\n{}", broken.len(), broken.join("\n"));
    reached
}

/// Lets every call of every path fail.
fn every_call_of_every_path(fault: Fault, lasting: Lasting) {
    let prepared = Prepared::new();
    for path in Path::ALL {
        let what = format!("{path:?}, {fault:?} for {lasting:?}");
        let reached = every_call(&what, |k| prepared.disturb(path, k, fault, lasting));
        eprintln!("{what}: {reached} calls");
        // Packing only reads, and what it reads may be in memory.
        assert!(reached > 2 || path == Path::Packing, "{what}: only {reached} calls");
    }
}

#[test]
fn a_call_that_fails_once_costs_nothing_that_was_promised() {
    every_call_of_every_path(Fault::Io, Lasting::OneCall);
}

#[test]
fn a_disk_that_fails_for_a_while_costs_nothing_that_was_promised() {
    every_call_of_every_path(Fault::Io, Lasting::TheStep);
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing_that_was_promised() {
    every_call_of_every_path(Fault::Full, Lasting::TheStep);
}

/// Long enough for every kind of step to meet what the ones before it left; one call in so many.
#[test]
fn a_fault_in_a_long_session_costs_nothing_that_was_promised() {
    for (fault, lasting, stride) in [(Fault::Io, Lasting::OneCall, 13), (Fault::Full, Lasting::TheStep, 7)] {
        let reached = every_call("a long session", |at| session(at * stride, fault, lasting));
        assert!(reached > 30, "only {reached} calls");
    }
}
