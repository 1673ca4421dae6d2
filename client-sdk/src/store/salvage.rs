//! Saving what can be read from a damaged outbox.

use rusqlite::Connection;
use sync_protocol::mutation::{ChainHash, Mutation};

use super::answers;
use super::change::ChangeState;
use super::file::DbFile;
use super::outbox::{Outbox, hash_of};
use super::{meta, migrate, outbox};
use crate::error::{Doing as _, Result};
use crate::world::World;

/// After so many positions in a row that cannot be read, the end is taken to be reached.
const MISSES: u64 = 2_000;

/// What was saved from a damaged outbox. The damaged file is kept, still encrypted, under another name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Unconfirmed changes that were saved.
    pub saved: u64,
    /// Changes that could not be read or proved. At least: how many were on a damaged last page is not known.
    pub lost: u64,
}

/// Makes a new outbox out of what can be read from the damaged one, and proved by its hash, and puts it in its place.
/// Until it is whole, the damaged one stays where it is: an interruption starts anew.
pub(super) fn salvage(file: &DbFile, world: &dyn World) -> Result<Salvaged> {
    let successor = file.successor();
    successor.delete()?;
    let report = fill(file, &successor, world)?;
    file.replace(&successor, world.now().0)?;
    Ok(report)
}

fn fill(damaged: &DbFile, successor: &DbFile, world: &dyn World) -> Result<Salvaged> {
    let mut conn = successor.open()?;
    successor.configure(&conn)?;
    migrate::migrate(&mut conn, outbox::STEPS)?;
    let mut report = Salvaged::default();
    let mut pending = Vec::new();
    if let Ok(old) = damaged.open() {
        copy_meta(&old, &conn)?;
        pending = read_pending(damaged, old, &mut report)?;
    }
    let incarnation = world.new_id();
    meta::set(&conn, "incarnation", incarnation.as_bytes())?;
    meta::remove(&conn, "offset")?;
    let mut outbox = Outbox::load(conn, world)?;
    report.saved = pending.len() as u64;
    outbox.durably(|outbox| {
        pending.into_iter().try_for_each(|mutation| {
            let no = outbox.number(outbox.last + 1);
            outbox.append(&Mutation { no, ..mutation }).map(|_| ())
        })
    })?;
    // One file, which one rename puts in place.
    outbox.conn.pragma_update(None, "journal_mode", "DELETE").doing("close the new outbox")?;
    outbox.conn.close().map_err(|(_, error)| error).doing("close the new outbox")?;
    Ok(report)
}

fn copy_meta(old: &Connection, new: &Connection) -> Result<()> {
    for name in ["device", "user", "programme", "access_token", "refresh_token"] {
        if let Ok(Some(value)) = meta::get::<rusqlite::types::Value>(old, name) {
            meta::set(new, name, value)?;
        }
    }
    Ok(())
}

/// Looks each position up by itself, so that one damaged page costs only its own changes.
fn read_pending(damaged: &DbFile, mut old: Connection, report: &mut Salvaged) -> Result<Vec<Mutation>> {
    let mut pending = Vec::new();
    let (mut position, mut misses) = (first_position(&old), 0);
    // Where the mark cannot be read, a change may be sent twice; the server then finds the row as it is.
    let acked = answers::noted_acked(&old).ok().flatten().unwrap_or(0);
    while misses < MISSES {
        match read_one(&old, position) {
            Ok(Some((state, mutation))) => {
                report.lost += misses;
                misses = 0;
                if state == ChangeState::Pending && position > acked {
                    pending.push(mutation);
                }
            }
            Ok(None) if ends_at(&old, position) => break,
            Ok(None) => misses += 1,
            Err(_) => {
                misses += 1;
                // SQLCipher refuses everything on a connection that has met a damaged page.
                old = damaged.open()?;
            }
        }
        position += 1;
    }
    report.lost += if misses < MISSES { misses } else { 1 };
    Ok(pending)
}

fn first_position(old: &Connection) -> u64 {
    let first = old.query_row("SELECT min(position) FROM change", [], |row| row.get::<_, Option<i64>>(0));
    first.ok().flatten().map_or(1, |position| position.max(1) as u64)
}

/// Returns whether no change has this position or a later one, as far as can be read.
fn ends_at(old: &Connection, position: u64) -> bool {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM change WHERE position >= ?1 LIMIT 1)";
    matches!(old.query_row(sql, [position as i64], |row| row.get::<_, i64>(0)), Ok(0))
}

/// Returns a change that its hash proves, `None` when the position is empty.
fn read_one(old: &Connection, position: u64) -> Result<Option<(ChangeState, Mutation)>> {
    use rusqlite::OptionalExtension as _;
    const SQL: &str = "SELECT state, prev_hash, hash, payload FROM change WHERE position = ?1";
    let mut statement = old.prepare_cached(SQL).doing("save changes")?;
    let found = statement.query_row([position as i64], |row| {
        let (prev, hash): (ChainHash, ChainHash) = (hash_of(row.get_ref(1)?)?, hash_of(row.get_ref(2)?)?);
        Ok((ChangeState::from_number(row.get(0)?), prev, hash, row.get::<_, Vec<u8>>(3)?))
    });
    let Some((state, prev, hash, payload)) = found.optional().doing("save changes")? else { return Ok(None) };
    if prev.then(&payload) != hash {
        return Err(sync_protocol::cbor::Malformed("a change is not what its hash says".to_owned()).into());
    }
    Ok(Some((state, Mutation::decode(&payload)?)))
}
