//! The phone of the histories: the real store, encrypted, on a disk that fails.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use client_sdk::error::Error;
use client_sdk::key::FixedKeyProvider;
use client_sdk::store::{AcceptAll, Account, Store, StoreOptions, Tokens};
use client_sdk::world::FixedWorld;
use rusqlite::{Connection, OpenFlags};
use sync_protocol::id::UserId;
use sync_protocol::time::Timestamp;
use uuid::Uuid;

use crate::FaultDisk;
use crate::folder::{copied, memory_folder};

const KEY: [u8; 32] = [7; 32];

/// A folder, a disk and a clock that outlive the store.
pub(super) struct Phone {
    pub(super) folder: tempfile::TempDir,
    pub(super) disk: FaultDisk,
    pub(super) world: Arc<FixedWorld>,
    pub(super) ballast_bytes: u64,
}

impl Phone {
    pub(super) fn new() -> Self {
        Self {
            folder: memory_folder(),
            disk: FaultDisk::new(),
            world: Arc::new(FixedWorld::at(Timestamp(1_711_966_205_120))),
            ballast_bytes: 0,
        }
    }

    /// Returns a phone on which the store was opened once, so that a history need not begin with making tables.
    pub(super) fn enrolled() -> Self {
        static FILES: OnceLock<tempfile::TempDir> = OnceLock::new();
        Self { folder: copied(FILES.get_or_init(enrolled_files).path()), ..Self::new() }
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Opens the store, and enrols the device when it is new.
    pub(super) fn open(&self) -> Result<Store, Error> {
        let store = Store::open(StoreOptions {
            folder: self.folder.path().to_owned(),
            keys: Arc::new(FixedKeyProvider(KEY)),
            world: self.world.clone(),
            validator: Arc::new(AcceptAll),
            vfs: Some(self.disk.name().to_owned()),
            ballast_bytes: self.ballast_bytes,
        })?;
        if store.account()?.is_none() {
            let account = Account { user: UserId(Uuid::from_u128(1)), programme: Uuid::from_u128(2) };
            let token = || "token".to_owned().into();
            store.set_account(account, &Tokens { access: token(), refresh: token() })?;
        }
        Ok(store)
    }

    /// Asks SQLite and the cipher whether both files are sound. The store is closed.
    pub(super) fn check_files(&self) -> Result<(), String> {
        ["outbox.db", "cache.db"].into_iter().try_for_each(|name| self.check_file(&self.path(name)))
    }

    fn check_file(&self, path: &Path) -> Result<(), String> {
        let describe = |error: rusqlite::Error| format!("{}: {error}", path.display());
        let conn = self.connect(path).map_err(describe)?;
        for check in ["PRAGMA integrity_check", "PRAGMA cipher_integrity_check"] {
            let mut statement = conn.prepare(check).map_err(describe)?;
            let lines = statement.query_map([], |row| row.get::<_, String>(0)).map_err(describe)?;
            let problems: Vec<String> = lines.flatten().filter(|line| line != "ok").collect();
            if !problems.is_empty() {
                return Err(format!("{}: {}", path.display(), problems.join("; ")));
            }
        }
        Ok(())
    }

    /// Opens a file beneath the store.
    pub(super) fn connect(&self, path: &Path) -> rusqlite::Result<Connection> {
        let conn = Connection::open_with_flags_and_vfs(path, OpenFlags::SQLITE_OPEN_READ_WRITE, self.disk.name())?;
        conn.execute_batch(&format!("PRAGMA key = \"x'{}'\"", Self::key_in_hex()))?;
        Ok(conn)
    }

    pub(super) fn key_in_hex() -> String {
        KEY.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn enrolled_files() -> tempfile::TempDir {
    let phone = Phone::new();
    phone.open().and_then(Store::close).expect("a sound disk takes the files");
    phone.folder
}
