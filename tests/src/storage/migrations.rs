//! Files of earlier versions are brought to this one while the disk fails or the power goes at any call.

use std::fs;
use std::path::{Path, PathBuf};

use client_sdk::store::{ChangeState, RowState, Salvaged, Store};
use rusqlite::Connection;
use sync_protocol::mutation::Op;
use uuid::Uuid;

use super::phone::Phone;
use super::rows::{Edit, KIND, text_of};
use crate::folder::copied;
use crate::vfs::Fault;

/// The versions of the files that were released.
pub const RELEASED: [u32; 2] = [1, 2];

/// The files of a version.
pub struct Released {
    folder: tempfile::TempDir,
    /// What of the scope is asked for again after an undisturbed migration.
    behind: usize,
}

impl Released {
    /// Lays the files of a version out.
    pub fn of(version: u32) -> Self {
        let phone = Phone::new();
        fs::copy(fixture(&format!("outbox-v{version}.db")), phone.path("outbox.db")).expect("the fixture is there");
        make_cache(&phone, version);
        let mut released = Self { folder: phone.folder, behind: 0 };
        let migrated = released.phone();
        let store = migrated.open().expect("a file of an earlier version opens");
        released.behind = behind(&store);
        released
    }

    /// Returns a phone with a copy of the files.
    pub(super) fn phone(&self) -> Phone {
        Phone { folder: copied(self.folder.path()), ..Phone::new() }
    }

    /// Opens a copy of the files while the `k`-th call fails, and again afterwards. Returns whether the call came.
    pub fn migrate(&self, k: u64, fault: Fault) -> Result<bool, String> {
        let phone = self.phone();
        match fault {
            Fault::PowerCut(_) => phone.disk.fail_once_at(k, fault),
            Fault::Io | Fault::Full => phone.disk.fail_any_once_at(k, fault),
        }
        let disturbed = phone.open();
        let has_failed = phone.disk.has_failed();
        let outcome = disturbed.map(drop);
        phone.disk.heal();
        if let (false, Err(error)) = (has_failed, outcome) {
            return Err(format!("the files do not open on a sound disk: {error}"));
        }
        let store = phone.open().map_err(|error| format!("the files do not open after call {k}: {error}"))?;
        self.check(&store).map_err(|error| format!("after call {k}: {error}"))?;
        store.close().map_err(|error| error.to_string())?;
        phone.check_files()?;
        Ok(has_failed)
    }

    /// Compares a store with what the files held.
    fn check(&self, store: &Store) -> Result<(), String> {
        check_changes(store)?;
        check_shown(store)?;
        match (store.report().new_cache, behind(store)) {
            (true, _) => Err("the cache was made anew".to_owned()),
            (false, behind) if behind < self.behind => Err("rows are not asked for again".to_owned()),
            _ => Ok(()),
        }
    }
}

fn behind(store: &Store) -> usize {
    store.hello("test", 0).expect("a sound store can be read").behind.len()
}

fn check_changes(store: &Store) -> Result<(), String> {
    let status = store.status().map_err(|error| error.to_string())?;
    let counts = (status.pending, status.held, status.rejected, status.salvaged);
    if counts != (7, 1, 1, Salvaged::default()) || store.report().salvaged.is_some() {
        return Err(format!("the changes are {status:?}"));
    }
    let pending = store.pending(100).map_err(|error| error.to_string())?;
    let kinds: Vec<(u128, Op)> = pending.iter().map(|c| (c.mutation.row_id.as_u128(), c.mutation.op)).collect();
    let mut expected: Vec<(u128, Op)> = (11..=15).map(|id| (id, Op::Put)).collect();
    expected.extend([(101, Op::Patch), (102, Op::Delete)]);
    let long = Edit::of(&pending[2].mutation).text.map_or(0, |text| text.len());
    let is_right = kinds == expected && long > 6_000 && pending.iter().all(|c| c.state == ChangeState::Pending);
    if is_right { Ok(()) } else { Err(format!("waiting are {kinds:?}")) }
}

fn check_shown(store: &Store) -> Result<(), String> {
    let rows = (1..=10).map(|id| (id, format!("sent {id}"))).chain([(101, "changed".to_owned())]);
    let rows = rows.chain((103..=112).map(|id| (id, format!("server {id}"))));
    for (id, text) in rows {
        let shown = store.get(KIND, Uuid::from_u128(id)).map_err(|error| error.to_string())?;
        let state = shown.as_ref().map(|shown| shown.state);
        let expected = match id {
            3 => RowState::Rejected,
            4 => RowState::Held,
            101 => RowState::Pending,
            _ => RowState::Synced,
        };
        if state != Some(expected) || shown.map(|shown| text_of(&shown.row)) != Some(text) {
            return Err(format!("row {id} is shown wrongly, as {state:?}"));
        }
    }
    let deleted = store.get(KIND, Uuid::from_u128(102)).map_err(|error| error.to_string())?;
    if deleted.is_some() { Err("a deleted row is shown".to_owned()) } else { Ok(()) }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phone").join(name)
}

/// Encrypts a cache of a version.
fn make_cache(phone: &Phone, version: u32) {
    let packed = fs::read(fixture(&format!("cache-v{version}.sqlite.zst"))).expect("the fixture is there");
    let plain = phone.path("plain");
    fs::write(&plain, zstd::decode_all(&packed[..]).expect("the fixture is whole")).expect("a file can be written");
    let conn = Connection::open(&plain).expect("the fixture is a database");
    let attach = format!("ATTACH '{}' AS cache KEY \"x'{}'\"", phone.path("cache.db").display(), Phone::key_in_hex());
    let export = "SELECT sqlcipher_export('cache')";
    let fill = format!("{attach}; {export}; PRAGMA cache.user_version = {version}; DETACH cache");
    conn.execute_batch(&fill).expect("the cache can be encrypted");
    drop(conn);
    fs::remove_file(plain).expect("a file can be deleted");
}
