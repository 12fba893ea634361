//! A test's hand in what SQLite does to its files: each write, sync and truncation asks a hook first.
//!
//! The layer that SQLite itself calls is registered again under another name and as the default, with
//! files whose methods ask the hook of their directory and then do what they did before. What is not
//! hooked is untouched.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, LazyLock, Mutex, Once, OnceLock};

use rusqlite::ffi;

/// What SQLite is about to do to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Write,
    Sync,
    Truncate,
}

/// Answers whether the operation fails.
type Hook = Arc<dyn Fn(Operation, &Path) -> bool + Send + Sync>;

static HOOKS: Mutex<Vec<(PathBuf, Hook)>> = Mutex::new(Vec::new());
static FILES: LazyLock<Mutex<HashMap<usize, Opened>>> = LazyLock::new(Mutex::default);
/// Our methods, by the address of those that they stand before.
static METHODS: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);
static ORIGINAL: OnceLock<usize> = OnceLock::new();

#[derive(Clone)]
struct Opened {
    path: PathBuf,
    methods: ffi::sqlite3_io_methods,
}

/// A hook is taken away with this.
pub(super) struct Hooked(PathBuf);

impl Drop for Hooked {
    fn drop(&mut self) {
        HOOKS.lock().unwrap().retain(|(dir, _)| *dir != self.0);
    }
}

/// Asks the hook before each operation on SQLite's files in a directory, opened from now on.
pub(super) fn hook(
    dir: &Path,
    hook: impl Fn(Operation, &Path) -> bool + Send + Sync + 'static,
) -> Hooked {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(register);
    let dir = dir.canonicalize().unwrap();
    HOOKS.lock().unwrap().push((dir.clone(), Arc::new(hook)));
    Hooked(dir)
}

fn register() {
    // SAFETY: SQLite's default layer lives as long as the process; the copy is leaked, so that it
    // does as well, and differs in its name and in how it opens files.
    unsafe {
        let original = ffi::sqlite3_vfs_find(ptr::null());
        assert!(!original.is_null());
        ORIGINAL.set(original as usize).unwrap();
        let mut ours = *original;
        ours.zName = c"hooked".as_ptr();
        ours.pNext = ptr::null_mut();
        ours.xOpen = Some(open);
        assert_eq!(ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1), ffi::SQLITE_OK);
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let original = *ORIGINAL.get().unwrap() as *mut ffi::sqlite3_vfs;
    // SAFETY: the original's own function with the arguments SQLite gave us; `file` is of the size that
    // the original asked for, and has methods after it was opened.
    unsafe {
        let code = (*original).xOpen.unwrap()(original, name, file, flags, out_flags);
        if code == ffi::SQLITE_OK && !name.is_null() && !(*file).pMethods.is_null() {
            let path = PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()));
            let methods = *(*file).pMethods;
            let opened = Opened { path, methods };
            FILES.lock().unwrap().insert(file as usize, opened);
            (*file).pMethods = hooked_methods((*file).pMethods);
        }
        code
    }
}

/// The methods of a file with three of them replaced.
///
/// # Safety
/// `methods` points to methods that live as long as the process.
unsafe fn hooked_methods(
    methods: *const ffi::sqlite3_io_methods,
) -> *const ffi::sqlite3_io_methods {
    let mut known = METHODS.lock().unwrap();
    let ours = known.entry(methods as usize).or_insert_with(|| {
        // SAFETY: as the caller promised.
        let mut ours = unsafe { *methods };
        ours.xWrite = Some(write);
        ours.xSync = Some(sync);
        ours.xTruncate = Some(truncate);
        ptr::from_ref(Box::leak(Box::new(ours))) as usize
    });
    *ours as *const ffi::sqlite3_io_methods
}

/// The file's original methods, unless the operation fails.
fn asked(file: *mut ffi::sqlite3_file, operation: Operation) -> Option<ffi::sqlite3_io_methods> {
    let Opened { path, methods } = FILES.lock().unwrap()[&(file as usize)].clone();
    let hooks = HOOKS.lock().unwrap();
    let hook = hooks.iter().find(|(dir, _)| path.starts_with(dir)).map(|(_, hook)| hook.clone());
    drop(hooks);
    let fails = hook.is_some_and(|hook| hook(operation, &path));
    (!fails).then_some(methods)
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    at: i64,
) -> c_int {
    match asked(file, Operation::Write) {
        // SAFETY: the file's own function with the arguments SQLite gave us.
        Some(methods) => unsafe { methods.xWrite.unwrap()(file, bytes, length, at) },
        None => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    match asked(file, Operation::Sync) {
        // SAFETY: as above.
        Some(methods) => unsafe { methods.xSync.unwrap()(file, flags) },
        None => ffi::SQLITE_IOERR_FSYNC,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    match asked(file, Operation::Truncate) {
        // SAFETY: as above.
        Some(methods) => unsafe { methods.xTruncate.unwrap()(file, size) },
        None => ffi::SQLITE_IOERR_TRUNCATE,
    }
}
