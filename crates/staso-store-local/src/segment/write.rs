//! Spans into the bytes of one Parquet file, in conversation order, and where each trace stands.

use std::collections::HashMap;
use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::FixedLenByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use staso_model::{Span, TraceId};
use staso_store::StoreError;

use super::columns::{self, COLUMNS, Cell, Effort, PAGE_BYTES, REPEATING};
use super::{index, row};

/// Sorts spans as a segment has them: by conversation, trace, name, time. All spans of a trace count to the
/// same conversation, the greatest that one of them names, so that they stand together. Spans of one name follow
/// each other, so that a prompt stands right behind the one that it continues, whatever was called in between.
pub(crate) fn sort(spans: &mut [Arc<Span>]) {
    let mut conversations = HashMap::<TraceId, Option<String>>::new();
    for span in &*spans {
        let known = conversations.entry(span.trace_id).or_default();
        if *known < span.session_id {
            known.clone_from(&span.session_id);
        }
    }
    spans.sort_by(|a, b| {
        let conversation = |span: &Arc<Span>| conversations.get(&span.trace_id);
        let moment = |span: &Arc<Span>| (span.start_ns, span.span_id);
        (conversation(a), a.trace_id, &a.name)
            .cmp(&(conversation(b), b.trace_id, &b.name))
            .then_with(|| moment(a).cmp(&moment(b)))
    });
}

/// The bytes of a segment of these spans, which are sorted.
pub(crate) fn encode(spans: &[Arc<Span>], effort: Effort) -> Result<Vec<u8>, StoreError> {
    let mut table: Vec<Vec<Cell>> =
        COLUMNS.iter().map(|_| Vec::with_capacity(spans.len())).collect();
    for span in spans {
        let cells = row::cells(span).map_err(|e| StoreError::Engine(format!("a span: {e}")))?;
        for (column, cell) in table.iter_mut().zip(cells) {
            column.push(cell);
        }
    }
    let index = index::encode(spans).map_err(|e| index::failed(&e));
    let written = index.and_then(|index| write(&table, &index, effort));
    written.map_err(|e| StoreError::Engine(format!("cannot write a segment: {e}")))
}

fn write(table: &[Vec<Cell>], index: &[u8], effort: Effort) -> Result<Vec<u8>, ParquetError> {
    let repeating = COLUMNS.iter().position(|(name, _)| *name == REPEATING);
    let repeating = repeating.and_then(|at| table.get(at)).into_iter().flatten();
    let largest = repeating.map(|cell| if let Cell::Bytes(it) = cell { it.len() } else { 0 }).max();
    let properties = columns::properties(effort, largest.unwrap_or_default())?;
    let properties: Arc<WriterProperties> = Arc::new(properties);
    let mut writer = SerializedFileWriter::new(Vec::new(), columns::schema()?, properties)?;
    let mut group = writer.next_row_group()?;
    let mut cells = table.iter();
    while let (Some(mut column), Some(cells)) = (group.next_column()?, cells.next()) {
        write_cells(column.untyped(), cells)?;
        column.close()?;
    }
    group.close()?;
    writer.append_key_value_metadata(index::place(writer.bytes_written(), index));
    writer.write_all(index)?;
    writer.into_inner()
}

/// One column of a row group.
pub(crate) fn write_cells(
    column: &mut ColumnWriter<'_>,
    cells: &[Cell],
) -> Result<(), ParquetError> {
    runs(cells).try_for_each(|run| write_run(column, run))
}

/// Cells in runs of about a page, so that the writer looks at the page's size often enough.
fn runs(mut cells: &[Cell]) -> impl Iterator<Item = &[Cell]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let is_full = |cell: &Cell| {
            bytes += if let Cell::Bytes(value) = cell { value.len() } else { 0 };
            bytes >= PAGE_BYTES
        };
        let end = cells.iter().position(is_full).map_or(cells.len(), |at| at + 1);
        let (run, rest) = cells.split_at(end);
        cells = rest;
        (!run.is_empty()).then_some(run)
    })
}

fn write_run(column: &mut ColumnWriter<'_>, cells: &[Cell]) -> Result<(), ParquetError> {
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(*cell != Cell::Null)).collect();
    let bytes = || {
        cells
            .iter()
            .filter_map(|cell| if let Cell::Bytes(b) = cell { Some(b.clone()) } else { None })
    };
    match column {
        ColumnWriter::ByteArrayColumnWriter(column) => {
            column.write_batch(&bytes().collect::<Vec<_>>(), Some(&levels), None)
        }
        ColumnWriter::FixedLenByteArrayColumnWriter(column) => {
            let values: Vec<FixedLenByteArray> = bytes().map(Into::into).collect();
            column.write_batch(&values, Some(&levels), None)
        }
        ColumnWriter::Int64ColumnWriter(column) => {
            let int = |cell: &Cell| if let Cell::Int(n) = cell { Some(*n) } else { None };
            column.write_batch(
                &cells.iter().filter_map(int).collect::<Vec<_>>(),
                Some(&levels),
                None,
            )
        }
        ColumnWriter::DoubleColumnWriter(column) => {
            let real = |cell: &Cell| if let Cell::Real(x) = cell { Some(*x) } else { None };
            let values: Vec<f64> = cells.iter().filter_map(real).collect();
            column.write_batch(&values, Some(&levels), None)
        }
        ColumnWriter::BoolColumnWriter(column) => {
            let flag = |cell: &Cell| if let Cell::Flag(flag) = cell { Some(*flag) } else { None };
            column.write_batch(
                &cells.iter().filter_map(flag).collect::<Vec<_>>(),
                Some(&levels),
                None,
            )
        }
        _ => return Err(ParquetError::General("a column is none of ours".to_owned())),
    }
    .map(drop)
}
