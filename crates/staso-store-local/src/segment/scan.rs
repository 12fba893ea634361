//! Columns of a segment from end to end: what adding up reads. Payloads are never touched.
//!
//! Only the columns that are wanted are decoded, in runs of rows, each into one vector: a value of a
//! dictionary is shared by all rows that have it.

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;

use super::columns::COLUMNS;
use super::read::Segment;

/// Rows that are decoded together: some columns of so many fit the processor's caches.
const RUN_ROWS: usize = 32_768;

/// The values of one column in one run, taken row by row.
pub(crate) struct Column<T> {
    levels: Vec<i16>,
    values: Vec<T>,
    row: usize,
    value: usize,
}

impl<T> Column<T> {
    /// The next row's value.
    pub(crate) fn take(&mut self) -> Option<&T> {
        let level = self.levels.get(self.row).copied().unwrap_or_default();
        self.row += 1;
        if level == 0 {
            return None;
        }
        self.value += 1;
        self.values.get(self.value - 1)
    }

    /// Every row's value, from the first row on; a column that was not read has none.
    pub(crate) fn each(&self) -> impl Iterator<Item = Option<&T>> {
        let mut values = self.values.iter();
        self.levels.iter().map(move |level| if *level == 0 { None } else { values.next() })
    }
}

/// A column that is read run by run; one that is not wanted has only nulls.
pub(crate) struct Reading<T: DataType> {
    reader: Option<ColumnReaderImpl<T>>,
}

impl<T: DataType> Reading<T> {
    /// The next `rows` rows; they are all nulls where the column is not wanted.
    pub(crate) fn run(&mut self, rows: usize) -> Result<Column<T::T>, String> {
        let mut run = Column { levels: Vec::new(), values: Vec::new(), row: 0, value: 0 };
        let Some(reader) = &mut self.reader else { return Ok(run) };
        while run.levels.len() < rows {
            let left = rows - run.levels.len();
            let read = reader.read_records(left, Some(&mut run.levels), None, &mut run.values);
            let (records, _, _) = read.map_err(|e| e.to_string())?;
            if records == 0 {
                return Err("the column ends too early".to_owned());
            }
        }
        Ok(run)
    }
}

impl Segment {
    /// Lengths of the runs in which a segment is read.
    pub(crate) fn runs(&self) -> impl Iterator<Item = usize> + use<> {
        let rows = self.reader.metadata().file_metadata().num_rows();
        let mut left = usize::try_from(rows).unwrap_or_default();
        std::iter::from_fn(move || {
            let run = left.min(RUN_ROWS);
            left -= run;
            (run > 0).then_some(run)
        })
    }

    /// A column of whole numbers.
    pub(crate) fn ints(
        &self,
        name: &str,
        is_wanted: bool,
    ) -> Result<Reading<parquet::data_type::Int64Type>, String> {
        self.column(name, is_wanted, |column| match column {
            ColumnReader::Int64ColumnReader(column) => Some(column),
            _ => None,
        })
    }

    /// A column of real numbers.
    pub(crate) fn reals(
        &self,
        name: &str,
        is_wanted: bool,
    ) -> Result<Reading<parquet::data_type::DoubleType>, String> {
        self.column(name, is_wanted, |column| match column {
            ColumnReader::DoubleColumnReader(column) => Some(column),
            _ => None,
        })
    }

    /// A column of flags.
    pub(crate) fn flags(
        &self,
        name: &str,
        is_wanted: bool,
    ) -> Result<Reading<parquet::data_type::BoolType>, String> {
        self.column(name, is_wanted, |column| match column {
            ColumnReader::BoolColumnReader(column) => Some(column),
            _ => None,
        })
    }

    /// A column of texts.
    pub(crate) fn texts(
        &self,
        name: &str,
        is_wanted: bool,
    ) -> Result<Reading<parquet::data_type::ByteArrayType>, String> {
        self.column(name, is_wanted, |column| match column {
            ColumnReader::ByteArrayColumnReader(column) => Some(column),
            _ => None,
        })
    }

    /// A column of ids.
    pub(crate) fn ids(
        &self,
        name: &str,
        is_wanted: bool,
    ) -> Result<Reading<parquet::data_type::FixedLenByteArrayType>, String> {
        self.column(name, is_wanted, |column| match column {
            ColumnReader::FixedLenByteArrayColumnReader(column) => Some(column),
            _ => None,
        })
    }

    fn column<T: DataType>(
        &self,
        name: &str,
        is_wanted: bool,
        typed: impl Fn(ColumnReader) -> Option<ColumnReaderImpl<T>>,
    ) -> Result<Reading<T>, String> {
        if !is_wanted {
            return Ok(Reading { reader: None });
        }
        let read = || -> Result<Option<ColumnReaderImpl<T>>, ParquetError> {
            let Some(at) = COLUMNS.iter().position(|(known, _)| *known == name) else {
                return Ok(None);
            };
            Ok(typed(self.column_reader(at)?))
        };
        let reader = read().map_err(|e| e.to_string())?;
        let reader = reader.ok_or_else(|| format!("the column {name} is not what it should be"))?;
        Ok(Reading { reader: Some(reader) })
    }
}

/// Sixteen bytes of an id's column; zeros where there are none, which no sound file has.
pub(crate) fn id_of(value: Option<&FixedLenByteArray>) -> [u8; 16] {
    value.and_then(|value| value.data().try_into().ok()).unwrap_or_default()
}

/// The text of a column's value.
pub(crate) fn text_of(value: Option<&ByteArray>) -> Option<&str> {
    value.and_then(|value| std::str::from_utf8(value.data()).ok())
}
