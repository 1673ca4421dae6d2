//! The side towards SQLite: a `sqlite3_vfs` and its files, which hand everything on to the system's VFS.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::{ManuallyDrop, size_of};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use rusqlite::ffi;

use super::disk::{Call, Disk, Handle, Permit};

/// A VFS as SQLite knows it, until it is dropped.
pub(super) struct Registration {
    name: String,
    vfs: ManuallyDrop<Box<ffi::sqlite3_vfs>>,
    context: ManuallyDrop<Box<Context>>,
}

/// What the functions of a VFS find behind its `pAppData`.
struct Context {
    name: CString,
    real: *mut ffi::sqlite3_vfs,
    disk: Arc<Disk>,
}

/// A file as SQLite allocates it. The file of the system's VFS follows it in memory.
#[repr(C)]
struct FaultFile {
    base: ffi::sqlite3_file,
    /// `None` for temporary files, on which nothing fails.
    handle: *mut OpenFile,
}

struct OpenFile {
    disk: Arc<Disk>,
    handle: Handle,
}

// SAFETY: the pointers are to memory that this value owns and to the system's VFS, which SQLite never frees. All of
// it is only read after the registration; the disk has a lock of its own.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

/// Lets SQLite allocate without its statistics, which nobody reads here and whose lock all threads share. Where SQLite
/// has started already, it goes on counting.
fn stop_counting_memory() {
    static ASKED: Once = Once::new();
    // SAFETY: SQLite takes one number with this option, and refuses it when it is too late.
    ASKED.call_once(|| unsafe {
        ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int);
    });
}

impl Registration {
    pub(super) fn new(disk: Arc<Disk>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("fault-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        stop_counting_memory();
        // The one for files that a single process has open: connections exclude each other without asking the system.
        // SAFETY: SQLite is told to initialise itself, and asked for a VFS of its own, which lives as long as the
        // process.
        let real = unsafe {
            assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK, "SQLite starts");
            ffi::sqlite3_vfs_find(c"unix-excl".as_ptr())
        };
        assert!(!real.is_null(), "SQLite has a VFS");
        let c_name = CString::new(name.clone()).expect("the name has no zero byte");
        let context = Box::new(Context { name: c_name, real, disk });
        // SAFETY: the real VFS is initialised. Its functions that are copied do not look at the VFS they are
        // called with; those that do are replaced and called with the original.
        let mut vfs = Box::new(unsafe { *real });
        vfs.iVersion = 2;
        vfs.szOsFile += size_of::<FaultFile>() as c_int;
        vfs.pNext = ptr::null_mut();
        vfs.zName = context.name.as_ptr();
        vfs.pAppData = ptr::from_ref::<Context>(&context).cast_mut().cast();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        // SAFETY: the VFS and its context are boxed, and unregistered before they are freed.
        let code = unsafe { ffi::sqlite3_vfs_register(&raw mut *vfs, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "the VFS is registered");
        Self { name, vfs: ManuallyDrop::new(vfs), context: ManuallyDrop::new(context) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: the VFS was registered by `new`.
        unsafe { ffi::sqlite3_vfs_unregister(&raw mut **self.vfs) };
        // A connection that is still open calls the VFS: then it stays in memory.
        if self.context.disk.state().handles() == 0 {
            // SAFETY: no connection uses the VFS any more, and nothing uses the fields after this.
            unsafe {
                ManuallyDrop::drop(&mut self.vfs);
                ManuallyDrop::drop(&mut self.context);
            }
        }
    }
}

/// # Safety
/// `vfs` is one of [`Registration`].
unsafe fn context<'c>(vfs: *mut ffi::sqlite3_vfs) -> &'c Context {
    // SAFETY: `pAppData` is the context, which lives as long as a connection uses the VFS.
    unsafe { &*(*vfs).pAppData.cast::<Context>() }
}

/// Returns the file of the system's VFS.
///
/// # Safety
/// `file` was allocated by SQLite for a VFS of [`Registration`].
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite allocates `szOsFile` bytes, which is our part and the real one. Our size is a multiple of 8,
    // like the alignment of the real part.
    unsafe { file.cast::<u8>().add(size_of::<FaultFile>()).cast() }
}

/// Returns what is known of a file, `None` for a temporary one.
///
/// # Safety
/// `file` is open and of a VFS of [`Registration`].
unsafe fn open_file<'f>(file: *mut ffi::sqlite3_file) -> Option<&'f OpenFile> {
    // SAFETY: `handle` is null or a box that is freed when the file is closed.
    unsafe { (*file.cast::<FaultFile>()).handle.as_ref() }
}

/// Calls a function of the system's VFS on its part of a file.
macro_rules! hand_on {
    ($method:ident, $file:expr $(, $argument:expr)*) => {
        // SAFETY: SQLite calls only with files that `open` opened, and the system's VFS has all these functions.
        unsafe {
            let real = real($file);
            let method = (*(*real).pMethods).$method.expect("the system's VFS has it");
            method(real $(, $argument)*)
        }
    };
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    const JOURNALS: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
    // SAFETY: SQLite calls with our VFS, memory for a file, and a name that is null or ends with a zero.
    unsafe {
        let context = context(vfs);
        let own = file.cast::<FaultFile>();
        (*own).base.pMethods = ptr::null();
        (*own).handle = ptr::null_mut();
        let is_tracked = !name.is_null() && flags & (ffi::SQLITE_OPEN_MAIN_DB | JOURNALS) != 0;
        let path = if is_tracked { Some(path_of(name)) } else { None };
        let is_new = path.is_some_and(|path| !path.exists());
        if is_tracked && let Err(code) = context.disk.state().enter(Call::Open) {
            return code;
        }
        let open_real = (*context.real).xOpen.expect("the system's VFS opens files");
        let code = open_real(context.real, name, real(file), flags, out_flags);
        if code != ffi::SQLITE_OK {
            return code;
        }
        if let Some(path) = path {
            let Ok(handle) = context.disk.state().opened(path, is_new, flags & JOURNALS != 0) else {
                close(file);
                return ffi::SQLITE_CANTOPEN;
            };
            (*own).handle = Box::into_raw(Box::new(OpenFile { disk: context.disk.clone(), handle }));
        }
        (*own).base.pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite calls with our VFS and a name that ends with a zero.
    unsafe {
        let context = context(vfs);
        let path = path_of(name);
        let mut state = context.disk.state();
        if let Err(code) = state.enter(Call::Delete) {
            return code;
        }
        state.deletes(path, sync_dir != 0);
        let delete_real = (*context.real).xDelete.expect("the system's VFS deletes files");
        // The folder need not be synced really.
        delete_real(context.real, name, 0)
    }
}

/// # Safety
/// `name` ends with a zero byte and lives as long as the result is used.
unsafe fn path_of<'n>(name: *const c_char) -> &'n Path {
    use std::os::unix::ffi::OsStrExt as _;
    // SAFETY: as the caller promises.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without memory-mapped pages, which would go around the disk.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let code = hand_on!(xClose, file);
    // SAFETY: the file is open, and SQLite does not use it after this.
    unsafe {
        let handle = std::mem::replace(&mut (*file.cast::<FaultFile>()).handle, ptr::null_mut());
        if !handle.is_null() {
            let open = Box::from_raw(handle);
            open.disk.state().closed(&open.handle);
        }
    }
    code
}

/// Asks the disk whether a call may go on; returns from the function when it may not.
macro_rules! ask {
    ($file:expr, $call:expr) => {
        // SAFETY: SQLite calls only with files that `open` opened.
        if let Some(open) = unsafe { open_file($file) }
            && let Err(code) = open.disk.state().enter_file(&open.handle, $call)
        {
            return code;
        }
    };
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, bytes: c_int, at: i64) -> c_int {
    ask!(file, Call::Read);
    hand_on!(xRead, file, to, bytes, at)
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, bytes: c_int, at: i64) -> c_int {
    // SAFETY: SQLite calls only with files that `open` opened, and with as many bytes as it says.
    let (open, written) = unsafe { (open_file(file), std::slice::from_raw_parts(from.cast::<u8>(), bytes as usize)) };
    let Some(open) = open else { return hand_on!(xWrite, file, from, bytes, at) };
    match open.disk.state().enter_write(&open.handle, at as u64, written) {
        Err(code) => code,
        Ok(Permit::Go) => hand_on!(xWrite, file, from, bytes, at),
        Ok(Permit::Short { bytes: 0, code }) => code,
        Ok(Permit::Short { bytes, code }) => {
            hand_on!(xWrite, file, from, bytes as c_int, at);
            code
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    ask!(file, Call::Truncate);
    // SAFETY: SQLite calls only with files that `open` opened.
    if let Some(open) = unsafe { open_file(file) } {
        open.disk.state().note_truncate(&open.handle, length as u64);
    }
    hand_on!(xTruncate, file, length)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    ask!(file, Call::Sync);
    // SAFETY: SQLite calls only with files that `open` opened.
    if let Some(open) = unsafe { open_file(file) } {
        open.disk.state().synced(&open.handle);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    hand_on!(xFileSize, file, size)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    hand_on!(xLock, file, level)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    hand_on!(xUnlock, file, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, result: *mut c_int) -> c_int {
    hand_on!(xCheckReservedLock, file, result)
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    hand_on!(xFileControl, file, op, argument)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    hand_on!(xSectorSize, file)
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    hand_on!(xDeviceCharacteristics, file)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    bytes: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    hand_on!(xShmMap, file, page, bytes, extend, to)
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, from: c_int, count: c_int, flags: c_int) -> c_int {
    hand_on!(xShmLock, file, from, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    hand_on!(xShmBarrier, file);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    hand_on!(xShmUnmap, file, delete)
}
