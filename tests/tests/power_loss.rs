//! What the phone says is saved survives a loss of power at any call.

use tests::storage::power_loss::{history, history_on_a_lying_disk};

#[test]
fn nothing_promised_is_lost_when_the_power_goes() {
    let broken = |seed: u64| history(seed).err().map(|error| format!("seed {seed}: {error}"));
    let broken: Vec<String> = (0..300).filter_map(broken).collect();
    assert!(broken.is_empty(), "{} histories are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn an_outbox_that_is_not_synced_is_found() {
    let found = (0..100).filter(|seed| history_on_a_lying_disk(*seed, "outbox.db-wal").is_err()).count();
    assert!(found > 10, "only {found} of 100 histories notice");
}
