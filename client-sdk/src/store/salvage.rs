//! Saving what can be read from a damaged outbox.
//!
//! The damaged file is read page by page, whatever its trees look like, with its journal. A change counts when its
//! hash proves it. What waits is numbered anew, under a new incarnation; what the server holds or refused keeps its
//! place. The damaged file is put aside.

mod cells;
mod cipher;
mod found;
mod pages;

use std::path::Path;

use rusqlite::Connection;
use sync_protocol::mutation::Mutation;
use uuid::Uuid;

use self::found::{Found, FoundChange, StillWork};
use self::pages::Pages;
use super::answers;
use super::change::ChangeState;
use super::file::DbFile;
use super::mark::{Mark, Reached};
use super::outbox::{self, Outbox};
use super::{meta, migrate};
use crate::error::{Doing as _, Result};
use crate::key::Key;
use crate::world::World;

/// What was saved from a damaged outbox. The damaged file is kept for some weeks, still encrypted, under another
/// name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Changes that were saved: not sent yet, kept by the server, or refused by it.
    pub saved: u64,
    /// Changes that could not be saved, and that nobody else has: not sent yet, or refused by the server.
    pub lost: u64,
}

/// Returns whether a page of the file proves that the key is its own.
pub(super) fn is_key_proven(path: &Path, wal: &Path, key: &Key) -> bool {
    cfg!(feature = "cipher") && Pages::read(path, wal, key).versions.iter().any(|page| page.is_proven)
}

/// Makes a new outbox out of what can be read from the damaged one, and proved by its hash, and puts it in its place.
/// Until it is whole, the damaged one stays where it is: an interruption starts anew.
pub(super) fn salvage(file: &DbFile, mark: &Mark, world: &dyn World) -> Result<Salvaged> {
    let successor = file.successor();
    successor.delete()?;
    let mut found = Found::in_pages(&Pages::read(file.path(), &file.wal_path(), file.key()));
    if let Ok(open) = open_by_index(file) {
        found.open.extend(open);
        found.is_open_whole = true;
    }
    let report = fill(found, mark.read(), &successor, world)?;
    file.replace(&successor, world.now().0)?;
    Ok(report)
}

/// Reads the index over held, rejected and accepted changes, all of it or nothing.
fn open_by_index(damaged: &DbFile) -> Result<Vec<(u64, ChangeState)>> {
    const SQL: &str = "SELECT position, state FROM change INDEXED BY change_open WHERE state BETWEEN 2 AND 4";
    let conn = damaged.open()?;
    let entries = || {
        let mut statement = conn.prepare(SQL)?;
        let entry = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, ChangeState::from_number(row.get(1)?)));
        statement.query_map([], entry)?.collect::<rusqlite::Result<_>>()
    };
    entries().doing("read the outbox")
}

fn fill(found: Found, reached: Reached, successor: &DbFile, world: &dyn World) -> Result<Salvaged> {
    let mut conn = successor.open()?;
    successor.configure(&conn)?;
    migrate::migrate(&mut conn, outbox::STEPS)?;
    let before = totals(&found);
    copy_settings(&found, &conn)?;
    let incarnation = world.new_id();
    meta::set(&conn, "incarnation", incarnation.as_bytes())?;
    let work = found.still_work(reached);
    let salvaged = Salvaged { saved: (work.pending.len() + work.kept.len()) as u64, lost: work.lost };
    meta::set(&conn, "offset", work.highest as i64)?;
    answers::set_acked(&conn, work.highest)?;
    let mut outbox = Outbox::load(conn, world)?;
    outbox.durably(|outbox| {
        outbox.take_over(work)?;
        outbox.count_salvaged(Salvaged { saved: before.saved + salvaged.saved, lost: before.lost + salvaged.lost })
    })?;
    // One file, which one rename puts in place.
    outbox.conn.pragma_update(None, "journal_mode", "DELETE").doing("close the new outbox")?;
    outbox.conn.close().map_err(|(_, error)| error).doing("close the new outbox")?;
    Ok(salvaged)
}

fn totals(found: &Found) -> Salvaged {
    let number = |setting| found.number(setting).unwrap_or(0);
    Salvaged { saved: number("salvaged"), lost: number("lost") }
}

/// Takes over who the device is and belongs to, and under which names the server knows what it holds.
fn copy_settings(found: &Found, new: &Connection) -> Result<()> {
    for name in ["device", "user", "programme", "access_token", "refresh_token"] {
        if let Some(value) = found.settings.get(name) {
            meta::set(new, name, value)?;
        }
    }
    let last = found.id("incarnation").map(|id| (id, found.number("offset").unwrap_or(0)));
    let mut known: Vec<(Uuid, u64)> = found.earlier.iter().map(|(id, offset)| (*id, *offset)).collect();
    known.extend(last);
    known.into_iter().try_for_each(|(id, offset)| outbox::keep_incarnation(new, id, offset))
}

impl Outbox {
    fn take_over(&mut self, work: StillWork) -> Result<()> {
        work.kept.iter().try_for_each(|(position, change)| self.keep_answered(*position, change))?;
        work.pending.into_iter().try_for_each(|mutation| {
            let no = self.number(self.last + 1);
            self.append(&Mutation { no, ..mutation }).map(|_| ())
        })
    }

    fn keep_answered(&self, position: u64, change: &FoundChange) -> Result<()> {
        const SQL: &str = "INSERT INTO change (position, kind, row_id, state, seq, group_no, captured_ms, answer, \
                           prev_hash, hash, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let mutation = &change.mutation;
        let values = (
            position as i64,
            mutation.kind.number(),
            mutation.row_id.as_bytes(),
            change.state.number(),
            change.seq,
            mutation.group.map(|group| group as i64),
            mutation.captured_at.0,
            &change.answer,
            change.prev_hash.0,
            change.hash.0,
            &change.payload,
        );
        self.conn.execute(SQL, values).doing("save changes")?;
        Ok(())
    }

    /// Returns what was ever saved from damage on this device.
    pub(super) fn salvaged(&self) -> Result<Salvaged> {
        let number = |name| -> Result<u64> { Ok(meta::get::<i64>(&self.conn, name)?.unwrap_or(0) as u64) };
        Ok(Salvaged { saved: number("salvaged")?, lost: number("lost")? })
    }

    fn count_salvaged(&self, total: Salvaged) -> Result<()> {
        meta::set(&self.conn, "salvaged", total.saved as i64)?;
        meta::set(&self.conn, "lost", total.lost as i64)
    }
}
