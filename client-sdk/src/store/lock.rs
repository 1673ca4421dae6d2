//! One process at a time uses a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

/// Holds the folder until it is dropped. The system lets go of it when the process dies.
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let file = file.map_err(|source| Error::File { doing: "open", path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(Error::File { doing: "lock", path, source }),
        }
    }
}
