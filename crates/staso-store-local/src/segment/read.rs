//! Rows of a segment by their place in the file. Only the pages that hold them are read.

use std::ops::Range;
use std::path::Path;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

use super::checked::Checked;
use super::columns::{COLUMNS, Cell};

/// An open segment. Its footer stays in memory.
pub(crate) struct Segment {
    pub(super) reader: SerializedFileReader<Checked>,
}

impl Segment {
    /// Opens a file and reads its footer; the error says what is wrong.
    pub(crate) fn open(path: &Path, checksums: Vec<u8>) -> Result<Self, String> {
        let file = Checked::open(path, checksums).map_err(|e| e.to_string())?;
        let options = ReadOptionsBuilder::new().with_page_index().build();
        let reader =
            SerializedFileReader::new_with_options(file, options).map_err(|e| e.to_string())?;
        let names = reader.metadata().file_metadata().schema_descr().columns();
        let is_ours = names.len() == COLUMNS.len()
            && names.iter().zip(COLUMNS).all(|(column, (name, _))| column.name() == name)
            && reader.num_row_groups() == 1;
        if is_ours { Ok(Self { reader }) } else { Err("its columns are not ours".to_owned()) }
    }

    /// The first `columns` columns of a range of rows, row by row. A row that cannot be read is an
    /// error of its own.
    pub(crate) fn rows(&self, range: Range<u64>, columns: usize) -> Vec<Result<Vec<Cell>, String>> {
        match self.try_rows(&range, columns) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) if range.end - range.start <= 1 => vec![Err(error.to_string())],
            Err(_) => {
                // Somewhere in it a page is damaged: the halves may be sound.
                let middle = range.start.midpoint(range.end);
                let mut rows = self.rows(range.start..middle, columns);
                rows.extend(self.rows(middle..range.end, columns));
                rows
            }
        }
    }

    fn try_rows(&self, range: &Range<u64>, columns: usize) -> Result<Vec<Vec<Cell>>, ParquetError> {
        let count = usize::try_from(range.end - range.start).unwrap_or_default();
        let skip = usize::try_from(range.start).unwrap_or(usize::MAX);
        let mut rows: Vec<Vec<Cell>> = (0..count).map(|_| Vec::with_capacity(columns)).collect();
        let group = self.reader.get_row_group(0)?;
        for column in 0..columns {
            let cells = read(group.get_column_reader(column)?, skip, count)?;
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.push(cell);
            }
        }
        Ok(rows)
    }
}

fn read(column: ColumnReader, skip: usize, count: usize) -> Result<Vec<Cell>, ParquetError> {
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
