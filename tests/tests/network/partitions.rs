//! Networks that break in one direction or both, for a random time, while people go on recording.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tests::Gate;

use super::{Field, Office, histories};

const PHONES: u64 = 4;
/// Of each phone; `TEREN_PARTITIONS` asks for more.
const HISTORIES: u64 = 7;
const DRAINED_WITHIN: Duration = Duration::from_secs(30);
const LONGEST_MS: u64 = 1_500;

/// Draws what a partition does: to which ways, and whether what it stops arrives later or never.
fn gates(random: &mut ChaCha8Rng) -> (Gate, Gate) {
    let stopped = if random.random_bool(0.5) { Gate::Held } else { Gate::Lost };
    match random.random_range(0..3) {
        0 => (stopped, Gate::Open),
        1 => (Gate::Open, stopped),
        _ => (stopped, stopped),
    }
}

/// Lets the network break and heal, and returns the longest time until everything was sent.
async fn live_through_partitions(field: &mut Field, seed: u64) -> Duration {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let phone = (*field.phone).clone();
    let living = async {
        let mut longest = Duration::ZERO;
        for _ in 0..histories("TEREN_PARTITIONS", HISTORIES) {
            let (up, down) = gates(&mut random);
            field.record(random.random_range(0..4));
            field.network.set_gates(up, down);
            for _ in 0..3 {
                field.record(random.random_range(0..3));
                tokio::time::sleep(Duration::from_millis(random.random_range(0..LONGEST_MS / 3))).await;
            }
            field.record(1);
            field.network.heal();
            let healed_at = Instant::now();
            if random.random_bool(0.5) {
                // What a phone's system tells an application when there is a network again.
                field.phone.wake();
            }
            while field.pending() > 0 {
                let waited = healed_at.elapsed();
                assert!(waited < DRAINED_WITHIN, "seed {seed}: nothing came after {up:?} and {down:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            longest = longest.max(healed_at.elapsed());
        }
        longest
    };
    tokio::select! {
        outcome = phone.connected(None, std::future::pending(), |_| {}) => panic!("it ended: {outcome:?}"),
        longest = living => longest,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_drain_after_every_partition_without_a_restart() {
    let office = Office::open().await;
    let mut fields = Vec::new();
    for _ in 0..PHONES {
        fields.push(Field::open(office.server.address).await);
    }
    let living = fields.iter_mut().enumerate().map(|(at, field)| live_through_partitions(field, 41 + at as u64));
    let longest = futures::future::join_all(living).await;
    let count = PHONES * histories("TEREN_PARTITIONS", HISTORIES);
    eprintln!("{count} partitions, 0 stalls, drained after {:?} at most", longest.iter().max().unwrap());
    for field in &fields {
        field.phone.sync().await;
    }
    for field in &fields {
        field.phone.sync().await;
        office.assert_has_all_of(field).await;
    }
}
