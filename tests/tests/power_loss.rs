//! What the phone says is saved survives a loss of power at any call.

use std::time::Instant;

use tests::storage::power_loss::{histories, history_on_a_lying_disk};
use tests::storage::settled::{shown_of_a_merge, shown_of_what_was_given_up};

/// The program `power-loss` makes the large runs.
const HISTORIES: u64 = 10_000;

#[test]
fn nothing_promised_is_lost_when_the_power_goes() {
    let started = Instant::now();
    let (survived, broken) = histories(0..HISTORIES);
    eprintln!("{survived:?}, {:?}", started.elapsed());
    assert!(broken.is_empty(), "{} histories are broken:\n{}", broken.len(), broken.join("\n"));
    assert!(survived.promised > 5 * HISTORIES, "too little was promised: {survived:?}");
}

#[test]
fn an_outbox_that_is_not_synced_is_found() {
    let found = (0..100).filter(|seed| history_on_a_lying_disk(*seed, "outbox.db-wal").is_err()).count();
    assert!(found > 10, "only {found} of 100 histories notice");
}

#[test]
fn what_the_outbox_has_settled_is_in_the_cache_whenever_the_power_goes() {
    for seed in 0..20 {
        assert_eq!(shown_of_a_merge(seed).unwrap().as_deref(), Some("merged"), "seed {seed}");
        assert_eq!(shown_of_what_was_given_up(seed).unwrap(), None, "seed {seed}");
    }
}
