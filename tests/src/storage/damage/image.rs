//! A phone whose files are copied for each damage.

use std::path::Path;

use client_sdk::store::Store;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::promised;
use crate::folder::copied;
use crate::storage::rows::Edit;
use crate::storage::server::Server;
use crate::storage::session::{Session, Stop};

const STEPS: u32 = 40;

/// The files of a phone, the server that it syncs with, and what it has promised.
pub(super) struct Image {
    folder: TempDir,
    /// The same files some steps earlier.
    older: TempDir,
    server: Server,
    names: u64,
    /// The changes that only this phone has.
    pub(super) promised: Vec<Edit>,
    /// Everything that was recorded on it.
    pub(super) ever_recorded: Vec<Edit>,
}

impl Image {
    /// Makes a phone on which something happened. Every second one is left open, with its journals.
    pub(super) fn make(seed: u64) -> Self {
        let mut session = Session::new(seed);
        let store = session.phone.open().expect("a new store opens");
        let older =
            live(&mut session, &store).unwrap_or_else(|stop| panic!("image {seed}: {}", stop.on_a_sound_disk()));
        let promised = promised(&store).expect("a sound store can be read");
        let folder = if seed.is_multiple_of(2) {
            copied(session.phone.folder.path())
        } else {
            store.close().expect("a sound store closes");
            copied(session.phone.folder.path())
        };
        let ever_recorded = session.model.ever_recorded();
        Self { folder, older, server: session.server, names: session.names, promised, ever_recorded }
    }

    pub(super) fn older(&self) -> &Path {
        self.older.path()
    }

    /// Returns the phone on a copy of its files.
    pub(super) fn copy(&self, rng: ChaCha8Rng) -> Session {
        let mut session = Session::with_rng(rng);
        session.phone.folder = copied(self.folder.path());
        session.server = self.server.clone();
        // Names that were not used yet: every change is told from every other by its text.
        session.names = self.names;
        session
    }
}

/// Lives for some steps, and returns the files as they were at one of them.
fn live(session: &mut Session, store: &Store) -> Result<TempDir, Stop> {
    let copied_at = session.rng.random_range(0..STEPS);
    let mut older = None;
    for step in 0..STEPS {
        session.step(store)?;
        if step == copied_at {
            older = Some(copied(session.phone.folder.path()));
        }
    }
    if copied_at % 2 == 0 {
        move_journals(session)?;
        session.sync(store, true)?;
    }
    session.record(store)?;
    Ok(older.expect("the step came"))
}

/// Moves what is in the journals into the files, as SQLite does after some thousand pages. The journals stay.
fn move_journals(session: &Session) -> Result<(), Stop> {
    let moved = ["outbox.db", "cache.db"].into_iter().try_for_each(|name| {
        let conn = session.phone.connect(&session.phone.path(name))?;
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    });
    moved.map_err(|error| Stop::Broken(error.to_string()))
}
