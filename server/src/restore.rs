//! Notices that the database was restored from an older backup, and begins a new history.
//!
//! Every few seconds the head of each programme is noted in a file that is not restored together with the database.
//! A programme that is not where its mark says has gone back in time. It gets a new epoch, and its numbers go on far
//! beyond the mark, so that no number ever means two things. Devices notice the epoch, bring back what the server
//! lost, and repair what they show. What was erased is in the same file, and is erased again. Edits of the office exist
//! nowhere else: archive the write-ahead log for them.

pub mod durable;
mod erasures;
mod marks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::Mutex;
use uuid::Uuid;

use self::marks::{Mark, Marks};
use crate::app::App;
use crate::store::{Db, StoreError, epochs};
use crate::world::SharedWorld;

/// How often the heads are noted.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// How far beyond the mark numbers go on: more than a server can commit between two notes, whatever its speed.
pub const JUMP: u64 = 1_000_000;

/// Why the marks could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file cannot be read or written.
    #[error(
        "the marks in `{path}` cannot be used: {source}; bring the file back, or move it away and run \
         `server new-epoch` if the database was restored since it was written"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A programme whose database had gone back in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The programme.
    pub programme: Uuid,
    /// Up to this number nothing was lost.
    pub common_seq: u64,
    /// The number with which it goes on.
    pub resumed_seq: u64,
}

/// Begins a new history of every programme, for a restore that no mark shows. What is there now counts as common.
pub async fn begin_everywhere(db: &Db, world: &SharedWorld) -> Result<Vec<Restored>, StoreError> {
    let mut begun = Vec::new();
    for (programme, head) in epochs::heads(db).await? {
        let (common_seq, resumed_seq) = (head.seq, head.seq + JUMP);
        if let Some(head) = epochs::begin(db, programme, &[], common_seq, resumed_seq, world.new_id()).await? {
            begun.push(Restored { programme, common_seq, resumed_seq: head.seq });
        }
    }
    Ok(begun)
}

/// Keeps the marks of one database.
pub struct MarkKeeper {
    db: Db,
    world: SharedWorld,
    path: PathBuf,
    marks: Mutex<Marks>,
    restores: IntCounter,
}

impl MarkKeeper {
    /// Reads the marks.
    pub fn open(app: &App, path: &Path) -> Result<Self, RestoreError> {
        let marks = Marks::read(path).map_err(|source| RestoreError::File { path: path.to_owned(), source })?;
        let restores = IntCounter::new("database_restores_total", "Programmes whose database had gone back in time.")
            .expect("the name is valid");
        // A second keeper in one process counts for itself.
        let _ = app.metrics.registry().register(Box::new(restores.clone()));
        let (db, world) = (app.office.clone(), app.world.clone());
        Ok(Self { db, world, path: path.to_owned(), marks: Mutex::new(marks), restores })
    }

    /// Compares every programme with its mark, begins a new history where it has gone back, and notes the heads.
    pub async fn check(&self) -> Result<Vec<Restored>, RestoreError> {
        let mut marks = self.marks.lock().await;
        let mut restored = Vec::new();
        let mut is_news = false;
        for (programme, mut head) in epochs::heads(&self.db).await? {
            let mark = marks.programmes.entry(programme).or_default().clone();
            if mark.is_at(&head) {
                continue;
            }
            if let Some(found) = self.gone_back(programme, &mark).await? {
                let resumed_seq = found.resumed_seq.max(head.seq + JUMP);
                let (parents, epoch) = ([mark.epoch], self.world.new_id());
                let begun = epochs::begin(&self.db, programme, &parents, found.common_seq, resumed_seq, epoch).await?;
                let Some(begun) = begun else { continue };
                restored.push(self.report(found, begun.seq));
                let noted = marks.erased.get(&programme).map_or(&[][..], Vec::as_slice);
                erasures::repeat(&self.db, &*self.world, programme, noted).await?;
                head = epochs::head(&self.db, programme).await?.unwrap_or(begun);
            }
            is_news |= erasures::note(&self.db, programme, marks.erased.entry(programme).or_default()).await?;
            let mark = marks.programmes.entry(programme).or_default();
            is_news |= mark.note(&head, self.world.now());
        }
        if is_news {
            marks.write(&self.path).map_err(|source| RestoreError::File { path: self.path.clone(), source })?;
        }
        Ok(restored)
    }

    /// Returns where a programme has to go on, if its database has gone back in time.
    async fn gone_back(&self, programme: Uuid, mark: &Mark) -> Result<Option<Restored>, RestoreError> {
        let Some(newest) = mark.newest() else { return Ok(None) };
        if !epochs::known_points(&self.db, programme, &[newest.place()]).await?.is_empty() {
            return Ok(None);
        }
        let points: Vec<_> = mark.points.iter().map(marks::Point::place).collect();
        let common_seq = epochs::known_points(&self.db, programme, &points).await?.first().copied().unwrap_or(0);
        Ok(Some(Restored { programme, common_seq, resumed_seq: newest.seq + JUMP }))
    }

    fn report(&self, found: Restored, resumed_seq: u64) -> Restored {
        self.restores.inc();
        let Restored { programme, common_seq, .. } = found;
        tracing::error!(
            %programme, common_seq, resumed_seq,
            "the database is older than its mark: it was restored. A new history begins; devices bring back their work"
        );
        Restored { resumed_seq, ..found }
    }

    /// Notes the heads every few seconds, until the server stops. What fails is logged and tried again.
    pub async fn run(self: Arc<Self>, app: App) {
        loop {
            tokio::select! {
                () = app.stopping.cancelled() => break,
                () = tokio::time::sleep(NOTE_EVERY) => {}
            }
            match self.check().await {
                Ok(restored) => restored.iter().for_each(|found| app.feed.publish(found.programme, found.resumed_seq)),
                Err(error) => tracing::error!(%error, "the marks were not noted"),
            }
        }
        // The last commits of an orderly stop are in the mark, too.
        if let Err(error) = self.check().await {
            tracing::error!(%error, "the marks were not noted at the end");
        }
    }
}
