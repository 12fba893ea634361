//! The directory's budget: how much is there, what goes first, and what was set aside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::adopt::{SEGMENT, files};
use crate::batch::{Batch, WireForm};
use crate::error::JournalError;
use crate::home::{create_private_dir, private_options};
use crate::lock::Lock;
use crate::outlet::{Outlet, delete};
use crate::segment::Live;
use crate::storage::{disk_bytes, within_limit};

/// Batches that a server refused for good, kept for a person to look at.
pub(crate) const REJECTED: &str = "rejected";

/// Bytes in the directory, what was set aside included.
pub(crate) fn measure(dir: &Path) -> u64 {
    let size_of = |dir: &Path| -> u64 {
        let Ok(entries) = fs::read_dir(dir) else { return 0 };
        entries
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .filter(fs::Metadata::is_file)
            .map(|data| disk_bytes(&data))
            .sum()
    };
    size_of(dir) + size_of(&dir.join(REJECTED))
}

/// What was deleted to make room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) is_own: bool,
    pub(crate) records: u64,
    /// Announcements of open spans, which are not among the records.
    pub(crate) announcements: u64,
    pub(crate) bytes: u64,
}

/// Deletes the oldest segment that is sealed and ours (`own`, oldest first) or that nobody holds.
/// `None` when there is none to delete.
pub(crate) fn evict_oldest(dir: &Path, own: &[Arc<Live>]) -> Option<Evicted> {
    let mut candidates: Vec<(i64, PathBuf)> = files(dir, SEGMENT)
        .into_iter()
        .map(|path| {
            let header = Outlet::open(&path).ok().flatten();
            // What cannot be read at all goes first.
            (header.map_or(i64::MIN, |outlet| outlet.header().created_ns), path)
        })
        .collect();
    candidates.sort();
    candidates.iter().find_map(|(_, path)| match own.iter().find(|live| live.path == *path) {
        Some(live) => evict_own(live),
        None => evict_free(path),
    })
}

fn evict_own(live: &Live) -> Option<Evicted> {
    if !live.is_sealed.load(Ordering::Acquire) || live.is_evicted.swap(true, Ordering::AcqRel) {
        return None;
    }
    delete(&live.path).ok()?;
    let bytes = live.size.load(Ordering::Relaxed);
    let announcements = live.announcements_left();
    let records = live.left().saturating_sub(announcements);
    Some(Evicted { is_own: true, records, announcements, bytes })
}

fn evict_free(path: &Path) -> Option<Evicted> {
    let lock = Lock::try_take(path).ok().flatten()?;
    let data = fs::metadata(path).ok().filter(|_| lock.is_linked())?;
    let outlet = Outlet::open(path).ok().flatten();
    let records = outlet.map_or(0, |mut outlet| outlet.count_left(data.len()).unwrap_or_default());
    delete(path).ok()?;
    Some(Evicted { is_own: false, records, announcements: 0, bytes: disk_bytes(&data) })
}

/// Keeps a batch that a server refused for good: its body as `rejected/<key>.json` and the reason
/// beside it. Nothing is kept beyond the budget.
///
/// # Errors
/// [`JournalError::Full`], [`JournalError::DiskFull`] or [`JournalError::Io`].
pub fn set_aside(
    dir: &Path,
    batch: &Batch,
    reason: &str,
    budget_bytes: u64,
) -> Result<PathBuf, JournalError> {
    let body = batch.body(WireForm::Values);
    if measure(dir) + body.len() as u64 > budget_bytes {
        return Err(JournalError::Full);
    }
    let rejected = dir.join(REJECTED);
    create_private_dir(&rejected).map_err(JournalError::io(&rejected))?;
    let path = rejected.join(format!("{}.json", batch.key));
    write_private(&path, &body)?;
    write_private(&path.with_extension("reason.txt"), reason.as_bytes())?;
    Ok(path)
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    use std::io::Write;
    within_limit(bytes.len() as u64).map_err(JournalError::io(path))?;
    let mut options = private_options();
    let file = options.write(true).create(true).truncate(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(JournalError::io(path))
}
