//! Opening a database file: key, settings, damage told apart from a wrong key.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use super::{StoreOptions, journal, migrate, salvage};
use crate::error::{Doing as _, Error, Result};
use crate::key::{Key, KeyPurpose};

/// The oldest SQLite without the fault that damages a file in WAL mode when a checkpoint meets a write.
const OLDEST_SQLITE: i32 = 3_051_003;
/// The cipher starts within milliseconds. After all attempts, opening a file tells what is the matter.
const START_ATTEMPTS: u32 = 1_000;
const START_PAUSE: Duration = Duration::from_millis(1);
const KEY_CHECK_BYTES: usize = 16;
/// The ending of a successor that is whole.
const WHOLE: &str = "whole";
/// The ending of a damaged file that was put aside.
const QUARANTINE: &str = "quarantine";

/// Starts SQLite once, before any of our files is opened, and waits for the cipher: SQLite takes itself for started
/// before the cipher is, also where another part of the application is starting it at this moment.
fn start_sqlite() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let is_ready = (0..START_ATTEMPTS).any(|_| {
            takes_a_key() || {
                thread::sleep(START_PAUSE);
                false
            }
        });
        if !is_ready {
            tracing::warn!("the cipher of SQLite does not start");
        }
    });
}

fn takes_a_key() -> bool {
    let key = "PRAGMA cipher_log_level = NONE; PRAGMA key = 'of a file that nobody writes'";
    Connection::open_in_memory().and_then(|conn| conn.execute_batch(key)).is_ok()
}

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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn wal_path(&self) -> PathBuf {
        let [_, wal, _] = self.parts();
        wal
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Opens the file, or makes it. A wrong key is noticed before the file is touched, and nothing of what is there is
    /// moved before [`DbFile::configure`].
    pub(super) fn open(&self) -> Result<Connection> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(Error::OldSqlite(rusqlite::version()));
        }
        start_sqlite();
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
        Self::move_journal_on_close(&conn, false);
        self.unlock(&conn)?;
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).doing("read the file")?;
        Ok(conn)
    }

    /// Opens the file and brings it to the newest version. What `check` refuses is left as it is, with its journal.
    pub(super) fn open_current(&self, steps: &[&str], check: impl Fn(&Connection) -> Result<()>) -> Result<Connection> {
        let mut conn = self.open()?;
        migrate::refuse_newer(&conn, self.name, steps)?;
        check(&conn)?;
        self.configure(&conn)?;
        migrate::migrate(&mut conn, steps)?;
        Ok(conn)
    }

    /// Copies an outbox of an older version aside before it is migrated. Each step is one transaction, so that the copy
    /// is only for a step that turns out to be wrong: without room for it, the migration goes on.
    pub(super) fn keep_before_migration(&self, conn: &Connection, steps: &[&str], at_ms: i64) -> Result<()> {
        let version = migrate::version(conn)?;
        if version == 0 || version as usize == steps.len() {
            return Ok(());
        }
        let copy = self.path.with_extension(format!("{at_ms}.{QUARANTINE}-v{version}"));
        if let Err(error) = conn.execute("VACUUM INTO ?1", [copy.to_string_lossy()]) {
            tracing::warn!(%error, "the outbox is migrated without a copy of what it was");
            let _ = fs::remove_file(copy);
        }
        Ok(())
    }

    /// Opens what looks damaged a second time: a disk that fails for a moment looks the same, and so does a file that the
    /// system keeps locked, of which reading it tells.
    pub(super) fn believe_damage_twice<T>(&self, open: impl Fn() -> Result<T>) -> Result<T> {
        match open() {
            Err(error) if error.is_damage() => {
                self.must_be_readable()?;
                open()
            }
            outcome => outcome,
        }
    }

    /// Fails when the system does not let the file be read.
    pub(super) fn must_be_readable(&self) -> Result<()> {
        match fs::read(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(self.failed("read", &self.path, source))
            }
            _ => Ok(()),
        }
    }

    /// Fails when the journal is damaged so that SQLite would mix older pages with newer ones.
    pub(super) fn refuse_torn_apart(&self) -> Result<()> {
        let what = || "its journal ends before what was moved out of it".to_owned();
        match journal::is_torn_apart(&self.path, &self.wal_path()) {
            true => Err(Error::Damaged { file: self.name, what: what() }),
            false => Ok(()),
        }
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
        // What the cipher would write to the standard error output comes back as an error anyway.
        statement.push_str("'\"; PRAGMA cipher_log_level = NONE");
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
        let write = || write_whole(&path, &expected).map_err(|source| self.failed("write", &path, source));
        match fs::read(&path) {
            Ok(found) if found == expected => Ok(()),
            // A loss of power can leave a file without what was written to it.
            Ok(found) if found.len() != KEY_CHECK_BYTES || found == [0; KEY_CHECK_BYTES] => write(),
            Ok(_) if fs::metadata(&self.path).map_or(0, |metadata| metadata.len()) == 0 => write(),
            // The stored value may be what is damaged.
            Ok(_) if salvage::is_key_proven(&self.path, &self.wal_path(), &self.key) => write(),
            Ok(_) => Err(Error::WrongKey { file: self.name }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => write(),
            Err(source) => Err(self.failed("read", &path, source)),
        }
    }

    fn failed(&self, doing: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::File { doing, path: path.to_owned(), source }
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
        // Without it a bound value that the planner has looked at, as each limit is, makes the statement be compiled
        // again at every run.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).doing("set the file up")?;
        Self::move_journal_on_close(conn, true);
        conn.execute_batch(own).doing("set the file up")
    }

    /// Decides whether closing the file moves its journal into it. What may be damaged stays as it is.
    pub(super) fn move_journal_on_close(conn: &Connection, is_moved: bool) {
        let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !is_moved);
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

    /// Returns a file in the same folder with the same key, in which the successor of this one is made.
    pub(super) fn successor(&self) -> DbFile {
        let path = self.path.with_extension("salvage");
        DbFile { purpose: self.purpose, name: self.name, path, key: self.key.clone(), vfs: self.vfs.clone() }
    }

    /// Puts a closed, whole successor in the place of this file, which is put aside under a name with the time. From
    /// the first rename on, an interruption is made up for by [`DbFile::finish_replacement`].
    pub(super) fn replace(&self, successor: &DbFile, at_ms: i64) -> Result<()> {
        let whole = self.path.with_extension(format!("{at_ms}.{WHOLE}"));
        rename(&successor.path, &whole)?;
        self.sync_folder()?;
        self.finish_replacement()
    }

    /// Goes on with a replacement that was interrupted. Does nothing when there is none.
    pub(super) fn finish_replacement(&self) -> Result<()> {
        let Some(whole) = self.whole_successor()? else { return Ok(()) };
        let aside = whole.with_extension(QUARANTINE);
        // The file itself last: while it is there, what is beside it belongs to it.
        for (from, to) in self.parts().into_iter().zip(parts(&aside)).rev() {
            if from.exists() {
                rename(&from, &to)?;
            }
        }
        self.sync_folder()?;
        rename(&whole, &self.path)?;
        self.sync_folder()
    }

    /// Deletes what was put aside before an instant.
    pub(super) fn delete_quarantine(&self, before_ms: i64) -> Result<()> {
        for path in self.beside()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((at, rest)) = name.split_once('.').and_then(|(_, rest)| rest.split_once('.')) else { continue };
            if rest.starts_with(QUARANTINE) && at.parse().is_ok_and(|at: i64| at < before_ms) {
                fs::remove_file(&path).map_err(|source| self.failed("delete", &path, source))?;
            }
        }
        Ok(())
    }

    fn whole_successor(&self) -> Result<Option<PathBuf>> {
        Ok(self.beside()?.into_iter().find(|path| path.extension().is_some_and(|extension| extension == WHOLE)))
    }

    /// Returns the files of the folder whose names begin like this one's.
    fn beside(&self) -> Result<Vec<PathBuf>> {
        let (Some(folder), Some(stem)) = (self.path.parent(), self.path.file_stem()) else { return Ok(Vec::new()) };
        let entries = fs::read_dir(folder).map_err(|source| self.failed("read", folder, source))?;
        let begins = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.strip_prefix(stem.as_encoded_bytes()).is_some_and(|rest| rest.starts_with(b"."))
        };
        Ok(entries.flatten().map(|entry| entry.path()).filter(begins).collect())
    }

    fn sync_folder(&self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(&self.path);
        sync_folder(folder).map_err(|source| self.failed("sync", folder, source))
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

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|source| Error::File { doing: "rename", path: from.to_owned(), source })
}

/// Writes a file so that it is there with all its content or not at all, whenever the power goes.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let new = path.with_extension("keycheck-new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder durable, where the system can.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}
