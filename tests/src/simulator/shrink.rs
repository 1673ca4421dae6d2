//! Makes a failing plan small: whatever can be left out while it still fails in the same way is left out.

use super::history::{Options, play};
use super::plan::{Plan, Planned};

/// How many smaller plans are tried at most.
const MOST_TRIES: u32 = 400;

/// Returns the smallest plan found that still breaks `invariant`.
pub fn shrink(plan: &Plan, invariant: &str, options: Options) -> Plan {
    let mut smallest = plan.clone();
    let mut tries = 0;
    let mut part = smallest.steps.len() / 2;
    while part >= 1 && tries < MOST_TRIES {
        let mut at = 0;
        let mut has_shrunk = false;
        while at < smallest.steps.len() && tries < MOST_TRIES {
            tries += 1;
            let candidate = without(&smallest, at, part);
            if fails_so(&candidate, invariant, options) {
                smallest = candidate;
                has_shrunk = true;
            } else {
                at += part;
            }
        }
        if !has_shrunk || part > smallest.steps.len() {
            part /= 2;
        }
    }
    smallest
}

fn without(plan: &Plan, at: usize, count: usize) -> Plan {
    let kept: Vec<Planned> = plan.steps.iter().take(at).chain(plan.steps.iter().skip(at + count)).cloned().collect();
    Plan { steps: kept, ..plan.clone() }
}

fn fails_so(plan: &Plan, invariant: &str, options: Options) -> bool {
    play(plan, options).violations.first().is_some_and(|violation| violation.invariant == invariant)
}
