//! A private Postgres: made, started and stopped by the process that needs it, reached over a Unix socket only.
//!
//! One folder holds everything: `pg/` (the data), `postgres.log`, `lock`, and `postgres-dist/` where binaries had
//! to be fetched. A lock on the folder keeps a second process out. Postgres refuses to run as root, so root hands
//! it to the account `postgres`, or else `nobody`.
//!
//! Start it from the main thread, before any runtime: Linux ends it with the *thread* that forked it.

mod account;
mod binaries;
mod cluster;
mod distribution;
mod error;
mod folder;
mod process;

use std::path::{Path, PathBuf};

pub use error::PostgresError;
use folder::{FolderLock, SocketFolder};
use process::Process;

/// The superuser of a private Postgres. Whoever reaches its socket may use it; the socket's folder is private.
const USER: &str = "teren";

/// What a power loss may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Durable,
    /// Everything. For tests.
    Fast,
}

/// Until when a private Postgres runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until this process stops it or ends, however it ends.
    ThisProcess,
    /// Until someone stops it.
    Detached,
}

/// How to run a private Postgres.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder for everything that it keeps.
    pub folder: PathBuf,
    /// The folder of the binaries, instead of a search.
    pub binaries: Option<PathBuf>,
    /// What a power loss may cost.
    pub durability: Durability,
    /// Until when it runs.
    pub lifetime: Lifetime,
}

/// A running private Postgres. Dropping it stops it, unless it is detached.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Dropped in this order: the folders are free only when the process is gone.
    _process: Process,
    socket_folder: SocketFolder,
    _lock: FolderLock,
}

impl PrivatePostgres {
    /// Starts Postgres on the data in `settings.folder`, which it makes where there is none.
    pub fn start(settings: &Settings) -> Result<Self, PostgresError> {
        let account = account::account()?;
        let folder = folder::prepare(&settings.folder)?;
        folder::check_reachable(&folder, account)?;
        let lock = FolderLock::take(&folder)?;
        let data = folder.join("pg");
        let binaries = binaries::obtain(settings.binaries.as_deref(), &folder, cluster::major(&data)?)?;
        cluster::ensure(&binaries, &data, account, settings.durability)?;
        let socket_folder = folder::socket_folder(&folder, account)?;
        let process = process::start(&process::Start {
            binaries: &binaries,
            data: &data,
            socket_folder: &socket_folder.0,
            log: &folder.join("postgres.log"),
            account,
            durability: settings.durability,
            lifetime: settings.lifetime,
        })?;
        Ok(Self { _process: process, socket_folder, _lock: lock })
    }

    /// Returns the URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        socket_url(&self.socket_folder.0, database)
    }
}

fn socket_url(socket_folder: &Path, database: &str) -> String {
    format!("postgres:///{database}?user={USER}&host={}", socket_folder.display())
}

/// Returns the URL of a database of the detached Postgres in `folder`, `None` where none runs.
pub fn running_url(folder: &Path, database: &str) -> Result<Option<String>, PostgresError> {
    let folder = folder::prepare(folder)?;
    if process::ready_pid(&folder.join("pg")).is_none() {
        return Ok(None);
    }
    Ok(Some(socket_url(&folder::socket_path(&folder), database)))
}
