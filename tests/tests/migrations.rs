//! Files of every released version are brought to this one, whatever call of the disk the power goes or fails at.

use std::time::Instant;

use tests::storage::migrations::{RELEASED, Released};
use tests::vfs::Fault;

/// How often the power goes at each call, with another part of what was not synced getting through.
const CUTS_PER_CALL: u64 = 8;

/// Disturbs every call of a migration; returns how many there were.
fn disturb(released: &Released, fault: impl Fn(u64) -> Fault, times: u64) -> u64 {
    let (mut broken, mut reached) = (Vec::new(), 0);
    for k in 1.. {
        let outcomes: Vec<_> = (0..times).map(|time| released.migrate(k, fault(k * 1_000 + time))).collect();
        let has_come = !outcomes.contains(&Ok(false));
        broken.extend(outcomes.into_iter().filter_map(Result::err));
        if !has_come {
            break;
        }
        reached += 1;
    }
    assert!(broken.is_empty(), "{} of {} break:\n{}", broken.len(), reached * times, broken.join("\n"));
    reached
}

#[test]
fn a_loss_of_power_at_any_call_of_a_migration_costs_nothing() {
    for version in RELEASED {
        let (released, start) = (Released::of(version), Instant::now());
        let calls = disturb(&released, Fault::PowerCut, CUTS_PER_CALL);
        eprintln!("version {version}: {calls} calls, {} losses of power, {:?}", calls * CUTS_PER_CALL, start.elapsed());
        assert!(calls > 20, "only {calls} calls change a file");
    }
}

#[test]
fn an_error_or_a_full_disk_at_any_call_of_a_migration_costs_nothing() {
    for version in RELEASED {
        let released = Released::of(version);
        for fault in [Fault::Io, Fault::Full] {
            let calls = disturb(&released, |_| fault, 1);
            assert!(calls > 50, "only {calls} calls");
        }
    }
}
