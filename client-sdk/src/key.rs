//! Where the keys of the database files come from: the platform's key store, through a callback.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::world::SharedWorld;

/// A raw 256-bit key that is wiped from memory when it is dropped.
pub type Key = Zeroizing<[u8; 32]>;

/// The file that a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// The outbox: what was recorded here and is nowhere else yet.
    Outbox,
    /// The cache: what can be fetched again.
    Cache,
}

impl KeyPurpose {
    /// Returns a short name, for entries in a key store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Cache => "cache",
        }
    }
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key store is locked for now: before the first unlock of the device, for instance. Try again later.
    #[error("the key store is not available now: {0}")]
    Unavailable(String),
    /// The key no longer exists, so that what it encrypted cannot be read by anyone.
    #[error("the key is lost: {0}")]
    Lost(String),
}

/// Gives the keys. A platform implements it over its key store.
pub trait KeyProvider: Send + Sync {
    /// Returns the key for a file, always the same one; makes it when there is none yet.
    fn key(&self, purpose: KeyPurpose) -> Result<Key, KeyError>;
}

/// Keys in files that only their owner can read.
///
/// For desktops, demonstrations and tests, where the disk itself is encrypted. Whoever can read the folder can
/// read the data: on a phone, use the platform's key store.
pub struct FileKeyProvider {
    folder: PathBuf,
    world: SharedWorld,
}

impl FileKeyProvider {
    /// Returns a provider that keeps its keys in `folder`.
    pub fn new(folder: impl Into<PathBuf>, world: SharedWorld) -> Self {
        Self { folder: folder.into(), world }
    }

    fn create(&self, path: &Path) -> Result<Key, KeyError> {
        let mut key = Key::default();
        self.world.fill_random(&mut key[..]);
        write_private(path, &key[..]).map_err(|error| KeyError::Unavailable(error.to_string()))?;
        Ok(key)
    }
}

impl KeyProvider for FileKeyProvider {
    fn key(&self, purpose: KeyPurpose) -> Result<Key, KeyError> {
        let path = self.folder.join(format!("{}.key", purpose.name()));
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return self.create(&path),
            Err(error) => return Err(KeyError::Unavailable(error.to_string())),
        };
        let key =
            bytes.as_slice().try_into().map_err(|_| KeyError::Lost("the key file has another size".to_owned()))?;
        Ok(Zeroizing::new(key))
    }
}

/// The same key for every file, for tests.
#[derive(Clone, Debug)]
pub struct FixedKeyProvider(pub [u8; 32]);

impl KeyProvider for FixedKeyProvider {
    fn key(&self, _: KeyPurpose) -> Result<Key, KeyError> {
        Ok(Zeroizing::new(self.0))
    }
}

/// Writes a new file that only its owner may read. The content is on the disk when this returns.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::SystemWorld;
    use std::sync::Arc;

    #[test]
    fn a_key_file_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let provider = FileKeyProvider::new(folder.path(), Arc::new(SystemWorld::new()));
        let first = provider.key(KeyPurpose::Outbox).unwrap();
        assert_eq!(provider.key(KeyPurpose::Outbox).unwrap(), first);
        assert_ne!(provider.key(KeyPurpose::Cache).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join("outbox.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_file_of_another_size_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cache.key"), b"short").unwrap();
        let provider = FileKeyProvider::new(folder.path(), Arc::new(SystemWorld::new()));
        assert!(matches!(provider.key(KeyPurpose::Cache), Err(KeyError::Lost(_))));
        assert_eq!(fs::read(folder.path().join("cache.key")).unwrap(), b"short");
    }
}
