//! The answer: rows into the file that the parent gave, in the format that was asked for, up to the limits.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{Array as _, ArrayRef, StringArray};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use futures_util::StreamExt as _;

use super::cells;
use super::session::failure;
use crate::protocol::{Column, Cut, Failure, Format, Job, Summary};

/// The size is looked at after so many rows.
const STEP_ROWS: usize = 256;

/// A file that counts what goes into it.
struct Counted {
    file: BufWriter<File>,
    written: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The answer as it grows.
enum Writer {
    Json { out: Counted, rows: u64 },
    Csv { out: Box<csv::Writer<Counted>>, schema: SchemaRef },
    Arrow(Box<StreamWriter<Counted>>),
    Parquet(Box<ArrowWriter<Counted>>),
}

/// Writes everything, or as much as may be.
pub(super) async fn write(
    mut batches: SendableRecordBatchStream,
    file: File,
    job: &Job,
) -> Result<Summary, Failure> {
    let written = Arc::new(AtomicU64::new(0));
    let out = Counted { file: BufWriter::new(file), written: Arc::clone(&written) };
    let mut writer = Writer::new(job.format, out, &batches.schema()).map_err(|e| failure(&e))?;
    let (mut rows, mut cut) = (0, None);
    'all: while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|e| failure(&e))?;
        for from in (0..batch.num_rows()).step_by(STEP_ROWS) {
            let step = batch.slice(from, STEP_ROWS.min(batch.num_rows() - from));
            let left = job.limits.rows - rows;
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(step.num_rows());
            if writer.size(&written) >= job.limits.bytes {
                cut = Some(Cut::Bytes);
                break 'all;
            }
            writer.push(&step.slice(0, take)).map_err(|e| failure(&e))?;
            rows += take as u64;
            if take < step.num_rows() {
                cut = Some(Cut::Rows);
                break 'all;
            }
        }
    }
    writer.finish(cut).map_err(|e| failure(&e))?;
    Ok(Summary { rows, cut })
}

impl Writer {
    fn new(format: Format, mut out: Counted, schema: &SchemaRef) -> Result<Self, DataFusionError> {
        Ok(match format {
            Format::Json => {
                let columns = schema.fields().iter();
                let columns: Vec<Column> = columns
                    .map(|field| Column {
                        name: field.name().clone(),
                        kind: field.data_type().to_string(),
                    })
                    .collect();
                out.write_all(b"{\"columns\":")?;
                serde_json::to_writer(&mut out, &columns).map_err(io::Error::from)?;
                out.write_all(b",\"rows\":[")?;
                Self::Json { out, rows: 0 }
            }
            Format::Csv => {
                let schema = flat_schema(schema);
                let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
                // The header stands there even where no row follows.
                writer.write(&RecordBatch::new_empty(Arc::clone(&schema)))?;
                Self::Csv { out: Box::new(writer), schema }
            }
            Format::Arrow => Self::Arrow(Box::new(StreamWriter::try_new(out, schema)?)),
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(Default::default()));
                let properties = Some(properties.build());
                Self::Parquet(Box::new(ArrowWriter::try_new(out, Arc::clone(schema), properties)?))
            }
        })
    }

    fn size(&self, written: &AtomicU64) -> u64 {
        let waiting = match self {
            Self::Parquet(writer) => writer.in_progress_size() as u64,
            _ => 0,
        };
        written.load(Ordering::Relaxed) + waiting
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        match self {
            Self::Json { out, rows } => {
                for row in 0..batch.num_rows() {
                    out.write_all(if *rows == 0 { b"\n" } else { b",\n" })?;
                    json_row(batch, row, out)?;
                    *rows += 1;
                }
            }
            Self::Csv { out, schema } => out.write(&flat(batch, schema)?)?,
            Self::Arrow(writer) => writer.write(batch)?,
            Self::Parquet(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    fn finish(self, cut: Option<Cut>) -> Result<(), DataFusionError> {
        let mut out = match self {
            Self::Json { mut out, rows } => {
                let cut = serde_json::to_string(&cut).map_err(io::Error::from)?;
                write!(out, "],\n\"row_count\":{rows},\"cut\":{cut}}}\n")?;
                out
            }
            Self::Csv { out, .. } => out.into_inner(),
            Self::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
            Self::Parquet(writer) => writer.into_inner()?,
        };
        out.flush()?;
        Ok(())
    }
}

fn json_row(batch: &RecordBatch, row: usize, out: &mut Counted) -> Result<(), DataFusionError> {
    out.write_all(b"[")?;
    for (place, column) in batch.columns().iter().enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, &cells::json(column, row)?).map_err(io::Error::from)?;
    }
    out.write_all(b"]")?;
    Ok(())
}

/// CSV has no lists: they are JSON texts there.
fn flat_schema(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type().is_nested() {
        true => Field::new(field.name(), DataType::Utf8, true),
        false => field.as_ref().clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn flat(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let column = |column: &ArrayRef| -> Result<ArrayRef, ArrowError> {
        if !column.data_type().is_nested() {
            return Ok(Arc::clone(column));
        }
        let cell = |row| match column.is_null(row) {
            true => Ok(None),
            false => cells::json(column, row).map(|value| Some(value.to_string())),
        };
        let cells = (0..column.len()).map(cell).collect::<Result<Vec<_>, ArrowError>>()?;
        Ok(Arc::new(StringArray::from(cells)))
    };
    let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
