//! The folder of a private Postgres, its lock, and the short folder of its socket.

use std::collections::hash_map::DefaultHasher;
use std::fs::{DirBuilder, File};
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::PostgresError;
use super::account::{self, Account};

/// What a socket's path may take of the 107 bytes that the system allows; its name adds 17.
const MAX_SOCKET_FOLDER_BYTES: usize = 90;

/// Makes the folder and returns its absolute path.
pub(super) fn prepare(folder: &Path) -> Result<PathBuf, PostgresError> {
    std::fs::create_dir_all(folder).map_err(PostgresError::at(folder))?;
    folder.canonicalize().map_err(PostgresError::at(folder))
}

/// Refuses a folder that the account may not reach, as one under root's home.
pub(super) fn check_reachable(folder: &Path, account: Option<Account>) -> Result<(), PostgresError> {
    if account.is_none() {
        return Ok(());
    }
    for ancestor in folder.ancestors() {
        let found = std::fs::metadata(ancestor).map_err(PostgresError::at(ancestor))?;
        if found.mode() & 0o001 == 0 && found.uid() != account::owner(account) {
            let closed = format!("the account that Postgres runs as may not enter `{}`", ancestor.display());
            return Err(PostgresError::Folder { path: folder.to_owned(), source: std::io::Error::other(closed) });
        }
    }
    Ok(())
}

/// The right to run on a folder. It ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "the open file holds the lock")] File);

impl FolderLock {
    /// Takes the lock, or says who cannot have it.
    pub(super) fn take(folder: &Path) -> Result<Self, PostgresError> {
        let path = folder.join("lock");
        let file = File::create(&path).map_err(PostgresError::at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(PostgresError::InUse { path: folder.to_owned() }),
            Err(std::fs::TryLockError::Error(source)) => Err(PostgresError::Folder { path, source }),
        }
    }
}

/// The folder of a socket. It goes with the value, unless a socket is still in it.
#[derive(Debug)]
pub(super) struct SocketFolder(pub(super) PathBuf);

impl Drop for SocketFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Returns where the socket is: a short path, always the same for one data folder.
pub(super) fn socket_path(folder: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    runtime_folder().join(format!("teren-{:08x}", hasher.finish() as u32))
}

/// Makes the private folder of the socket.
pub(super) fn socket_folder(folder: &Path, account: Option<Account>) -> Result<SocketFolder, PostgresError> {
    let path = socket_path(folder);
    match DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => account::give(&path, account)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(PostgresError::Folder { path, source }),
    }
    check_private(&path, account)?;
    Ok(SocketFolder(path))
}

/// Root's runtime folder is closed to the account that Postgres runs as.
fn runtime_folder() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !account::is_root()).map(PathBuf::from);
    let folder = own.unwrap_or_else(std::env::temp_dir);
    let fits = folder.is_absolute() && folder.as_os_str().len() + "/teren-00000000".len() <= MAX_SOCKET_FOLDER_BYTES;
    if fits && folder.is_dir() { folder } else { PathBuf::from("/tmp") }
}

/// Anyone may make a folder in the shared one; only ours is safe, because the socket asks for no password.
fn check_private(path: &Path, account: Option<Account>) -> Result<(), PostgresError> {
    let found = std::fs::symlink_metadata(path).map_err(PostgresError::at(path))?;
    if found.is_dir() && found.uid() == account::owner(account) && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let source = std::io::Error::other("the folder of the socket belongs to someone else; remove it");
    Err(PostgresError::Folder { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        assert!(matches!(FolderLock::take(folder.path()), Err(PostgresError::InUse { .. })));
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_socket_folder_that_others_may_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let data = tempfile::tempdir().unwrap();
        let made = socket_folder(data.path(), None).unwrap();
        std::fs::set_permissions(&made.0, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(socket_folder(data.path(), None).is_err());
        drop(made);
        assert!(!socket_path(data.path()).exists());
    }
}
