//! The main paths of a store, each from files that were prepared once, while one of its calls fails.

use std::fs;
use std::sync::Arc;

use client_sdk::error::Error;
use client_sdk::store::Store;
use client_sdk::world::FixedWorld;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rusqlite::ErrorCode;
use tempfile::TempDir;

use super::io_errors::{Lasting, finish, plan};
use super::model::Model;
use super::phone::Phone;
use super::server::Server;
use super::session::{Session, Stop};
use crate::folder::copied;
use crate::vfs::Fault;

/// What the store is doing when a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Making the files of a new device.
    NewFiles,
    /// Opening files of which the application was killed: the cache is brought to where the outbox is.
    Repair,
    /// Opening a damaged cache, which is made anew.
    DamagedCache,
    /// Recording a batch.
    Recording,
    /// Packing a push.
    Packing,
    /// Taking the answer to a push.
    Answer,
    /// Applying a page and writing it.
    Page,
}

impl Path {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::NewFiles, Self::Repair, Self::DamagedCache, Self::Recording, Self::Packing, Self::Answer, Self::Page];
}

/// A phone that was killed in the middle of its work, with what the store promised and what the server has.
pub struct Prepared {
    folder: TempDir,
    world: Arc<FixedWorld>,
    model: Model,
    server: Server,
    names: u64,
}

impl Prepared {
    /// Works on a phone for a while.
    #[expect(clippy::new_without_default, reason = "it does a lot")]
    pub fn new() -> Self {
        let mut session = Session::on(Phone::enrolled(), ChaCha8Rng::seed_from_u64(3));
        let store = session.phone.open().expect("a sound store opens");
        work(&mut session, &store).unwrap_or_else(|stop| panic!("{}", stop.on_a_sound_disk()));
        let folder = copied(session.phone.folder.path());
        let Session { phone, server, model, names, .. } = session;
        Self { folder, world: phone.world, model, server, names }
    }

    /// Goes along a path while the `k`-th call fails, and on afterwards. Returns whether the call came; fails with what
    /// the store did not keep.
    pub fn disturb(&self, path: Path, k: u64, fault: Fault, lasting: Lasting) -> Result<bool, String> {
        let mut session = self.session(path);
        let store = match path {
            Path::NewFiles | Path::Repair | Path::DamagedCache => None,
            _ => Some(session.phone.open().map_err(|error| error.to_string())?),
        };
        plan(&session.phone.disk, k, fault, lasting);
        let outcome = match &store {
            None => session.phone.open().map(Some).map_err(Stop::from),
            Some(store) => walk(&mut session, store, path).map(|()| None),
        };
        let has_failed = session.phone.disk.has_failed();
        session.phone.disk.heal();
        let opened = match outcome {
            Ok(opened) => opened,
            Err(stop) if !has_failed => return Err(stop.on_a_sound_disk()),
            Err(Stop::Broken(broken)) => return Err(broken),
            Err(Stop::Failed(error)) if !is_of_the_disk(&error) => return Err(format!("the error is {error:?}")),
            // What the person was told is not recorded must not be there.
            Err(Stop::Failed(_)) => {
                session.model.gives_up();
                None
            }
        };
        finish(session, store.or(opened)).map(|()| has_failed)
    }

    fn session(&self, path: Path) -> Session {
        let rng = ChaCha8Rng::seed_from_u64(7);
        if path == Path::NewFiles {
            return Session::with_rng(rng);
        }
        let phone = Phone { folder: copied(self.folder.path()), world: self.world.clone(), ..Phone::new() };
        if path == Path::DamagedCache {
            fs::write(phone.path("cache.db"), [0x55; 8_192]).expect("a file can be written");
        }
        let (model, server) = (self.model.clone(), self.server.clone());
        Session { model, server, names: self.names, ..Session::on(phone, rng) }
    }
}

/// Leaves something of every kind: rows of others, answers of every kind, changes that wait, a cache that lags behind.
fn work(session: &mut Session, store: &Store) -> Result<(), Stop> {
    for _ in 0..12 {
        session.others_write();
    }
    session.sync(store, true)?;
    for _ in 0..8 {
        session.record(store)?;
    }
    session.sync(store, true)?;
    for _ in 0..4 {
        session.record(store)?;
        session.others_write();
    }
    Ok(())
}

fn walk(session: &mut Session, store: &Store, path: Path) -> Result<(), Stop> {
    match path {
        Path::NewFiles | Path::Repair | Path::DamagedCache => unreachable!("the files are not open yet"),
        Path::Recording => session.record(store)?,
        Path::Packing => session.pack(store)?,
        Path::Answer => session.push(store)?,
        Path::Page => {
            session.pull(store, None)?;
            store.flush()?;
        }
    }
    Ok(())
}

/// Returns whether an error says that the disk failed, and not that something is damaged, missing or wrong.
fn is_of_the_disk(error: &Error) -> bool {
    match error {
        Error::StorageFull { .. } => true,
        Error::Sqlite { source, .. } => {
            matches!(source.sqlite_error_code(), Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen))
        }
        _ => false,
    }
}
