//! The list of erased records, kept beside the marks: a database that is restored from before an erasure would bring
//! the person back, and phones that return what it lost would, too.

use serde::{Deserialize, Serialize};
use sync_protocol::code::{ErasableKind, ErasureReason, Locale, Role};
use sync_protocol::entity::Erasure;
use sync_protocol::id::UserId;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use crate::domain::office;
use crate::domain::viewer::Viewer;
use crate::store::{Db, StoreError, epochs};
use crate::world::World;

/// An erasure, as it is noted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Erased {
    kind: String,
    subject_id: Uuid,
    reason: String,
    erased_by: Uuid,
    erased_at_ms: i64,
}

impl Erased {
    fn of(erasure: &Erasure) -> Self {
        Self {
            kind: erasure.subject_kind.code().to_owned(),
            subject_id: erasure.subject_id,
            reason: erasure.reason.code().to_owned(),
            erased_by: erasure.erased_by.0,
            erased_at_ms: erasure.erased_at.0,
        }
    }

    fn erasure(&self) -> Erasure {
        Erasure {
            id: Erasure::id_of(self.subject_id),
            subject_kind: ErasableKind::parse(&self.kind),
            subject_id: self.subject_id,
            reason: ErasureReason::parse(&self.reason),
            erased_by: UserId(self.erased_by),
            erased_at: Timestamp(self.erased_at_ms),
        }
    }
}

/// Takes erasures of a programme into the list that are not in it. Returns whether there were any.
pub(super) async fn note(db: &Db, programme: Uuid, noted: &mut Vec<Erased>) -> Result<bool, StoreError> {
    let known = noted.len();
    let erased = epochs::erasures(db, programme).await?;
    let is_new = |erasure: &&Erasure| !noted.iter().any(|noted| noted.subject_id == erasure.subject_id);
    let new: Vec<Erased> = erased.iter().filter(is_new).map(Erased::of).collect();
    noted.extend(new);
    Ok(noted.len() > known)
}

/// Erases again what a restored database brought back. Returns the number of the last commit, 0 when there was none.
pub(super) async fn repeat(db: &Db, world: &dyn World, programme: Uuid, noted: &[Erased]) -> Result<u64, StoreError> {
    let known = epochs::erasures(db, programme).await?;
    let is_missing = |noted: &&Erased| !known.iter().any(|erasure| erasure.subject_id == noted.subject_id);
    let mut last = 0;
    for erased in noted.iter().filter(is_missing) {
        last = last.max(erase(db, world, programme, &erased.erasure()).await?);
    }
    Ok(last)
}

async fn erase(db: &Db, world: &dyn World, programme: Uuid, erasure: &Erasure) -> Result<u64, StoreError> {
    // Whoever erased it was allowed to; what became of that person's account since does not bring the other one back.
    let (role, locale, grants) = (Role::MonitoringOfficer, Locale::Ro, Vec::new());
    let viewer = Viewer { user_id: erasure.erased_by.0, programme_id: programme, role, locale, grants };
    let mut tx = db.conn().await?.write_tx().await?;
    let seq = office::repeat_creation(&mut tx, &viewer, (world.new_id(), world.now()), erasure).await?;
    tx.commit().await?;
    Ok(seq)
}
