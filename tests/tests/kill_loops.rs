//! The kill loops, with as many kills as fit into every run of the tests; the program `kill-loops` makes the large
//! runs.

#[path = "../src/bin/kill-loops/loops.rs"]
mod loops;

use loops::{KillablePostgres, Tally, kill_backends, kill_servers, runtime};

/// With those of the application in `kill_client.rs`, 2,000.
const SERVER_KILLS: u64 = 1_400;
const BACKEND_KILLS: u64 = 25;

fn assert_sound(tally: Tally) {
    eprintln!("{tally:?}");
    assert_eq!((tally.duplicates, tally.lost), (0, 0), "{tally:?}");
    assert!(tally.has_met_everything(), "the kills came at the wrong moments: {tally:?}");
}

#[test]
fn kills_of_the_server_lose_nothing_and_repeat_nothing() {
    assert_sound(kill_servers(SERVER_KILLS, 1));
}

#[test]
fn kills_of_backends_of_postgres_lose_nothing_and_repeat_nothing() {
    let postgres = KillablePostgres::start();
    assert_sound(runtime().block_on(kill_backends(&postgres, BACKEND_KILLS, 1)));
}
