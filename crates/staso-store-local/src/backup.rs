//! A copy of a data directory, taken while a server runs or while none does, and its way back.
//!
//! While a server has the directory, the copy is the state of one commit: the catalog as SQLite reads it
//! in one transaction, the segments that it names, and of the log the records that it has applied and that
//! are in no segment. Where a flush or a compaction took away what was still to be copied, the copy begins
//! again with a later commit; what was copied of segments, which never change, is kept. Without a
//! server the directory is locked, and every file is copied as it is.
//!
//! The copy is a data directory like any other. It appears under its name when it is whole and synced.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use staso_store::StoreError;

use crate::dir::FORMAT;
use crate::error::{from_io, from_sqlite};
use crate::inspect::catalog::Numbers;
use crate::schema;
use crate::wal::extract::extract;

/// How often a copy begins again. Each time, only what is new since is copied.
const ATTEMPTS: usize = 20;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes there are to copy, as far as is known by now.
    pub of_bytes: u64,
    /// Segments that the catalog names and that are not there. The next opening reports them, too.
    pub missing_segments: u64,
    /// Records of the log that are in no segment and that could not be read.
    pub missing_records: u64,
}

/// Copies a data directory. `target` must not exist, those above it are made; `progress` is told after
/// each file.
///
/// # Errors
/// [`StoreError::Engine`] where there is no data directory, where `target` exists, or where the directory
/// has an older format and a server; [`StoreError::DiskFull`]; [`StoreError::Damaged`] for a catalog that
/// cannot be read. Nothing stays under the name `target`; what was copied so far is removed.
pub fn backup(
    dir: &Path,
    target: &Path,
    progress: &mut dyn FnMut(Copied),
) -> Result<Copied, StoreError> {
    let lock = lock(dir)?;
    let draft = begin(target)?;
    let mut copy = Copy { from: dir, to: &draft, done: Copied::default(), progress };
    let copied = match lock {
        Some(_lock) => copy.everything(),
        None => copy.of_a_running_server(),
    };
    finish(copied.map(|()| copy.done), &draft, target)
}

/// Makes a data directory from a backup. `target` must not exist, or be empty.
///
/// # Errors
/// As [`backup`].
pub fn restore(
    backup: &Path,
    target: &Path,
    progress: &mut dyn FnMut(Copied),
) -> Result<Copied, StoreError> {
    let Some(_lock) = lock(backup)? else {
        return Err(engine(format!("{} is in use by a server", backup.display())));
    };
    // An empty directory stands in the way of the name only.
    let _ = fs::remove_dir(target);
    let draft = begin(target)?;
    let mut copy = Copy { from: backup, to: &draft, done: Copied::default(), progress };
    let copied = copy.everything();
    finish(copied.map(|()| copy.done), &draft, target)
}

fn engine(message: String) -> StoreError {
    StoreError::Engine(message)
}

/// A directory beside the target that becomes it.
fn begin(target: &Path) -> Result<PathBuf, StoreError> {
    if target.symlink_metadata().is_ok() {
        return Err(engine(format!("{} exists already: name a new directory", target.display())));
    }
    let mut draft = target.as_os_str().to_owned();
    draft.push(".partial");
    let draft = PathBuf::from(draft);
    let above = target
        .parent()
        .map_or(Ok(()), |above| fs::DirBuilder::new().recursive(true).mode(0o700).create(above));
    let made = above.and_then(|()| fs::DirBuilder::new().mode(0o700).create(&draft));
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => engine(format!(
            "{} exists already: another copy is under way, or one was cut off; remove it then",
            draft.display()
        )),
        _ => from_io(&format!("make {}", draft.display()), &error),
    })?;
    Ok(draft)
}

fn finish(
    copied: Result<Copied, StoreError>,
    draft: &Path,
    target: &Path,
) -> Result<Copied, StoreError> {
    let finished = copied.and_then(|done| {
        let publish = || {
            sync_dirs(draft)?;
            fs::rename(draft, target)?;
            let above = target.parent().filter(|above| !above.as_os_str().is_empty());
            File::open(above.unwrap_or(Path::new(".")))?.sync_all()
        };
        publish().map_err(|e| from_io("finish the copy", &e))?;
        Ok(done)
    });
    if finished.is_err() {
        // The error that is reported is the one that led here.
        let _ = fs::remove_dir_all(draft);
    }
    finished
}

fn sync_dirs(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    File::open(dir)?.sync_all()
}

/// The directory's lock, shared with others that only look; `None` while a server has it.
fn lock(dir: &Path) -> Result<Option<File>, StoreError> {
    if !dir.join("VERSION").exists() {
        return Err(engine(format!("{} is no data directory: it has no VERSION", dir.display())));
    }
    let path = dir.join("LOCK");
    let io = |e: &io::Error| from_io(&format!("lock {}", path.display()), e);
    let file = match File::open(&path) {
        // A backup has none. Nobody serves a directory without one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open(dir).map_err(|e| io(&e))?
        }
        opened => opened.map_err(|e| io(&e))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(io(&e)),
    }
}

/// A copy under way.
struct Copy<'a> {
    from: &'a Path,
    to: &'a Path,
    done: Copied,
    progress: &'a mut dyn FnMut(Copied),
}

impl Copy<'_> {
    /// Every file but the lock and what SQLite makes anew.
    fn everything(&mut self) -> Result<(), StoreError> {
        let io = |e: &io::Error| from_io("look through the data directory", e);
        let mut names = Vec::new();
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(self.from.join(&directory)).map_err(|e| io(&e))? {
                let entry = entry.map_err(|e| io(&e))?;
                let name = directory.join(entry.file_name());
                if entry.file_type().map_err(|e| io(&e))?.is_dir() {
                    directories.push(name);
                } else if !matches!(name.to_str(), Some("LOCK" | "catalog.db-shm")) {
                    self.done.of_bytes += entry.metadata().map_err(|e| io(&e))?.len();
                    names.push(name);
                }
            }
        }
        for name in &names {
            self.file(name)?;
        }
        Ok(())
    }

    fn of_a_running_server(&mut self) -> Result<(), StoreError> {
        let version = fs::read_to_string(self.from.join("VERSION"));
        let version = version.map_err(|e| from_io("read VERSION", &e))?;
        if version.trim() != FORMAT.to_string() {
            return Err(engine(format!(
                "the directory has format {}, which is being brought up to {FORMAT}: try again when \
                 the server listens",
                version.trim()
            )));
        }
        self.file(Path::new("VERSION"))?;
        self.make_dir(Path::new("wal"))?;
        for attempt in 1..=ATTEMPTS {
            let is_last = attempt == ATTEMPTS;
            if self.one_state(is_last)? {
                return Ok(());
            }
        }
        Err(engine(
            "the server moves data faster than it can be copied: stop it, or try again".into(),
        ))
    }

    /// Copies the state of the latest commit. Answers whether everything of it was still there; for
    /// the last time, what is gone although nothing newer has taken its place is counted as missing.
    fn one_state(&mut self, is_last: bool) -> Result<bool, StoreError> {
        let state = self.catalog()?;
        let gone = self.segments(&state)?;
        let records = state.numbers.flushed + 1..=state.numbers.applied;
        let log = self.to.join("wal").join("0000000001.wal");
        remove_if_there(&log)?;
        let extracted = extract(&self.from.join("wal"), &records, &log)?;
        let there_are = state.numbers.applied.saturating_sub(state.numbers.flushed);
        let missing = there_are.saturating_sub(extracted.records);
        let is_whole = gone == 0 && missing == 0;
        if !(is_whole || is_last || self.is_unchanged(&state)?) {
            return Ok(false);
        }
        self.remove_others(&state)?;
        self.done.missing_segments = gone;
        self.done.missing_records = missing;
        self.done.files += 1;
        self.done.bytes += extracted.bytes;
        self.done.of_bytes = self.done.bytes;
        (self.progress)(self.done);
        Ok(true)
    }

    /// The catalog at its latest commit, copied.
    fn catalog(&mut self) -> Result<State, StoreError> {
        let target = self.to.join("catalog.db");
        remove_if_there(&target)?;
        let name = target.to_str().ok_or_else(|| {
            engine(format!("{} is not UTF-8, which SQLite needs", target.display()))
        })?;
        let live = schema::open_reader(&self.from.join("catalog.db"))?;
        live.execute("VACUUM INTO ?1", [name]).map_err(from_sqlite)?;
        drop(live);
        let bytes = synced_length(&target).map_err(|e| from_io("copy the catalog", &e))?;
        self.done.files += 1;
        self.done.bytes += bytes;
        State::read(&target)
    }

    /// Copies the segments that are not copied yet; answers how many were not there.
    fn segments(&mut self, state: &State) -> Result<u64, StoreError> {
        let there = |name: &PathBuf| self.to.join(name).exists();
        let left: Vec<(PathBuf, u64)> =
            state.segments.iter().filter(|(name, _)| !there(name)).cloned().collect();
        self.done.of_bytes = self.done.bytes + left.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let mut missing = 0;
        for (name, _) in &left {
            if self.from.join(name).exists() && self.file_if_there(name)? {
                continue;
            }
            missing += 1;
        }
        Ok(missing)
    }

    /// Whether the live catalog still names what this state names: what is gone then is gone for good.
    fn is_unchanged(&self, state: &State) -> Result<bool, StoreError> {
        let now = State::of(&schema::open_reader(&self.from.join("catalog.db"))?)?;
        Ok(now.numbers.flushed == state.numbers.flushed && now.segments == state.segments)
    }

    /// Segments of an earlier attempt that this state does not name.
    fn remove_others(&mut self, state: &State) -> Result<(), StoreError> {
        let named: BTreeSet<&Path> =
            state.segments.iter().map(|(name, _)| name.as_path()).collect();
        let io = |e: &io::Error| from_io("look through the copy", e);
        let mut directories = vec![PathBuf::from("segments")];
        while let Some(directory) = directories.pop() {
            let entries = match fs::read_dir(self.to.join(&directory)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(|e| io(&e))?,
            };
            for entry in entries {
                let entry = entry.map_err(|e| io(&e))?;
                let name = directory.join(entry.file_name());
                if entry.file_type().map_err(|e| io(&e))?.is_dir() {
                    directories.push(name);
                } else if !named.contains(name.as_path()) {
                    fs::remove_file(entry.path()).map_err(|e| io(&e))?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, name: &Path) -> Result<(), StoreError> {
        if self.file_if_there(name)? {
            return Ok(());
        }
        Err(engine(format!("{} went away while it was copied", self.from.join(name).display())))
    }

    /// Copies a file; answers whether there was one.
    fn file_if_there(&mut self, name: &Path) -> Result<bool, StoreError> {
        let (from, to) = (self.from.join(name), self.to.join(name));
        if let Some(parent) = name.parent() {
            self.make_dir(parent)?;
        }
        match fs::copy(&from, &to).and_then(|_| synced_length(&to)) {
            Ok(bytes) => {
                self.done.files += 1;
                self.done.bytes += bytes;
                (self.progress)(self.done);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                remove_if_there(&to)?;
                Ok(false)
            }
            Err(error) => Err(from_io(&format!("copy {}", from.display()), &error)),
        }
    }

    fn make_dir(&self, name: &Path) -> Result<(), StoreError> {
        let path = self.to.join(name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|e| from_io(&format!("make {}", path.display()), &e))
    }
}

fn synced_length(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(from_io(&format!("remove {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}

/// What a catalog says of the files beside it.
struct State {
    numbers: Numbers,
    /// Their names below the data directory, and their lengths.
    segments: Vec<(PathBuf, u64)>,
}

impl State {
    fn read(path: &Path) -> Result<Self, StoreError> {
        Self::of(&schema::open_reader(path)?)
    }

    fn of(conn: &Connection) -> Result<Self, StoreError> {
        let read = || -> rusqlite::Result<Vec<(PathBuf, u64)>> {
            let sql = "SELECT path, bytes FROM segments ORDER BY path";
            conn.prepare(sql)?
                .query_map([], |row| {
                    let name: String = row.get(0)?;
                    let bytes: i64 = row.get(1)?;
                    Ok((Path::new("segments").join(name), bytes.cast_unsigned()))
                })?
                .collect()
        };
        Ok(Self { segments: read().map_err(from_sqlite)?, numbers: Numbers::read(conn)? })
    }
}
