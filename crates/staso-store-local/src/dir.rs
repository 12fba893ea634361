//! The data directory: who may write in it, and which format it has.
//!
//! `LOCK` is held with `flock` for as long as the store is open and names the holder. `VERSION` is
//! written before anything else, so that a program that does not know the format never guesses.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use staso_store::StoreError;

use crate::error::from_io;
use crate::files::Files;

/// The format this program writes. Format 1 had no spans that were closed for a dead process, and
/// did not say when a process was last heard of; formats 1 and 2 had no log of their own and kept
/// spans in the catalog. They are brought up when the directory is opened.
pub(crate) const FORMAT: u32 = 3;
pub(crate) const READABLE: [u32; 3] = [1, 2, FORMAT];

/// A locked data directory. Dropping it gives the lock back.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
    /// The format that `VERSION` named when it was opened.
    format: u32,
}

impl DataDir {
    /// Makes the directory where it is missing, locks it and checks its format.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| from_io(&format!("create the data directory {}", path.display()), &e))?;
        let mut dir = Self { path: path.to_owned(), lock: lock(path)?, format: FORMAT };
        dir.format = dir.check_format()?;
        Ok(dir)
    }

    /// Where the catalog is.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog.db")
    }

    /// Where the log is.
    pub(crate) fn wal(&self) -> PathBuf {
        self.path.join("wal")
    }

    /// Where segments are; made if missing.
    pub(crate) fn make_segments(&self) -> Result<PathBuf, StoreError> {
        let path = self.path.join("segments");
        fs::create_dir_all(&path).map_err(|e| from_io("make the segments' directory", &e))?;
        Ok(path)
    }

    /// Whether it has a format that older programs open as well.
    pub(crate) fn is_older(&self) -> bool {
        self.format != FORMAT
    }

    /// Says that the directory has this program's format, so that no older one opens it, and makes the
    /// names of new files survive power loss.
    pub(crate) fn write_format(&mut self, files: &Files) -> Result<(), StoreError> {
        if self.is_older() {
            self.replace_version(files)?;
            self.format = FORMAT;
        }
        self.sync()
    }

    fn sync(&self) -> Result<(), StoreError> {
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| from_io("sync the data directory", &e))
    }

    fn check_format(&self) -> Result<u32, StoreError> {
        let path = self.path.join("VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => self.check_number(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => self.begin_format(),
            Err(e) => Err(from_io("read VERSION", &e)),
        }
    }

    fn check_number(&self, text: &str) -> Result<u32, StoreError> {
        match text.trim().parse::<u32>() {
            Ok(format) if READABLE.contains(&format) => Ok(format),
            Ok(other) => Err(StoreError::Engine(format!(
                "{} has storage format {other} and this program knows {FORMAT}: open it with the \
                 version of staso that wrote it",
                self.path.display()
            ))),
            Err(_) => Err(damaged("VERSION", "it is not a number")),
        }
    }

    fn begin_format(&self) -> Result<u32, StoreError> {
        if self.catalog().exists() {
            return Err(damaged("VERSION", "it is missing beside a catalog"));
        }
        self.replace_version(&Files::new(None, None))?;
        Ok(FORMAT)
    }

    fn replace_version(&self, files: &Files) -> Result<(), StoreError> {
        let path = self.path.join("VERSION");
        let fresh = self.path.join("VERSION.new");
        let write = || -> std::io::Result<()> {
            files.step();
            let mut file = File::create(&fresh)?;
            writeln!(file, "{FORMAT}")?;
            file.sync_all()?;
            files.rename(&fresh, &path)?;
            files.sync_dir(&self.path)
        };
        write().map_err(|e| from_io("write VERSION", &e))
    }
}

impl Drop for DataDir {
    /// Closing alone would leave the lock to a child that was forked a moment ago and has not yet
    /// begun its own program: it holds copies of our files until then.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the data directory's lock could not be given back");
        }
    }
}

fn damaged(place: &str, problem: &str) -> StoreError {
    StoreError::Damaged { place: place.to_owned(), problem: problem.to_owned() }
}

/// Takes the lock and writes our process id into it, for the next one to name.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("LOCK");
    let io = |e: &std::io::Error| from_io(&format!("lock {}", path.display()), e);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(|e| io(&e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held_by(dir, &mut file)),
        Err(TryLockError::Error(e)) => return Err(io(&e)),
    }
    let write = |file: &mut File| -> std::io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(|e| io(&e))?;
    Ok(file)
}

fn held_by(dir: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    let read = file.take(32).read_to_string(&mut holder);
    let holder = match read {
        Ok(_) if !holder.trim().is_empty() => format!("process {}", holder.trim()),
        _ => "another process".to_owned(),
    };
    StoreError::Engine(format!(
        "the data directory {} is in use by {holder}: stop it, or choose another data directory",
        dir.display()
    ))
}
