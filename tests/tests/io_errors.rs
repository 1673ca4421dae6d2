//! Each call of the disk fails once: the store says so, keeps what it had, and goes on when the fault is gone.

use tests::storage::io_errors::{Lasting, session};
use tests::vfs::Fault;

/// Lets every `stride`-th call of the session fail, until the session ends before the fault comes.
fn every_call(fault: Fault, lasting: Lasting, stride: usize) {
    let mut broken = Vec::new();
    let mut reached = 0;
    for k in (1..).step_by(stride) {
        match session(k, fault, lasting) {
            Ok(false) => break,
            Ok(true) => reached += 1,
            Err(error) => broken.push(format!("call {k}: {error}")),
        }
        assert!(k < 20_000, "the session does not end");
    }
    assert!(reached + broken.len() > 30, "the fault came only {reached} times");
    assert!(broken.is_empty(), "{} of {} break:\n{}", broken.len(), reached + broken.len(), broken.join("\n"));
}

#[test]
fn a_call_that_fails_once_costs_nothing_that_was_promised() {
    every_call(Fault::Io, Lasting::OneCall, 7);
}

#[test]
fn a_disk_that_fails_for_a_while_costs_nothing_that_was_promised() {
    every_call(Fault::Io, Lasting::TheStep, 3);
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing_that_was_promised() {
    every_call(Fault::Full, Lasting::TheStep, 3);
}
