//! Opening the store: lock, keys, versions, and repair of what a crash or damage left behind.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;

use super::ballast::Ballast;
use super::cache::{self, Cache};
use super::file::DbFile;
use super::lock::FolderLock;
use super::outbox::{self, Outbox};
use super::overlay::Overlay;
use super::salvage::{Salvaged, salvage};
use super::write::Validator;
use super::{Inner, Store, migrate};
use crate::error::{Error, Result};
use crate::key::{KeyProvider, KeyPurpose};
use crate::world::SharedWorld;

/// How long a damaged outbox is kept after what could be read was saved from it: 30 days.
const KEEP_QUARANTINE_MS: i64 = 30 * 86_400_000;

/// What a store is made of.
pub struct StoreOptions {
    /// The folder, which the store owns. It is made when it does not exist.
    pub folder: PathBuf,
    /// Where the keys come from.
    pub keys: Arc<dyn KeyProvider>,
    /// The clocks and randomness.
    pub world: SharedWorld,
    /// The rules that changes are checked by.
    pub validator: Arc<dyn Validator>,
    /// The SQLite VFS beneath the files; `None` for the one of the system.
    pub vfs: Option<String>,
    /// How much room is kept free for sending on a full disk: [`super::BALLAST_BYTES`]; 0 for none.
    pub ballast_bytes: u64,
}

/// What was found and repaired at the opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Rows whose changes were laid over the cache again.
    pub repaired_rows: u64,
    /// Whether the cache was made anew: everything is fetched again.
    pub new_cache: bool,
    /// What was saved from a damaged outbox. Tell the person and the office.
    pub salvaged: Option<Salvaged>,
}

impl Store {
    /// Opens the store, or makes it. A damaged cache is made anew; a damaged outbox is put aside and everything
    /// readable is saved from it.
    ///
    /// Fails without touching the files when another process has them open, when the key is not there or is not
    /// theirs, and when a newer version wrote them.
    pub fn open(options: StoreOptions) -> Result<Self> {
        let folder = &options.folder;
        std::fs::create_dir_all(folder).map_err(|source| Error::File {
            doing: "make",
            path: folder.clone(),
            source,
        })?;
        let lock = FolderLock::take(folder)?;
        let outbox_file = DbFile::new(&options, KeyPurpose::Outbox)?;
        let cache_file = DbFile::new(&options, KeyPurpose::Cache)?;
        let mut report = OpenReport::default();
        let (outbox, salvaged) = open_outbox(&outbox_file, &options.world)?;
        report.salvaged = salvaged;
        let (mut cache, mut grown) = open_cache(&cache_file, salvaged.is_some(), &mut report)?;
        if cache.applied > outbox.last {
            tracing::warn!("the outbox is older than the cache, which is made anew");
            drop(cache);
            (cache, grown) = open_cache(&cache_file, true, &mut report)?;
        }
        let overlay = Overlay::load(&outbox)?;
        let ballast = Ballast::prepare(folder, options.ballast_bytes);
        let in_conflict = Default::default();
        let mut inner = Inner { outbox, cache, overlay, in_conflict, is_cache_behind: false, ballast, _lock: lock };
        if report.new_cache {
            inner.start_cache()?;
        } else {
            report.repaired_rows = inner.repair()?;
        }
        if grown {
            inner.refetch_scopes()?;
        }
        inner.outbox.purge(options.world.now())?;
        Ok(Self {
            inner: parking_lot::Mutex::new(inner),
            world: options.world,
            validator: options.validator,
            shown: watch::Sender::new(0),
            recorded: watch::Sender::new(0),
            report,
        })
    }
}

fn open_outbox(file: &DbFile, world: &SharedWorld) -> Result<(Outbox, Option<Salvaged>)> {
    file.finish_replacement()?;
    file.delete_quarantine(world.now().plus_ms(-KEEP_QUARANTINE_MS).0)?;
    let open = || {
        let conn = open_file(file, outbox::STEPS)?;
        check(&conn)?;
        Outbox::load(conn, world.as_ref())
    };
    match open() {
        Ok(outbox) => Ok((outbox, None)),
        Err(error) if error.is_damage() => {
            tracing::error!(%error, "the outbox is damaged; saving what can be read");
            let report = salvage(file, world.as_ref())?;
            Ok((open()?, Some(report)))
        }
        Err(error) => Err(error),
    }
}

fn open_cache(file: &DbFile, start_anew: bool, report: &mut OpenReport) -> Result<(Cache, bool)> {
    report.new_cache = start_anew || !file.path().exists();
    if start_anew {
        file.delete()?;
    }
    match open_file(file, cache::STEPS).and_then(Cache::load) {
        Ok(opened) => Ok(opened),
        Err(error) if error.is_damage() => {
            tracing::warn!(%error, "the cache is damaged; it is made anew");
            report.new_cache = true;
            file.delete()?;
            open_file(file, cache::STEPS).and_then(Cache::load)
        }
        Err(error) => Err(error),
    }
}

fn open_file(file: &DbFile, steps: &[&str]) -> Result<Connection> {
    let mut conn = file.open()?;
    if let Err(error) = migrate::refuse_newer(&conn, file.name(), steps) {
        DbFile::leave_untouched(conn);
        return Err(error);
    }
    file.configure(&conn)?;
    migrate::migrate(&mut conn, steps)?;
    Ok(conn)
}

/// Reads every page of the outbox, which is small: damage must be found before a change is lost to it.
fn check(conn: &Connection) -> Result<()> {
    use crate::error::Doing as _;
    conn.query_row("SELECT count(*), sum(length(payload)) FROM change", [], |_| Ok(())).doing("check the outbox")
}
