//! The power goes at any call. What the store has promised must be there afterwards.

use std::ops::{AddAssign, Range};

use client_sdk::store::Store;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::phone::Phone;
use super::session::{Session, Stop};
use crate::parallel::in_parallel;
use crate::vfs::Fault;

/// One history in so many begins with a phone that has no files yet.
const NEW_PHONES: u64 = 8;

/// What histories went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survived {
    /// Changes that the store said were recorded.
    pub promised: u64,
    /// How often the power went.
    pub cuts: u64,
}

impl AddAssign for Survived {
    fn add_assign(&mut self, more: Self) {
        self.promised += more.promised;
        self.cuts += more.cuts;
    }
}

/// Runs the histories of these seeds on all processors. Returns what they went through, and what was not kept.
pub fn histories(seeds: Range<u64>) -> (Survived, Vec<String>) {
    let (mut survived, mut broken) = (Survived::default(), Vec::new());
    for outcome in in_parallel(seeds, |seed| history(seed).map_err(|error| format!("seed {seed}: {error}"))) {
        match outcome {
            Ok(one) => survived += one,
            Err(error) => broken.push(error),
        }
    }
    (survived, broken)
}

/// Runs the history of a seed on a disk that lies about syncs of files of this ending.
pub fn history_on_a_lying_disk(seed: u64, ending: &'static str) -> Result<Survived, String> {
    let session = session(seed);
    session.phone.disk.ignore_syncs_of(Some(ending));
    run(session)
}

fn history(seed: u64) -> Result<Survived, String> {
    run(session(seed))
}

fn session(seed: u64) -> Session {
    let phone = if seed.is_multiple_of(NEW_PHONES) { Phone::new() } else { Phone::enrolled() };
    Session::on(phone, ChaCha8Rng::seed_from_u64(seed))
}

fn run(mut session: Session) -> Result<Survived, String> {
    let cuts = session.rng.random_range(1..5);
    for _ in 0..cuts {
        live_until_the_power_goes(&mut session)?;
    }
    let store = session.phone.open().map_err(|error| format!("the store does not open: {error}"))?;
    session.model.check(&store)?;
    session.heal(&store)?;
    store.close().map_err(|error| error.to_string())?;
    session.phone.check_files()?;
    Ok(Survived { promised: session.model.promised, cuts })
}

fn live_until_the_power_goes(session: &mut Session) -> Result<(), String> {
    // Mostly while working; sometimes already while opening and repairing.
    let most = if session.rng.random_range(0..4) == 0 { 20 } else { 120 };
    let (call, seed) = (session.rng.random_range(1..=most), session.rng.random());
    session.phone.disk.fail_once_at(call, Fault::PowerCut(seed));
    let outcome = live(session);
    let has_failed = session.phone.disk.has_failed();
    if !has_failed {
        session.phone.disk.cut_power(seed);
    }
    match outcome {
        Ok(store) => drop(store),
        // A look at the store fails, too, once the power is gone; what is really missing is still so after it.
        Err(_) if has_failed => {}
        Err(stop) => return Err(stop.on_a_sound_disk()),
    }
    Ok(())
}

fn live(session: &mut Session) -> Result<Store, Stop> {
    let mut store = session.phone.open()?;
    session.model.check(&store)?;
    for _ in 0..session.rng.random_range(5..60) {
        if session.rng.random_range(0..25) == 0 {
            store.close()?;
            store = session.phone.open()?;
            session.model.check(&store)?;
        } else {
            session.step(&store)?;
        }
    }
    Ok(store)
}
