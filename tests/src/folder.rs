//! Folders of a phone's files, copied for each thing that is done to them.

use std::path::Path;

use tempfile::TempDir;

/// Makes a folder in memory where the system has such: making files on a real disk costs more than everything else.
pub fn memory_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder can be made")
}

/// Copies files into a folder in memory.
pub fn copied(from: &Path) -> TempDir {
    let folder = memory_folder();
    for entry in std::fs::read_dir(from).expect("the folder can be read").flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("a file can be copied");
    }
    folder
}
