//! Names in a folder, which become durable later than what is in the files.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::disk::NodeId;

/// A name that appeared or went and that a power cut may take back.
pub(super) enum FolderChange {
    Created {
        path: PathBuf,
        node: NodeId,
    },
    /// The file is kept open: its content is still there until then.
    Deleted {
        path: PathBuf,
        node: NodeId,
        file: File,
    },
}

impl FolderChange {
    /// Returns the deletion of a file that is still there, `None` when there is none.
    pub(super) fn deletion(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let node = identity(&file)?;
        Some(Self::Deleted { path: path.to_owned(), node, file })
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        let (Self::Created { path, .. } | Self::Deleted { path, .. }) = self;
        path.parent()
    }

    pub(super) fn deleted_node(&self) -> Option<NodeId> {
        if let Self::Deleted { node, .. } = self { Some(*node) } else { None }
    }

    /// Takes the change back, unless somebody else has used the name meanwhile.
    pub(super) fn undo(&self) -> std::io::Result<()> {
        match self {
            Self::Created { path, node } => {
                let is_same = File::open(path).is_ok_and(|file| identity(&file) == Some(*node));
                if is_same { fs::remove_file(path) } else { Ok(()) }
            }
            Self::Deleted { path, .. } if path.exists() => Ok(()),
            Self::Deleted { path, file, .. } => {
                let mut bytes = vec![0; file.metadata()?.len() as usize];
                file.read_exact_at(&mut bytes, 0)?;
                fs::write(path, bytes)
            }
        }
    }
}

fn identity(file: &File) -> Option<NodeId> {
    file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
