//! The power goes at any call. What the store has promised must be there afterwards.

use client_sdk::store::Store;
use rand::Rng as _;

use super::session::{Session, Stop};
use crate::vfs::Fault;

/// What a history went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survived {
    /// Changes that the store said were recorded.
    pub promised: u64,
    /// How often the power went.
    pub cuts: u64,
}

/// Runs the history of a seed. Fails with what the store did not keep.
pub fn history(seed: u64) -> Result<Survived, String> {
    run(Session::new(seed))
}

/// Runs the history of a seed on a disk that lies about syncs of files of this ending.
pub fn history_on_a_lying_disk(seed: u64, ending: &'static str) -> Result<Survived, String> {
    let session = Session::new(seed);
    session.phone.disk.ignore_syncs_of(Some(ending));
    run(session)
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
    let most = if session.rng.random_range(0..4) == 0 { 20 } else { 250 };
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
