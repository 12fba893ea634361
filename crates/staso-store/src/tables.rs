//! A workspace's tables as files, for programs that compute over all of it: SQL, exports.
//!
//! A table is one or more Parquet files of the same columns. They are handed over open, so that
//! whoever reads them needs no path, and reads on where the store removes a file meanwhile.

use std::fs::File;
use std::io;

/// A table of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The newest version of every span, with the columns of a segment.
    Spans,
    /// A row per trace, as the lists show it.
    Traces,
    /// Every annotation.
    Annotations,
}

/// Which tables are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablesQuery {
    /// The workspace; nothing of another is in the answer.
    pub workspace: String,
    /// The tables, each once.
    pub tables: Vec<Table>,
    /// When the state of a trace is judged.
    pub now_ns: i64,
}

/// One file of a table.
#[derive(Debug)]
pub struct TableFile {
    /// Whose rows it has.
    pub table: Table,
    /// The file, open for reading; its offset means nothing.
    pub file: File,
    /// How many rows it has, those that do not count included.
    pub rows: u64,
    /// Rows that do not count, counted from the first of the file, ascending.
    pub deleted: Vec<u64>,
}

/// Takes the files one by one. It may block.
pub trait TableSink: Send {
    /// Takes a file.
    ///
    /// # Errors
    /// Where nobody takes it any more: the store ends its work and answers
    /// [`StoreError::Closed`](crate::StoreError::Closed).
    fn take(&mut self, file: TableFile) -> io::Result<()>;
}
