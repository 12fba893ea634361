//! Rows of a segment by their place in the file. Only the pages that hold them are read.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use staso_store::StoreError;

use super::checked::Checked;
use super::columns::{COLUMNS, Cell};
use super::pages::{self, Chunk};

/// An open segment. Its footer stays in memory.
pub(crate) struct Segment {
    pub(super) reader: SerializedFileReader<Checked>,
    pub(super) file: Checked,
    pub(super) chunks: Vec<Chunk>,
    refused: Arc<AtomicU64>,
}

/// Why a file could not be opened.
pub(crate) enum Problem {
    /// It is gone, or its bytes are not what was written.
    Damaged(String),
    /// The system refused: this says nothing about the file, and may pass.
    Refused(String),
}

impl Problem {
    /// What it is, whichever it is.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Damaged(text) | Self::Refused(text) => text,
        }
    }
}

impl Segment {
    /// Opens a file and reads its footer; the error says what is wrong.
    pub(crate) fn open(path: &Path, checksums: Vec<u8>) -> Result<Self, Problem> {
        let file = Checked::open(path, checksums).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Problem::Damaged(e.to_string()),
            _ => Problem::Refused(e.to_string()),
        })?;
        let (refused, reading) = (file.refused(), file.clone());
        let options = ReadOptionsBuilder::new().with_page_index().build();
        let reader =
            SerializedFileReader::new_with_options(reading, options).map_err(|e| match refused
                .load(Ordering::Relaxed)
            {
                0 => Problem::Damaged(e.to_string()),
                _ => Problem::Refused(e.to_string()),
            })?;
        let names = reader.metadata().file_metadata().schema_descr().columns();
        let is_ours = names.len() == COLUMNS.len()
            && names.iter().zip(COLUMNS).all(|(column, (name, _))| column.name() == name)
            && reader.num_row_groups() == 1;
        if !is_ours {
            return Err(Problem::Damaged("its columns are not ours".to_owned()));
        }
        let chunks = pages::chunks(&reader).map_err(|e| Problem::Damaged(e.to_string()))?;
        Ok(Self { reader, file, chunks, refused })
    }

    /// How many reads the system has refused so far, other threads' included.
    pub(crate) fn refusals(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> u64 {
        self.reader.metadata().file_metadata().num_rows().cast_unsigned()
    }

    /// The first `columns` columns of a range of rows, row by row. A row that cannot be read is an
    /// error of its own; a read that the system refused is one of the whole.
    pub(crate) fn rows(
        &self,
        range: Range<u64>,
        columns: usize,
    ) -> Result<Vec<Result<Vec<Cell>, String>>, StoreError> {
        // Another thread's refusal may be counted for ours: then ours is only tried again.
        let before = self.refused.load(Ordering::Relaxed);
        match self.try_rows(&range, columns) {
            Ok(rows) => Ok(rows.into_iter().map(Ok).collect()),
            Err(error) if self.refused.load(Ordering::Relaxed) != before => {
                Err(StoreError::Engine(format!("a segment cannot be read: {error}")))
            }
            Err(error) if range.end - range.start <= 1 => Ok(vec![Err(error.to_string())]),
            Err(_) => {
                // Somewhere in it a page is damaged: the halves may be sound.
                let middle = range.start.midpoint(range.end);
                let mut rows = self.rows(range.start..middle, columns)?;
                rows.extend(self.rows(middle..range.end, columns)?);
                Ok(rows)
            }
        }
    }

    fn try_rows(&self, range: &Range<u64>, columns: usize) -> Result<Vec<Vec<Cell>>, ParquetError> {
        let count = usize::try_from(range.end - range.start).unwrap_or_default();
        let skip = usize::try_from(range.start).unwrap_or(usize::MAX);
        let mut rows: Vec<Vec<Cell>> = (0..count).map(|_| Vec::with_capacity(columns)).collect();
        for column in 0..columns {
            let cells = read(self.column_reader(column)?, skip, count)?;
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.push(cell);
            }
        }
        Ok(rows)
    }
}

pub(super) fn read(
    column: ColumnReader,
    skip: usize,
    count: usize,
) -> Result<Vec<Cell>, ParquetError> {
    match column {
        ColumnReader::ByteArrayColumnReader(column) => cells(column, skip, count, Cell::Bytes),
        ColumnReader::FixedLenByteArrayColumnReader(column) => {
            cells(column, skip, count, |value| Cell::Bytes(ByteArray::from(value)))
        }
        ColumnReader::Int64ColumnReader(column) => cells(column, skip, count, Cell::Int),
        ColumnReader::DoubleColumnReader(column) => cells(column, skip, count, Cell::Real),
        ColumnReader::BoolColumnReader(column) => cells(column, skip, count, Cell::Flag),
        _ => Err(ParquetError::General("a column has another type".to_owned())),
    }
}

fn cells<T: DataType>(
    mut column: ColumnReaderImpl<T>,
    skip: usize,
    count: usize,
    cell: impl Fn(T::T) -> Cell,
) -> Result<Vec<Cell>, ParquetError> {
    let short = || ParquetError::General("the column ends too early".to_owned());
    if skip > 0 && column.skip_records(skip)? != skip {
        return Err(short());
    }
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    while levels.len() < count {
        let (read, _, _) =
            column.read_records(count - levels.len(), Some(&mut levels), None, &mut values)?;
        if read == 0 {
            return Err(short());
        }
    }
    let mut values = values.into_iter();
    let next = |level: i16| if level == 0 { Some(Cell::Null) } else { values.next().map(&cell) };
    levels.into_iter().map(next).collect::<Option<_>>().ok_or_else(short)
}
