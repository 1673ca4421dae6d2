//! What the disk knows: open files, what is not synced, which call is to fail.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use super::folder::FolderChange;

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk cannot read or write: `EIO`.
    Io,
    /// No room is left: `ENOSPC`. A write is cut short.
    Full,
    /// The power goes. The seed decides what of the unsynced writes, and of this call, is on the disk.
    PowerCut(u64),
}

/// How often SQLite called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Files opened.
    pub opens: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Files cut to a length.
    pub truncates: u64,
    /// Syncs.
    pub syncs: u64,
    /// Files deleted.
    pub deletes: u64,
}

impl Calls {
    /// Returns how many calls changed a file.
    pub const fn changes(self) -> u64 {
        self.writes + self.truncates + self.syncs + self.deletes
    }
}

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
    Delete,
}

impl Call {
    const fn changes_a_file(self) -> bool {
        !matches!(self, Self::Open | Self::Read)
    }

    /// Returns what SQLite is told when the call fails.
    const fn code(self, fault: Fault) -> i32 {
        match (self, fault) {
            (Self::Write, Fault::Full) => ffi::SQLITE_FULL,
            (Self::Open, _) => ffi::SQLITE_CANTOPEN,
            (Self::Read, _) => ffi::SQLITE_IOERR_READ,
            (Self::Write, _) => ffi::SQLITE_IOERR_WRITE,
            (Self::Truncate, _) => ffi::SQLITE_IOERR_TRUNCATE,
            (Self::Sync, _) => ffi::SQLITE_IOERR_FSYNC,
            (Self::Delete, _) => ffi::SQLITE_IOERR_DELETE,
        }
    }
}

/// The identity of a file, whatever its name.
pub(super) type NodeId = (u64, u64);

/// A file and what was done to it since its last sync.
pub(super) struct Node {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) unsynced: Vec<Change>,
    /// Kept here, so that not every write asks the system.
    length: u64,
    handles: usize,
    /// The next sync also makes the name of the file durable, as SQLite asks for journals.
    syncs_folder: bool,
}

/// One unsynced change with what it takes to undo it.
pub(super) struct Change {
    /// Where the change starts: the offset of a write, the new length of a cut.
    pub(super) at: u64,
    /// What was there before, as far as there was anything.
    pub(super) before: Vec<u8>,
    pub(super) length_before: u64,
    /// What was written; `None` when the file was cut.
    pub(super) written: Option<Vec<u8>>,
}

pub(super) struct Plan {
    left: u64,
    fault: Fault,
    stays: bool,
    any: bool,
}

/// What a handle of SQLite refers to.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) node: NodeId,
    cuts: u64,
}

#[derive(Default)]
pub(super) struct Disk {
    state: Mutex<State>,
}

impl Disk {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) calls: Calls,
    pub(super) has_failed: bool,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) ignored_syncs: Option<&'static str>,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) folder: Vec<FolderChange>,
    pub(super) plan: Option<Plan>,
    /// How often the power was cut: a handle from before is dead.
    cuts: u64,
    open: usize,
    dead: usize,
}

/// A call may go on, perhaps only with the first bytes of what it wants to write.
pub(super) enum Permit {
    Go,
    Short { bytes: usize, code: i32 },
}

impl State {
    pub(super) fn plan(&mut self, k: u64, fault: Fault, stays: bool, any: bool) {
        self.has_failed = false;
        self.plan = Some(Plan { left: k.max(1), fault, stays, any });
    }

    pub(super) fn handles(&self) -> usize {
        self.open + self.dead
    }

    /// Counts a call by name and returns the code with which it fails.
    pub(super) fn enter(&mut self, call: Call) -> Result<(), i32> {
        if self.dead > 0 {
            return Err(call.code(Fault::Io));
        }
        self.count(call);
        match self.due(call) {
            None => Ok(()),
            Some(Fault::PowerCut(seed)) => {
                self.cut_power(seed);
                Err(call.code(Fault::Io))
            }
            Some(fault) => Err(call.code(fault)),
        }
    }

    /// Counts a call on an open file and returns the code with which it fails.
    pub(super) fn enter_file(&mut self, handle: &Handle, call: Call) -> Result<(), i32> {
        if handle.cuts == self.cuts { self.enter(call) } else { Err(call.code(Fault::Io)) }
    }

    /// Counts a write, takes note of it, and says how much of it goes to the disk.
    pub(super) fn enter_write(&mut self, handle: &Handle, at: u64, bytes: &[u8]) -> Result<Permit, i32> {
        if handle.cuts != self.cuts {
            return Err(Call::Write.code(Fault::Io));
        }
        self.count(Call::Write);
        match self.due(Call::Write) {
            Some(Fault::PowerCut(seed)) => {
                // The write was under way: its sectors may be on the disk or not.
                self.note_write(handle, at, bytes);
                self.cut_power(seed);
                Err(Call::Write.code(Fault::Io))
            }
            Some(Fault::Full) => {
                self.note_write(handle, at, &bytes[..bytes.len() / 2]);
                Ok(Permit::Short { bytes: bytes.len() / 2, code: ffi::SQLITE_FULL })
            }
            Some(Fault::Io) => Err(Call::Write.code(Fault::Io)),
            None => {
                let fits = self.room_for(handle, at, bytes.len());
                self.note_write(handle, at, &bytes[..fits]);
                let short = Permit::Short { bytes: fits, code: ffi::SQLITE_FULL };
                Ok(if fits == bytes.len() { Permit::Go } else { short })
            }
        }
    }

    fn count(&mut self, call: Call) {
        let counter = match call {
            Call::Open => &mut self.calls.opens,
            Call::Read => &mut self.calls.reads,
            Call::Write => &mut self.calls.writes,
            Call::Truncate => &mut self.calls.truncates,
            Call::Sync => &mut self.calls.syncs,
            Call::Delete => &mut self.calls.deletes,
        };
        *counter += 1;
    }

    /// Returns the fault that this call meets.
    fn due(&mut self, call: Call) -> Option<Fault> {
        let plan = self.plan.as_mut().filter(|plan| plan.any || call.changes_a_file())?;
        if plan.left > 1 {
            plan.left -= 1;
            return None;
        }
        let (fault, stays) = (plan.fault, plan.stays);
        if !stays {
            self.plan = None;
        }
        self.has_failed = true;
        Some(fault)
    }

    /// Returns how many bytes of a write there is room for.
    fn room_for(&self, handle: &Handle, at: u64, bytes: usize) -> usize {
        let (Some(capacity), Some(node)) = (self.capacity_bytes, self.nodes.get(&handle.node)) else { return bytes };
        let grows = (at + bytes as u64).saturating_sub(node.length);
        let used = node.path.parent().map_or(0, folder_bytes);
        let room = capacity.saturating_sub(used);
        bytes - grows.saturating_sub(room).min(bytes as u64) as usize
    }

    fn note_write(&mut self, handle: &Handle, at: u64, bytes: &[u8]) {
        let Some(node) = self.nodes.get_mut(&handle.node) else { return };
        let (length_before, end) = (node.length, at + bytes.len() as u64);
        let before = node.read(at, end.min(length_before));
        node.length = length_before.max(end);
        node.unsynced.push(Change { at, before, length_before, written: Some(bytes.to_vec()) });
    }

    pub(super) fn note_truncate(&mut self, handle: &Handle, length: u64) {
        let Some(node) = self.nodes.get_mut(&handle.node) else { return };
        let length_before = std::mem::replace(&mut node.length, length);
        let before = node.read(length, length_before);
        node.unsynced.push(Change { at: length, before, length_before, written: None });
    }

    /// Takes everything that was done to a file as durable.
    pub(super) fn synced(&mut self, handle: &Handle) {
        let Some(node) = self.nodes.get_mut(&handle.node) else { return };
        if self.ignored_syncs.is_some_and(|ending| node.path.to_string_lossy().ends_with(ending)) {
            return;
        }
        node.unsynced.clear();
        if std::mem::take(&mut node.syncs_folder)
            && let Some(folder) = node.path.parent().map(Path::to_owned)
        {
            self.folder.retain(|change| change.folder() != Some(&folder));
        }
    }

    /// Takes note of a file that SQLite has opened. `is_new` when it was not there before.
    pub(super) fn opened(&mut self, path: &Path, is_new: bool, is_journal: bool) -> std::io::Result<Handle> {
        let file = File::options().read(true).write(true).open(path)?;
        let metadata = file.metadata()?;
        let id = (metadata.dev(), metadata.ino());
        let path = path.to_owned();
        let node = self.nodes.entry(id).or_insert_with(|| Node {
            file,
            path: path.clone(),
            unsynced: Vec::new(),
            length: 0,
            handles: 0,
            syncs_folder: false,
        });
        node.length = metadata.len();
        node.handles += 1;
        // SQLite does so at the first sync of a journal after each open, whoever made the file.
        node.syncs_folder |= is_journal;
        node.path.clone_from(&path);
        if is_new {
            self.folder.push(FolderChange::Created { path, node: id });
        }
        self.open += 1;
        Ok(Handle { node: id, cuts: self.cuts })
    }

    pub(super) fn closed(&mut self, handle: &Handle) {
        if handle.cuts != self.cuts {
            self.dead -= 1;
            return;
        }
        self.open -= 1;
        if let Some(node) = self.nodes.get_mut(&handle.node) {
            node.handles -= 1;
        }
        self.forget_idle();
    }

    /// Takes note of a file that SQLite deletes. `is_durable` when it syncs the folder.
    pub(super) fn deletes(&mut self, path: &Path, is_durable: bool) {
        if is_durable {
            self.folder.retain(|change| change.folder() != path.parent());
        } else if let Some(change) = FolderChange::deletion(path) {
            self.folder.push(change);
        }
    }

    /// Every handle dies with the power.
    pub(super) fn cut_off(&mut self) {
        self.cuts += 1;
        self.dead += std::mem::take(&mut self.open);
        self.plan = None;
        self.nodes.clear();
        self.folder.clear();
    }

    /// Forgets closed files that a power cut would not change.
    fn forget_idle(&mut self) {
        let pinned: Vec<NodeId> = self.folder.iter().filter_map(FolderChange::deleted_node).collect();
        let is_needed = |id: &NodeId, node: &Node| node.handles > 0 || !node.unsynced.is_empty() || pinned.contains(id);
        self.nodes.retain(|id, node| is_needed(id, node));
    }
}

impl Node {
    fn read(&self, from: u64, to: u64) -> Vec<u8> {
        let mut bytes = vec![0; to.saturating_sub(from) as usize];
        self.file.read_exact_at(&mut bytes, from).expect("what is in a file can be read");
        bytes
    }
}

pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
