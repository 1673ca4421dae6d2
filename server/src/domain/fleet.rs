//! The fleet: what devices say of themselves, held in memory and written together.
//!
//! A sync without news writes nothing, and thousands of them a minute still tell the office that their devices are
//! in touch: their contacts are one statement, every few seconds and before the office looks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_protocol::time::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ops::metrics::SyncSignals;
use crate::store::fleet::{self, Contact, Noted};
use crate::store::{Conn, Db, StoreError};

/// How often contacts are written. A server that dies loses what devices said of themselves since then, and hears
/// it again at their next contact.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// The contacts that are not yet written.
#[derive(Debug, Default)]
pub struct Fleet {
    unwritten: Mutex<HashMap<Uuid, Contact>>,
}

impl Fleet {
    /// Notes what is known of a device now.
    pub fn note(&self, contact: Contact) {
        let mut unwritten = self.lock();
        let merged = match unwritten.remove(&contact.device) {
            Some(before) => followed(&before, contact),
            None => contact,
        };
        unwritten.insert(merged.device, merged);
    }

    /// Writes what was noted since the last time. What could not be written is kept.
    pub async fn write(&self, conn: &mut Conn, signals: &SyncSignals) -> Result<(), StoreError> {
        let contacts: Vec<Contact> = self.lock().drain().map(|(_, contact)| contact).collect();
        if contacts.is_empty() {
            return Ok(());
        }
        match fleet::note(conn, &contacts).await {
            Ok(noted) => {
                noted.iter().for_each(|noted| tell(noted, signals));
                Ok(())
            }
            Err(error) => {
                self.put_back(contacts);
                Err(error)
            }
        }
    }

    /// Writes them to a database. A failure is logged, and what was noted is kept.
    pub async fn write_to(&self, db: &Db, signals: &SyncSignals) {
        let written = async { self.write(&mut db.conn().await?, signals).await };
        if let Err(error) = written.await {
            tracing::warn!(%error, "the contacts of devices could not be written; they are kept and tried again");
        }
    }

    fn put_back(&self, contacts: Vec<Contact>) {
        let mut unwritten = self.lock();
        for contact in contacts {
            let merged = match unwritten.remove(&contact.device) {
                Some(later) => followed(&contact, later),
                None => contact,
            };
            unwritten.insert(merged.device, merged);
        }
    }

    /// Nothing panics while the lock is held; if it did, the map would still be whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Contact>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contact {
    /// Changes were taken from the device.
    pub fn took(&mut self, at: Timestamp, changes: u64) {
        self.at = at;
        self.pending = self.pending.saturating_sub(u32::try_from(changes).unwrap_or(u32::MAX));
        if self.pending == 0 {
            self.oldest_ms = 0;
        }
        if changes > 0 || self.pending == 0 {
            (self.progress_at, self.times) = (Some(at), 0);
        }
    }

    /// Everything is on both sides.
    pub fn completed(&mut self, at: Timestamp) {
        (self.at, self.complete_at) = (at, Some(at));
    }

    /// The device got the digests of what it should hold, if an instant is given, or said where it differs.
    pub fn compared(&mut self, at: Option<Timestamp>, mismatches: u32) {
        self.mismatches += mismatches;
        self.verified_at = at.or(self.verified_at);
    }

    /// Returns what is to be noted now. What is counted is counted once, however often the rest is noted.
    pub fn told(&mut self) -> Self {
        let told = self.clone();
        (self.times, self.mismatches) = (0, 0);
        told
    }
}

/// Returns what two contacts come to, of which only the later one knows how things are.
fn followed(before: &Contact, later: Contact) -> Contact {
    Contact {
        complete_at: later.complete_at.or(before.complete_at),
        progress_at: later.progress_at.or(before.progress_at),
        times: later.times + if later.progress_at.is_some() { 0 } else { before.times },
        verified_at: later.verified_at.or(before.verified_at),
        mismatches: before.mismatches + later.mismatches,
        ..later
    }
}

fn tell(noted: &Noted, signals: &SyncSignals) {
    let device = noted.device;
    if noted.is_newly_stalled {
        signals.stalls.inc();
        tracing::warn!(%device, "a device is in touch, has work waiting, and does not get on");
    }
    if noted.salvaged + noted.lost > 0 {
        signals.salvaged_rows.with_label_values(&["saved"]).inc_by(noted.salvaged);
        signals.salvaged_rows.with_label_values(&["lost"]).inc_by(noted.lost);
        tracing::error!(%device, saved = noted.salvaged, lost = noted.lost, "the outbox of a device was damaged");
    }
}

/// Writes contacts every few seconds until the server stops.
pub async fn keep_written(fleet: &Fleet, db: &Db, signals: &SyncSignals, stopping: &CancellationToken) {
    while !stopping.is_cancelled() {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(WRITE_EVERY) => fleet.write_to(db, signals).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(pending: u32) -> Contact {
        Contact {
            programme: Uuid::nil(),
            device: Uuid::from_u128(1),
            user: Uuid::nil(),
            app: "field/1".to_owned(),
            protocol: 1,
            at: Timestamp(1_000),
            complete_at: None,
            pending,
            rejected: 0,
            oldest_ms: 500,
            clock_offset_ms: 0,
            salvaged: (0, 0),
            progress_at: (pending == 0).then_some(Timestamp(1_000)),
            times: u32::from(pending > 0),
            verified_at: None,
            mismatches: 0,
            heard_seq: None,
        }
    }

    fn noted(fleet: &Fleet) -> Contact {
        fleet.lock().values().next().cloned().unwrap()
    }

    #[test]
    fn what_was_taken_no_longer_waits() {
        let mut some_left = contact(14);
        some_left.took(Timestamp(2_000), 10);
        assert_eq!((some_left.pending, some_left.oldest_ms, some_left.complete_at), (4, 500, None));
        assert_eq!((some_left.progress_at, some_left.times), (Some(Timestamp(2_000)), 0));
        some_left.took(Timestamp(3_000), 4);
        some_left.completed(Timestamp(3_500));
        assert_eq!((some_left.pending, some_left.oldest_ms, some_left.complete_at), (0, 0, Some(Timestamp(3_500))));
    }

    #[test]
    fn contacts_without_progress_add_up_and_what_was_complete_stays_so() {
        let fleet = Fleet::default();
        let mut first = contact(0);
        first.completed(Timestamp(2_000));
        fleet.note(first);
        for _ in 0..3 {
            let mut stuck = Contact { at: Timestamp(9_000), ..contact(7) };
            fleet.note(stuck.told());
            fleet.note(stuck.told());
        }
        let noted = noted(&fleet);
        assert_eq!((noted.times, noted.progress_at), (3, Some(Timestamp(1_000))));
        assert_eq!((noted.pending, noted.complete_at), (7, Some(Timestamp(2_000))));
    }

    #[test]
    fn contacts_that_could_not_be_written_come_before_those_that_followed() {
        let fleet = Fleet::default();
        fleet.note(Contact { at: Timestamp(5_000), ..contact(3) });
        fleet.put_back(vec![Contact { complete_at: Some(Timestamp(1_000)), ..contact(9) }]);
        let noted = noted(&fleet);
        assert_eq!((noted.at, noted.pending, noted.complete_at), (Timestamp(5_000), 3, Some(Timestamp(1_000))));
    }
}
