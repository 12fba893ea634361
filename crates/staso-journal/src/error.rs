//! Why the journal could not do something.

use std::io;
use std::path::{Path, PathBuf};

/// Why the journal could not do something.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory has reached its budget.
    #[error("the journal is full")]
    Full,
    /// The disk, or this user's or program's share of it, has no room. That may pass.
    #[error("the disk has no room for the journal")]
    DiskFull,
    /// One record is larger than any segment may be.
    #[error("a record of {bytes} bytes is larger than the journal keeps")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// The file system refused.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl JournalError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull,
            _ => Self::Io { path: path.to_owned(), source },
        }
    }
}
