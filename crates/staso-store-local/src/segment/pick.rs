//! Some columns of some rows: what search reads. Only the pages that hold them are read.

use std::ops::Range;

use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;

use super::columns::{COLUMNS, Cell};
use super::read::{Segment, read};

/// So many pages of long texts are read together: a few megabytes of text, more where long prompts repeat.
const CHUNK_PAGES: usize = 2;

impl Segment {
    /// These columns of a range of rows, column by column; the error says what is wrong.
    pub(crate) fn picked<const N: usize>(
        &self,
        range: &Range<u64>,
        names: [&str; N],
    ) -> Result<[Vec<Cell>; N], String> {
        let count = usize::try_from(range.end - range.start).unwrap_or_default();
        let skip = usize::try_from(range.start).unwrap_or(usize::MAX);
        let pick = |name: &str| -> Result<Vec<Cell>, ParquetError> {
            let column = position(name);
            read(self.column_reader(column)?, skip, count)
        };
        let mut columns = [const { Vec::new() }; N];
        for (column, name) in columns.iter_mut().zip(names) {
            *column = pick(name).map_err(|e| e.to_string())?;
        }
        Ok(columns)
    }

    /// A range of rows in pieces that begin where pages of long texts do, so that few pages are read
    /// twice and none of the pieces is large.
    pub(crate) fn chunks(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut starts: Vec<u64> = ["input", "output"]
            .into_iter()
            .flat_map(|name| self.page_starts(position(name)))
            .filter(|row| range.contains(row))
            .collect();
        starts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = range.start;
        for at in starts.into_iter().skip(CHUNK_PAGES).step_by(CHUNK_PAGES) {
            if at > from {
                chunks.push(from..at);
                from = at;
            }
        }
        if from < range.end {
            chunks.push(from..range.end);
        }
        chunks
    }

    fn page_starts(&self, column: usize) -> Vec<u64> {
        // A segment is one row group.
        let index = self.reader.metadata().offset_index().and_then(|groups| groups.first());
        let pages = index.and_then(|columns| columns.get(column));
        let pages = pages.into_iter().flat_map(|pages| pages.page_locations());
        pages.map(|page| page.first_row_index.cast_unsigned()).collect()
    }
}

/// Where a column stands; one that is none of ours is behind the last.
fn position(name: &str) -> usize {
    COLUMNS.iter().position(|(known, _)| *known == name).unwrap_or(COLUMNS.len())
}
