//! Erasures: of the office, and those that a restored server carries out again from the list beside its backups.

use server::domain::office;
use server::domain::viewer::Viewer;
use server::store::{SyncStore as _, WriteTx as _};
use server::world::World as _;
use sync_protocol::code::{ErasableKind, ErasureReason, Locale, Role};
use sync_protocol::entity::{Entity as _, EntityKind, Erasure};
use sync_protocol::id::UserId;
use uuid::Uuid;

use super::Backend;

impl Backend {
    /// Erases a record about a person. Returns whether it was done.
    pub fn erase(&mut self, programme: usize, by: Uuid, kind: EntityKind, subject: Uuid) -> Result<(), String> {
        let subject_kind = ErasableKind::of(kind).ok_or("a row about nobody")?;
        let now = server::world::World::now(self.world.as_ref());
        let (id, reason) = (Erasure::id_of(subject), ErasureReason::PersonsRequest);
        self.carry_out(
            programme,
            &Erasure { id, subject_kind, subject_id: subject, reason, erased_by: UserId(by), erased_at: now },
        )?;
        self.note_erasures(programme);
        Ok(())
    }

    /// Takes what was erased into the list, with what went with it.
    fn note_erasures(&mut self, programme: usize) {
        for (row, _) in self.rows(programme, EntityKind::Erasure) {
            let is_known = self.erased.iter().any(|(of, known)| (*of, known.id.0) == (programme, row.id));
            if let Some(erasure) = Erasure::from_row(&row).ok().filter(|_| !is_known) {
                self.erased.push((programme, erasure));
            }
        }
    }

    /// Erases again what a backup has brought back. Returns whether there was something.
    pub(super) fn erase_again(&mut self) -> bool {
        let before = self.mutations;
        for (programme, erasure) in self.erased.clone() {
            let known = self.rows(programme, EntityKind::Erasure);
            if !known.iter().any(|(row, _)| row.id == erasure.id.0) {
                self.carry_out(programme, &erasure).expect("what was erased once can be erased again");
            }
        }
        self.mutations > before
    }

    fn carry_out(&mut self, programme: usize, erasure: &Erasure) -> Result<(), String> {
        let (store, programme_id) = (self.server.store().beside(), self.programmes[programme]);
        let (role, locale, grants) = (Role::MonitoringOfficer, Locale::Ro, Vec::new());
        let viewer = Viewer { user_id: erasure.erased_by.0, programme_id, role, locale, grants };
        self.mutations += 1;
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, &self.mutations.to_be_bytes());
        let now = self.world.now();
        let work = async move {
            let mut tx = store.write_tx().await.map_err(|error| error.to_string())?;
            let seq = office::repeat_creation(&mut tx, &viewer, (id, now), erasure).await;
            seq.map_err(|error| error.to_string())
                .and_then(|seq| (seq > 0).then_some(()).ok_or("refused".to_owned()))?;
            tx.commit().await.map_err(|error| error.to_string())
        };
        futures::executor::block_on(work)
    }
}
