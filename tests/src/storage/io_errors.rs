//! A call of the disk fails, once or for a while. The store says so, keeps what it had, and goes on.

use client_sdk::store::Store;

use super::session::{Session, Stop};
use crate::vfs::{Fault, FaultDisk};

/// How long the fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// One call, which may also be one that reads or opens.
    OneCall,
    /// Every call that changes a file, until the step that met it has failed.
    TheStep,
}

/// The steps of the session: long enough for every kind of call.
const STEPS: usize = 30;

/// Runs a session of always the same steps in which the `k`-th call fails. Returns whether the fault was reached;
/// fails with what the store did not keep.
pub fn session(k: u64, fault: Fault, lasting: Lasting) -> Result<bool, String> {
    let mut session = Session::new(11);
    plan(&session.phone.disk, k, fault, lasting);
    let (mut store, mut has_come) = (None, false);
    for _ in 0..STEPS {
        let outcome = step(&mut session, &mut store);
        let comes_now = session.phone.disk.heal_if_failed() && !has_come;
        has_come |= comes_now;
        match outcome {
            Ok(()) => {}
            Err(_) if comes_now => {}
            Err(stop) => return Err(stop.on_a_sound_disk()),
        }
    }
    session.phone.disk.heal();
    finish(session, store)?;
    Ok(has_come)
}

/// Lets the `k`-th call from now fail.
pub(super) fn plan(disk: &FaultDisk, k: u64, fault: Fault, lasting: Lasting) {
    match lasting {
        Lasting::OneCall => disk.fail_any_once_at(k, fault),
        Lasting::TheStep => disk.fail_from(k, fault),
    }
}

fn step(session: &mut Session, store: &mut Option<Store>) -> Result<(), Stop> {
    match store {
        None => {
            let opened = session.phone.open()?;
            session.model.check(&opened)?;
            *store = Some(opened);
        }
        Some(open) => session.step(open)?,
    }
    Ok(())
}

/// Looks whether the same store goes on, and whether everything is there after it was closed.
pub(super) fn finish(mut session: Session, store: Option<Store>) -> Result<(), String> {
    let open = |session: &Session| session.phone.open().map_err(|error| format!("the store does not open: {error}"));
    let store = match store {
        Some(store) => store,
        None => open(&session)?,
    };
    session.model.check(&store)?;
    session.record(&store).map_err(Stop::on_a_sound_disk)?;
    session.heal(&store)?;
    store.close().map_err(|error| error.to_string())?;
    let store = open(&session)?;
    session.model.check(&store)?;
    session.heal(&store)?;
    drop(store);
    session.phone.check_files()
}
