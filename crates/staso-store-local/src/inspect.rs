//! Looking for damage in a data directory: every byte that has a checksum is read and compared, and
//! nothing is changed.
//!
//! Each finding names a file and what to do about it. The store itself passes over what is damaged
//! and serves the rest; this tells what that is, before somebody asks for it.

pub(crate) mod catalog;
mod segments;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::dir::{FORMAT, READABLE};
use crate::inspect::catalog::Numbers;
use crate::wal::inspect::{Finding, inspect as inspect_log};

/// What a look at a data directory showed.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Whether a server has it: then its log, which changes all the time, was not looked at.
    pub is_in_use: bool,
    /// Segments that were read.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Records of the log that were read.
    pub log_records: u64,
    /// Worth knowing, and not wrong.
    pub notes: Vec<String>,
    /// What is wrong.
    pub damage: Vec<Damage>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, and what that costs.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

const RESTORE_ALL: &str = "keep a copy of the whole directory as it is, then restore all of it from a \
     backup; catalog, log and segments belong together. Without one move catalog.db, catalog.db-wal \
     and catalog.db-shm away and start the server: it makes a new catalog from segments and log, which \
     lacks older receipts and annotations only";
const RESTORE_OLDER: &str = "keep a copy of the whole directory as it is, then restore all of it from \
     a backup; without one, what SQLite can still read comes out with: sqlite3 catalog.db .recover";
const RESTORE_ONE: &str = "restore this file from a backup, while no server runs; without one leave it \
     where it is: everything else is served";
const LET_IT_BE: &str = "restore the file from a backup made after it was last written, while no server \
     runs; without one start the server: it applies every other record, and keeps the file as \
     *.wal.damaged";
const CORRECT_ACCESS: &str = "correct its permissions, or look after the disk";

/// Looks through a data directory. Nothing is written, but for the index that SQLite makes beside a
/// catalog whose own log is not empty.
#[must_use]
pub fn inspect(dir: &Path) -> Inspection {
    let mut look = Look { dir, found: Inspection::default(), restore: RESTORE_OLDER };
    look.found.is_in_use = is_in_use(dir);
    let version = look.version();
    if version == Some(FORMAT) {
        look.restore = RESTORE_ALL;
    }
    let path = dir.join("catalog.db");
    if !path.exists() {
        look.no_catalog(&path);
        return look.found;
    }
    match catalog::open(&path, look.found.is_in_use) {
        Ok(conn) => look.all(&conn, &path, version),
        Err(error) => look.damaged(&path, error.to_string(), look.restore),
    }
    look.found
}

/// A look under way.
struct Look<'a> {
    dir: &'a Path,
    found: Inspection,
    /// What to do about a damaged catalog. One that has spans itself cannot be made anew.
    restore: &'static str,
}

impl Look<'_> {
    fn damaged(&mut self, file: &Path, problem: impl Into<String>, remedy: impl Into<String>) {
        let (problem, remedy) = (problem.into(), remedy.into());
        self.found.damage.push(Damage { file: file.to_owned(), problem, remedy });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.found.notes.push(note.into());
    }

    /// The format that `VERSION` names, if it is one that this program reads.
    fn version(&mut self) -> Option<u32> {
        let path = self.dir.join("VERSION");
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.dir.join("catalog.db").exists() {
                    let remedy = format!(
                        "write the format's number into it: {FORMAT} where wal/ is beside it"
                    );
                    self.damaged(&path, "it is missing beside a catalog", remedy);
                }
                return None;
            }
            Err(error) => {
                self.damaged(&path, format!("it cannot be read: {error}"), CORRECT_ACCESS);
                return None;
            }
        };
        let number = text.parse().ok();
        match number {
            Some(format) if READABLE.contains(&format) => {}
            Some(format) => {
                let problem = format!("it names format {format}; this program knows {FORMAT}");
                self.damaged(&path, problem, "use the version of staso that wrote the directory");
            }
            None => {
                let remedy =
                    format!("write the format's number into it: {FORMAT} where wal/ is beside it");
                self.damaged(&path, "it is not a number", remedy);
            }
        }
        number
    }

    fn no_catalog(&mut self, path: &Path) {
        let has_segments = fs::read_dir(self.dir.join("segments"))
            .is_ok_and(|mut entries| entries.next().is_some());
        if has_segments || self.dir.join("VERSION").exists() {
            self.damaged(path, "it is missing", self.restore);
        }
    }

    fn all(&mut self, conn: &Connection, path: &Path, version: Option<u32>) {
        if catalog::has_table(conn, "spans") {
            let format = version.unwrap_or_default();
            self.note(format!(
                "it has spans in the table of an older format (VERSION says {format}); the next \
                 `staso serve` moves them to segments"
            ));
            self.restore = RESTORE_OLDER;
        }
        self.catalog(conn, path);
        if version == Some(FORMAT) {
            self.schema(conn, path);
        } else if !catalog::has_table(conn, "segments") {
            return;
        }
        if catalog::has_rows(conn, "older_spans") {
            self.note("spans that could not be read when the directory was brought up are in the table older_spans");
        }
        let numbers = match Numbers::read(conn) {
            Ok(numbers) => numbers,
            Err(error) => return self.damaged(path, error.to_string(), self.restore),
        };
        self.deletions(conn);
        self.segments(conn, path);
        if !self.found.is_in_use {
            self.log(&numbers);
            // A server that began meanwhile has changed it under our eyes.
            if is_in_use(self.dir) {
                self.note("a server began to use it meanwhile: look again");
            }
        }
    }

    fn log(&mut self, numbers: &Numbers) {
        let dir = self.dir.join("wal");
        match inspect_log(&dir, numbers.flushed, numbers.applied) {
            Ok(report) => {
                self.found.log_records = report.records;
                for Finding { file, problem, is_loss } in report.findings {
                    if is_loss {
                        self.damaged(&file, problem, LET_IT_BE);
                    } else {
                        self.note(format!("log {}: {problem}", file.display()));
                    }
                }
            }
            Err(error) => self.damaged(&dir, error.to_string(), CORRECT_ACCESS),
        }
    }
}

/// Whether somebody holds the directory's lock.
fn is_in_use(dir: &Path) -> bool {
    let lock = File::open(dir.join("LOCK")).map(|file| file.try_lock_shared());
    matches!(lock, Ok(Err(TryLockError::WouldBlock)))
}
