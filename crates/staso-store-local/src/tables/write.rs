//! Rows of cells into a Parquet file without a name, some thousands at a time.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use staso_store::StoreError;

use crate::error::from_io;
use crate::segment::columns::{Cell, Sort, schema_of};
use crate::segment::write_cells;

/// Rows that are held in memory and stand in one row group.
const GROUP_ROWS: usize = 16_384;
/// The file is read once and thrown away.
const LEVEL: i32 = 1;

/// A file that has no name. Its bytes are the disk's again when nobody holds it.
pub(super) fn nameless(place: &Path) -> Result<File, StoreError> {
    tempfile::tempfile_in(place).map_err(|e| from_io("make a file for a query", &e))
}

/// All bytes into such a file.
pub(super) fn write_all(mut file: &File, bytes: &[u8]) -> Result<(), StoreError> {
    file.write_all(bytes).map_err(|e| from_io("write a file for a query", &e))
}

/// A table that is written row by row.
pub(super) struct Rows<'a> {
    writer: SerializedFileWriter<File>,
    columns: &'a [(&'a str, Sort)],
    group: Vec<Vec<Cell>>,
    rows: u64,
}

impl<'a> Rows<'a> {
    /// A new file of these columns.
    pub(super) fn new(place: &Path, columns: &'a [(&'a str, Sort)]) -> Result<Self, StoreError> {
        let file = nameless(place)?;
        let make = || -> Result<_, ParquetError> {
            let level = ZstdLevel::try_new(LEVEL)?;
            let properties =
                WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
            SerializedFileWriter::new(file, schema_of(columns)?, Arc::new(properties))
        };
        let writer = make().map_err(|e| from_parquet(&e))?;
        Ok(Self { writer, columns, group: Vec::new(), rows: 0 })
    }

    /// One more row, with a cell for each column.
    pub(super) fn push(&mut self, cells: Vec<Cell>) -> Result<(), StoreError> {
        if self.group.is_empty() {
            self.group = self.columns.iter().map(|_| Vec::new()).collect();
        }
        for (column, cell) in self.group.iter_mut().zip(cells) {
            column.push(cell);
        }
        self.rows += 1;
        if self.group.first().is_some_and(|column| column.len() >= GROUP_ROWS) {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), StoreError> {
        let table = std::mem::take(&mut self.group);
        let mut write = || -> Result<(), ParquetError> {
            let mut group = self.writer.next_row_group()?;
            let mut cells = table.iter();
            while let (Some(mut column), Some(cells)) = (group.next_column()?, cells.next()) {
                write_cells(column.untyped(), cells)?;
                column.close()?;
            }
            group.close().map(drop)
        };
        write().map_err(|e| from_parquet(&e))
    }

    /// The file, and how many rows it has.
    pub(super) fn finish(mut self) -> Result<(File, u64), StoreError> {
        if !self.group.is_empty() {
            self.end_group()?;
        }
        let file = self.writer.into_inner().map_err(|e| from_parquet(&e))?;
        Ok((file, self.rows))
    }
}

fn from_parquet(error: &ParquetError) -> StoreError {
    if let ParquetError::External(inner) = error
        && let Some(error) = inner.downcast_ref::<io::Error>()
    {
        return from_io("write a file for a query", error);
    }
    StoreError::Engine(format!("cannot write a file for a query: {error}"))
}
