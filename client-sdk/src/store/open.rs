//! Opening the store: lock, keys, versions, and repair of what a crash or damage left behind.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::ballast::Ballast;
use super::check::check_outbox;
use super::file::DbFile;
use super::lock::FolderLock;
use super::mark::{Mark, Reached};
use super::outbox::{self, Outbox};
use super::overlay::Overlay;
use super::salvage::{Salvaged, salvage};
use super::write::Validator;
use super::{Inner, Store, cache};
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
        match Self::open_once(&options) {
            // What is on a full disk must be read and sent. The ballast is the file of this process: nobody else has
            // the folder open, or opening fails for that.
            Err(Error::StorageFull { .. }) if Ballast::of(&options.folder, options.ballast_bytes).release() => {
                Self::open_once(&options)
            }
            outcome => outcome,
        }
    }

    fn open_once(options: &StoreOptions) -> Result<Self> {
        let folder = &options.folder;
        std::fs::create_dir_all(folder).map_err(|source| Error::File {
            doing: "make",
            path: folder.clone(),
            source,
        })?;
        let lock = FolderLock::take(folder)?;
        let outbox_file = DbFile::new(options, KeyPurpose::Outbox)?;
        let cache_file = DbFile::new(options, KeyPurpose::Cache)?;
        let mark = Mark::of(folder);
        let (mut outbox, mut salvaged) = open_outbox(&outbox_file, &mark, &options.world)?;
        let (mut cache, is_new) = match cache::open(&cache_file, salvaged.is_some()) {
            Ok(opened) => opened,
            Err(error) => {
                outbox.close_untouched();
                return Err(error);
            }
        };
        let mut report = OpenReport { new_cache: is_new, ..OpenReport::default() };
        if cache.applied > outbox.last {
            tracing::error!("the outbox is older than the cache: it has lost its end");
            mark.note(Reached { last: cache.applied, ..mark.read() });
            outbox.close_untouched();
            drop(cache);
            (outbox, salvaged) = open_outbox(&outbox_file, &mark, &options.world)?;
            (cache, report.new_cache) = cache::open(&cache_file, true)?;
        }
        report.salvaged = salvaged;
        delete_old_quarantine(&outbox_file, &outbox, options.world.now().0)?;
        outbox.mark = Some(mark);
        let overlay = Overlay::load(&outbox)?;
        let ballast = Ballast::of(folder, options.ballast_bytes);
        let in_conflict = Default::default();
        let is_cache_behind = false;
        let mut inner =
            Inner { outbox, cache, cache_file, overlay, in_conflict, is_cache_behind, ballast, _lock: lock };
        if let Err(error) = inner.bring_together(&mut report) {
            inner.renew_damaged_cache(error)?;
            report.new_cache = true;
        }
        inner.outbox.note_reached();
        inner.ballast.restore();
        Ok(Self {
            inner: parking_lot::Mutex::new(inner),
            world: options.world.clone(),
            validator: options.validator.clone(),
            shown: watch::Sender::new(0),
            recorded: watch::Sender::new(0),
            report,
        })
    }
}

impl Inner {
    /// Brings the cache to where the outbox is.
    fn bring_together(&mut self, report: &mut OpenReport) -> Result<()> {
        if report.new_cache {
            self.start_cache()
        } else {
            report.repaired_rows = self.repair()?;
            Ok(())
        }
    }
}

/// Deletes what was put aside long enough ago, by the phone's clock and by the days of the server: a clock that is set
/// forward must not delete the only copy of somebody's work.
fn delete_old_quarantine(file: &DbFile, outbox: &Outbox, now_ms: i64) -> Result<()> {
    file.delete_quarantine(now_ms.min(outbox.day_ms()?) - KEEP_QUARANTINE_MS)
}

fn open_outbox(file: &DbFile, mark: &Mark, world: &SharedWorld) -> Result<(Outbox, Option<Salvaged>)> {
    file.finish_replacement()?;
    let open = || {
        file.refuse_torn_apart()?;
        let conn = file.open_current(outbox::STEPS, |conn| {
            check_outbox(conn, mark.read().last)?;
            file.keep_before_migration(conn, outbox::STEPS, world.now().0)
        })?;
        Outbox::load(conn, world.as_ref())
    };
    match file.believe_damage_twice(open) {
        Ok(outbox) => Ok((outbox, None)),
        Err(error) if error.is_damage() => {
            tracing::error!(%error, "the outbox is damaged; saving what can be read");
            let report = salvage(file, mark, world.as_ref())?;
            Ok((open()?, Some(report)))
        }
        Err(error) => Err(error),
    }
}
