//! Every write to the data directory outside SQLite goes through here: it is counted against the
//! bound on size, and each operation has numbers at which a test can end the process or have it fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The way to the disk, shared by all that write.
#[derive(Debug)]
pub(crate) struct Files {
    /// Steps taken so far; two per operation, one before it and one after.
    steps: AtomicU64,
    /// The step at which the process ends itself; 0: never.
    die_at: u64,
    /// The steps at which an operation answers that it failed: before it was done, or after.
    failing: Range<u64>,
    used: AtomicU64,
    max_bytes: AtomicU64,
}

impl Files {
    pub(crate) fn new(die_at: Option<u64>, max_bytes: Option<u64>) -> Self {
        Self {
            steps: AtomicU64::new(0),
            die_at: die_at.unwrap_or(0),
            failing: 0..0,
            used: AtomicU64::new(0),
            max_bytes: AtomicU64::new(max_bytes.unwrap_or(u64::MAX)),
        }
    }

    /// The same, with operations that fail at these steps.
    pub(crate) fn failing(self, steps: Option<Range<u64>>) -> Self {
        Self { failing: steps.unwrap_or(0..0), ..self }
    }

    /// Changes the bound on all files together.
    pub(crate) fn limit(&self, max_bytes: u64) {
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// Bytes of files that were written through here or found at opening.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts a file that was there before.
    pub(crate) fn found(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One step of a crash test; answers its number.
    pub(crate) fn step(&self) -> u64 {
        let step = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        if step == self.die_at {
            std::process::abort();
        }
        step
    }

    /// A step at which a test may have the operation fail, as a broken device does.
    fn fallible_step(&self) -> io::Result<()> {
        const EIO: i32 = 5;
        if self.failing.contains(&self.step()) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    fn stepped<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.fallible_step()?;
        let done = work()?;
        self.fallible_step()?;
        Ok(done)
    }

    /// A new file, which must not exist yet.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        self.stepped(|| options.open(path))
    }

    /// Appends bytes. A failure may leave some of them written.
    pub(crate) fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        if self.used().saturating_add(length) > self.max_bytes.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.stepped(|| file.write_all(bytes))?;
        self.found(length);
        Ok(())
    }

    /// Makes a file's bytes survive power loss.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        self.stepped(|| file.sync_data())
    }

    /// Makes the names in a directory survive power loss.
    pub(crate) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.stepped(|| File::open(path)?.sync_all())
    }

    /// Makes a directory below another, each level synced into the one above it.
    pub(crate) fn make_dirs(&self, root: &Path, path: &Path) -> io::Result<()> {
        if path == root || path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_dirs(root, parent)?;
            self.stepped(|| fs::create_dir(path))?;
            self.sync_dir(parent)?;
        }
        Ok(())
    }

    /// Gives a finished draft its name, which no other file may have.
    pub(crate) fn publish(&self, draft: &Path, target: &Path) -> io::Result<()> {
        if target.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(draft, target)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.stepped(|| fs::rename(from, to))
    }

    /// Cuts a file back to what is good in it.
    pub(crate) fn cut(&self, file: &File, from: u64, to: u64) -> io::Result<()> {
        self.stepped(|| file.set_len(to))?;
        self.gone(from.saturating_sub(to));
        Ok(())
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let bytes = fs::metadata(path)?.len();
        self.stepped(|| fs::remove_file(path))?;
        self.gone(bytes);
        Ok(())
    }

    fn gone(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        // The update never declines.
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}
