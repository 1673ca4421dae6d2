//! Opening a database file: key, settings, damage told apart from a wrong key.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use super::StoreOptions;
use crate::error::{Doing as _, Error, Result};
use crate::key::{Key, KeyPurpose};

/// The oldest SQLite without the fault that damages a file in WAL mode when a checkpoint meets a write.
const OLDEST_SQLITE: i32 = 3_051_003;
const KEY_CHECK_BYTES: usize = 16;

/// One of the two files.
pub(super) struct DbFile {
    purpose: KeyPurpose,
    name: &'static str,
    path: PathBuf,
    key: Key,
    vfs: Option<String>,
}

impl DbFile {
    pub(super) fn new(options: &StoreOptions, purpose: KeyPurpose) -> Result<Self> {
        let name = match purpose {
            KeyPurpose::Outbox => "outbox.db",
            KeyPurpose::Cache => "cache.db",
        };
        let (path, key) = (options.folder.join(name), options.keys.key(purpose)?);
        Ok(Self { purpose, name, path, key, vfs: options.vfs.clone() })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, or makes it. A wrong key is noticed before the file is touched.
    pub(super) fn open(&self) -> Result<Connection> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(Error::OldSqlite(rusqlite::version()));
        }
        self.check_key()?;
        // No symbolic links: two names for one file would defeat the file locks.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs.as_str()),
            None => Connection::open_with_flags(&self.path, flags),
        };
        let conn = conn.doing("open the file")?;
        self.unlock(&conn)?;
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).doing("read the file")?;
        Ok(conn)
    }

    #[cfg(feature = "cipher")]
    fn unlock(&self, conn: &Connection) -> Result<()> {
        use std::fmt::Write as _;
        let mut statement = zeroize::Zeroizing::new(String::with_capacity(96));
        statement.push_str("PRAGMA key = \"x'");
        for byte in self.key.iter() {
            // Writing into a string cannot fail.
            let _ = write!(statement, "{byte:02x}");
        }
        statement.push_str("'\"");
        conn.execute_batch(&statement).doing("unlock the file")
    }

    #[cfg(not(feature = "cipher"))]
    fn unlock(&self, _: &Connection) -> Result<()> {
        Ok(())
    }

    /// Compares the key with the value that was stored when the file was made. Without it, a wrong key would
    /// look like a damaged file, and a damaged cache is deleted.
    fn check_key(&self) -> Result<()> {
        let path = self.path.with_extension("keycheck");
        let expected = self.key_check();
        match fs::read(&path) {
            Ok(found) if found == expected => Ok(()),
            Ok(_) => Err(Error::WrongKey { file: self.name }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::write(&path, expected).map_err(|source| Error::File { doing: "write", path, source })
            }
            Err(source) => Err(Error::File { doing: "read", path, source }),
        }
    }

    /// Returns a fingerprint of the key, which gives nothing away about 256 random bits.
    fn key_check(&self) -> [u8; KEY_CHECK_BYTES] {
        let digest = Sha256::new().chain_update(b"teren key check").chain_update(&self.key[..]).finalize();
        let mut check = [0; KEY_CHECK_BYTES];
        check.copy_from_slice(&digest[..KEY_CHECK_BYTES]);
        check
    }

    /// Applies the settings. Separate from opening, so that a file of a newer version stays untouched.
    pub(super) fn configure(&self, conn: &Connection) -> Result<()> {
        conn.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA busy_timeout = 5000;
             PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA mmap_size = 0;
             PRAGMA fullfsync = ON;
             PRAGMA checkpoint_fullfsync = ON;",
        )
        .doing("set the file up")?;
        let own = match self.purpose {
            KeyPurpose::Outbox => "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -2048;",
            KeyPurpose::Cache => {
                "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -12288; PRAGMA wal_autocheckpoint = 4000;"
            }
        };
        conn.set_prepared_statement_cache_capacity(256);
        conn.execute_batch(own).doing("set the file up")
    }

    /// Closes a file that was only looked at, without moving anything into it.
    pub(super) fn leave_untouched(conn: Connection) {
        let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }

    /// Deletes the file and what SQLite keeps beside it.
    pub(super) fn delete(&self) -> Result<()> {
        for path in self.parts() {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::File { doing: "delete", path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Renames the file and what SQLite keeps beside it, and returns the file under its new name.
    pub(super) fn quarantine(&self, at_ms: i64) -> Result<DbFile> {
        let moved = self.path.with_extension(format!("{at_ms}.quarantine"));
        for (from, to) in self.parts().into_iter().zip(parts(&moved)) {
            match fs::rename(&from, to) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::File { doing: "rename", path: from, source });
                }
                _ => {}
            }
        }
        fs::copy(self.path.with_extension("keycheck"), moved.with_extension("keycheck"))
            .map_err(|source| Error::File { doing: "copy", path: self.path.with_extension("keycheck"), source })?;
        Ok(DbFile { purpose: self.purpose, name: self.name, path: moved, key: self.key.clone(), vfs: self.vfs.clone() })
    }

    fn parts(&self) -> [PathBuf; 3] {
        parts(&self.path)
    }
}

fn parts(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
