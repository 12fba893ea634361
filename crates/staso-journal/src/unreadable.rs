//! Segment files whose front cannot be read: found and told apart, so that nobody passes over them
//! in silence.
//!
//! A torn end loses only itself; a torn front loses the destination, and without it nobody may ship
//! the records. Such a file is put where a person finds it. A file of a later format is whole and is
//! left to a program that knows it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::adopt::{SEGMENT, files};
use crate::budget::{REJECTED, measure, write_private};
use crate::error::JournalError;
use crate::header::{HEADER_MAX, SegmentHeader, later_format};
use crate::home::create_private_dir;
use crate::lock::{Lock, is_held};
use crate::storage::read_at;

/// A segment that nobody holds and that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub trouble: Trouble,
}

/// Why a segment cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Its front is damaged; no program can ship it.
    Damaged,
    /// It is of this later format; a later version of this program reads it.
    LaterFormat(u32),
    /// The file system refuses; this is what it says.
    Refused(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("its front is damaged, so that nobody knows whose it is"),
            Self::LaterFormat(version) => {
                write!(f, "it was written by a later version (format {version})")
            }
            Self::Refused(what) => write!(f, "it cannot be opened: {what}"),
        }
    }
}

impl Trouble {
    /// What a person can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Damaged => {
                "a running server sets it aside in `rejected` beside it; delete it there when \
                 you need it no more"
            }
            Self::LaterFormat(_) => "update this program, then start the server again",
            Self::Refused(_) => "correct its permissions",
        }
    }
}

/// The segments of a directory that nobody holds and that cannot be read, by path.
#[must_use]
pub fn unreadable(dir: &Path) -> Vec<Unreadable> {
    let mut found: Vec<Unreadable> = files(dir, SEGMENT)
        .into_iter()
        .filter_map(|path| trouble(&path).map(|trouble| Unreadable { path, trouble }))
        // The segment of a living program is that program's affair.
        .filter(|found| !is_held(&found.path).unwrap_or(false))
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// `None` for a segment that can be read, and for one that is gone by now.
fn trouble(path: &Path) -> Option<Trouble> {
    let front = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .and_then(|file| read_at(&file, 0, HEADER_MAX));
    match front {
        Ok(front) if SegmentHeader::decode(&front).is_some() => None,
        Ok(front) => Some(later_format(&front).map_or(Trouble::Damaged, Trouble::LaterFormat)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Trouble::Refused(error.to_string())),
    }
}

/// Moves a damaged segment into `rejected` and writes the reason beside it. `None` when it need not
/// or must not be moved: it is not damaged, or somebody has it. Nothing is kept beyond the budget.
///
/// # Errors
/// [`JournalError::Full`], [`JournalError::DiskFull`] or [`JournalError::Io`]; the segment is where it was.
pub fn set_segment_aside(
    dir: &Path,
    path: &Path,
    budget_bytes: u64,
) -> Result<Option<PathBuf>, JournalError> {
    let Some(lock) = Lock::try_take(path).map_err(JournalError::io(path))? else {
        return Ok(None);
    };
    // Looked at again under the lock: its last holder may have mended or deleted it.
    if !lock.is_linked() || trouble(path) != Some(Trouble::Damaged) {
        return Ok(None);
    }
    if measure(dir) > budget_bytes {
        return Err(JournalError::Full);
    }
    let rejected = dir.join(REJECTED);
    create_private_dir(&rejected).map_err(JournalError::io(&rejected))?;
    let Some(name) = path.file_name() else { return Ok(None) };
    let kept = rejected.join(name);
    let reason = format!("a journal segment: {}\n", Trouble::Damaged);
    write_private(&kept.with_extension("reason.txt"), reason.as_bytes())?;
    fs::rename(path, &kept).map_err(JournalError::io(path))?;
    Ok(Some(kept))
}
