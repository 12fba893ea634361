//! Taking over what dead processes left: their locks are free, their records are not yet shipped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use staso_model::ProcessId;

use crate::batch::{Batch, BatchLimits};
use crate::destination::Destination;
use crate::error::JournalError;
use crate::header::SegmentHeader;
use crate::lock::{Lock, is_held};
use crate::outlet::{Outlet, delete};

/// The most segments taken at once: each is an open file and a lock.
const ADOPT_MAX: usize = 64;
/// Leftovers of processes that died while making a segment, or that left nothing, are swept away
/// after this long.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) const SEGMENT: &str = "seg";
pub(crate) const UNBORN: &str = "tmp";
const PRESENCE: &str = "live";

/// A segment of a dead process, locked by this one until it is dropped.
#[derive(Debug)]
pub struct Adopted {
    outlet: Outlet,
    end: u64,
    _lock: Lock,
}

/// Takes the free segments that a shipper bound for `destination` may ship, oldest first. The
/// segments of live processes are theirs; a directory that does not exist holds none.
#[must_use]
pub fn adopt(dir: &Path, destination: &Destination) -> Vec<Adopted> {
    adopt_where(dir, |other| destination.may_ship(other))
}

/// As [`adopt`], for a shipper that judges a segment's destination itself: a server knows by how
/// many names it can be reached.
#[must_use]
pub fn adopt_where(dir: &Path, may_ship: impl Fn(&Destination) -> bool) -> Vec<Adopted> {
    let mut adopted: Vec<Adopted> = files(dir, SEGMENT)
        .into_iter()
        .filter_map(|path| Adopted::take(&path, &may_ship).ok().flatten())
        .take(ADOPT_MAX)
        .collect();
    adopted.sort_by_key(|segment| segment.header().created_ns);
    sweep(dir);
    adopted
}

impl Adopted {
    fn take(
        path: &Path,
        may_ship: &impl Fn(&Destination) -> bool,
    ) -> Result<Option<Self>, JournalError> {
        // Most files in a busy directory are not for us; look before locking.
        let is_ours = |outlet: &Outlet| may_ship(&outlet.header().destination);
        if !Outlet::open(path)?.is_some_and(|outlet| is_ours(&outlet)) {
            return Ok(None);
        }
        let Some(lock) = Lock::try_take(path).map_err(JournalError::io(path))? else {
            return Ok(None);
        };
        // Read again under the lock: its last holder may have shipped more, or deleted it.
        let Some(outlet) = Outlet::open(path)?.filter(|_| lock.is_linked()) else {
            return Ok(None);
        };
        let end = outlet.file_end()?;
        Ok(Some(Self { outlet, end, _lock: lock }))
    }

    /// Whose segment it is and where its records go.
    #[must_use]
    pub fn header(&self) -> &SegmentHeader {
        self.outlet.header()
    }

    /// The batch its process was sending when it died, with the same key; else the next one.
    /// `None` when everything has been acknowledged.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn next_batch(&mut self, limits: BatchLimits) -> Result<Option<Batch>, JournalError> {
        self.outlet.next_batch(self.end, limits)
    }

    /// Remembers that this batch is delivered.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`] or [`JournalError::Io`] where the file does not say so: this process goes on
    /// behind the batch, but another may see it again.
    pub fn acknowledge(&mut self, batch: &Batch) -> Result<(), JournalError> {
        self.outlet.acknowledge(batch)
    }

    /// Forgets how the current batch was cut, so that the next one follows other limits.
    ///
    /// # Errors
    /// As [`Adopted::acknowledge`].
    pub fn abandon(&mut self) -> Result<(), JournalError> {
        self.outlet.abandon()
    }

    /// Gives the segment back: deletes the file if everything in it is acknowledged, else frees
    /// its lock for another.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn finish(mut self) -> Result<(), JournalError> {
        if self.outlet.count_left(self.end)? == 0 { self.outlet.delete() } else { Ok(()) }
    }
}

/// Whether a process that records here lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It holds its lock.
    Alive,
    /// Its lock is free: it ended without a goodbye.
    Dead,
    /// Nothing here is, or is still, of that process.
    Unknown,
}

/// Whether this process lives. Only looks; takes no lock away from anyone.
#[must_use]
pub fn process_state(dir: &Path, process_id: ProcessId) -> ProcessState {
    match is_held(&presence_path(dir, process_id)) {
        Ok(true) => ProcessState::Alive,
        Ok(false) => ProcessState::Dead,
        Err(_) => ProcessState::Unknown,
    }
}

/// The file whose lock says that a process lives.
pub(crate) fn presence_path(dir: &Path, process_id: ProcessId) -> PathBuf {
    dir.join(format!("{process_id}.{PRESENCE}"))
}

/// The files of a directory with this suffix; none when it cannot be read.
pub(crate) fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|found| found == suffix))
        .collect()
}

/// Deletes old files that no process holds and that hold no records.
fn sweep(dir: &Path) {
    for path in files(dir, PRESENCE).into_iter().chain(files(dir, UNBORN)) {
        let is_old = |path: &Path| -> io::Result<bool> {
            let age = SystemTime::now().duration_since(fs::metadata(path)?.modified()?);
            Ok(age.is_ok_and(|age| age > LEFTOVER_AGE))
        };
        if is_old(&path).unwrap_or(false)
            && let Ok(Some(_lock)) = Lock::try_take(&path)
        {
            let _ = delete(&path);
        }
    }
}
