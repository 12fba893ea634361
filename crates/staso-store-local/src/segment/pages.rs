//! Pages of a column, decompressed by a decompressor that stays with its thread.
//!
//! The library makes a compressor and a decompressor for each column that is opened. To read one trace opens
//! most columns for a page each, and making these took a third of the time. So the library is told that nothing
//! is compressed, and what it hands over is decompressed here.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{SerializedFileReader, SerializedPageReader};

use super::checked::Checked;
use super::read::Segment;
use crate::decompressor;

/// A column, and whether its pages are compressed.
pub(super) struct Chunk {
    /// As if it were not.
    plain: ColumnChunkMetaData,
    is_compressed: bool,
}

/// The columns of a segment, which is one row group.
pub(super) fn chunks(reader: &SerializedFileReader<Checked>) -> Result<Vec<Chunk>, ParquetError> {
    let chunk = |column: &ColumnChunkMetaData| {
        let is_compressed = match column.compression() {
            Compression::UNCOMPRESSED => false,
            Compression::ZSTD(_) => true,
            other => return Err(ParquetError::General(format!("{other} is not read here"))),
        };
        let plain = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        Ok(Chunk { plain: plain.build()?, is_compressed })
    };
    reader.metadata().row_group(0).columns().iter().map(chunk).collect()
}

impl Segment {
    /// Reads a column from its first row on.
    pub(super) fn column_reader(&self, at: usize) -> Result<ColumnReader, ParquetError> {
        let missing = || ParquetError::General("the file has no such column".to_owned());
        let chunk = self.chunks.get(at).ok_or_else(missing)?;
        let index = self.reader.metadata().offset_index().and_then(|groups| groups.first());
        let pages = index.and_then(|columns| columns.get(at));
        let pages = pages.map(|column| column.page_locations().clone());
        let rows = usize::try_from(self.len()).unwrap_or(usize::MAX);
        let reader =
            SerializedPageReader::new(Arc::new(self.file.clone()), &chunk.plain, rows, pages)?;
        let pages = Pages { reader, is_compressed: chunk.is_compressed };
        Ok(get_column_reader(chunk.plain.column_descr_ptr(), Box::new(pages)))
    }
}

/// The pages of one column.
struct Pages {
    reader: SerializedPageReader<Checked>,
    is_compressed: bool,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let Some(mut page) = self.reader.get_next_page()? else { return Ok(None) };
        if self.is_compressed {
            open(&mut page)?;
        }
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.reader.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.reader.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool, ParquetError> {
        self.reader.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// Decompresses a page where it stands.
fn open(page: &mut Page) -> Result<(), ParquetError> {
    match page {
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => {
            *buf = decompress(buf, 0)?;
        }
        Page::DataPageV2 {
            buf, def_levels_byte_len, rep_levels_byte_len, is_compressed, ..
        } => {
            if *is_compressed {
                // In pages of this sort levels are left as they are.
                let levels = def_levels_byte_len.saturating_add(*rep_levels_byte_len);
                *buf = decompress(buf, levels as usize)?;
            }
        }
    }
    Ok(())
}

/// No page is larger than a value of it and some more, and no value than a batch. A greater length is damage.
const MAX_PAGE: usize = 1 << 30;

/// The page with all but its first bytes decompressed.
fn decompress(page: &Bytes, plain: usize) -> Result<Bytes, ParquetError> {
    let fail = |problem: &str| ParquetError::General(format!("a page: {problem}"));
    let (levels, body) = page.split_at_checked(plain).ok_or_else(|| fail("it is too short"))?;
    if body.is_empty() {
        return Ok(page.clone());
    }
    let length = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
    let length = length.and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| *length <= MAX_PAGE).ok_or_else(|| fail("no length"))?;
    let mut bytes = vec![0; levels.len() + length];
    bytes[..levels.len()].copy_from_slice(levels);
    let room = &mut bytes[levels.len()..];
    let written = decompressor::with(|it| it.decompress_to_buffer(body, room));
    match written.map_err(|e| fail(&e.to_string()))? == length {
        true => Ok(bytes.into()),
        false => Err(fail("it has another length than it says")),
    }
}
