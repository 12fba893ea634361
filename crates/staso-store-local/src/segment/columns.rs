//! The columns of a segment: their names and types are the format that other programs read.
//!
//! Every column may be null. Ids are 16 bytes marked as UUID, times are Unix nanoseconds, costs are
//! nano-USD. `rest` is what no column has, as the record of the log (MessagePack). The columns from
//! `input` to `payload_bytes` are payloads: a reader of anything else never touches their pages. The
//! last two say again what `rest` has, for those who add up and read no `rest`.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Sixteen bytes.
    Id,
    /// Words that repeat: names, models, users.
    Text,
    /// Long texts, mostly JSON, in pages of [`PAGE_BYTES`].
    Long,
    /// Bytes of our own, in the same pages.
    Raw,
    Int,
    Real,
    Flag,
}

use Sort::{Flag, Id, Int, Long, Raw, Real, Text};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bytes(ByteArray),
    Int(i64),
    Real(f64),
    Flag(bool),
}

/// The columns in their order.
pub(crate) const COLUMNS: [(&str, Sort); 45] = [
    ("trace_id", Id),
    ("span_id", Id),
    ("stage", Text),
    ("client_version", Int),
    ("received_ns", Int),
    ("sequence", Int),
    ("parent_span_id", Id),
    ("dropped", Flag),
    ("name", Text),
    ("kind", Text),
    ("status", Text),
    ("start_ns", Int),
    ("end_ns", Int),
    ("error_message", Text),
    ("environment", Text),
    ("service", Text),
    ("agent_name", Text),
    ("agent_id", Text),
    ("agent_version", Text),
    ("session_id", Text),
    ("user_id", Text),
    ("provider", Text),
    ("model", Text),
    ("requested_model", Text),
    ("reasoning_effort", Text),
    ("input_tokens", Int),
    ("output_tokens", Int),
    ("total_tokens", Int),
    ("cost_nano_usd", Int),
    ("client_cost_nano_usd", Int),
    ("process_id", Id),
    ("tags", Text),
    ("attributes", Long),
    ("rest", Raw),
    ("head_checksum", Int),
    ("input", Long),
    ("input_is_json", Flag),
    ("output", Long),
    ("output_is_json", Flag),
    ("events", Long),
    ("events_record", Raw),
    ("payload_checksum", Int),
    ("payload_bytes", Int),
    ("sample_rate", Real),
    ("tokens_are_of_trace", Flag),
];

/// How many columns say who a span is and which version: enough to find it.
pub(crate) const IDENTITY: usize = 6;
/// Identity, parent and whether it was dropped: enough to walk towards the root.
pub(crate) const STEP: usize = 8;
/// How many columns stand before the payloads.
pub(crate) const HEAD: usize = 35;

/// Long values are compressed in runs of about this size.
pub(crate) const PAGE_BYTES: usize = 256 << 10;
/// Of these values only what is new beside the beginning of the one before is kept (DELTA_BYTE_ARRAY), and counts towards
/// the size of a run: an agent that resends its history at every turn costs what it adds, not its history.
pub(super) const REPEATING: &str = "input";
/// The first value of a run stands there whole: so a run is to be larger than the largest, but no larger than this,
/// since all of it is decompressed for any one of its values.
const MAX_RUN_BYTES: usize = 4 << 20;

/// How large the runs of values are, the largest of which has so many bytes.
fn run_bytes(largest: usize) -> usize {
    largest.saturating_mul(2).clamp(PAGE_BYTES, MAX_RUN_BYTES)
}
/// Other columns have pages of so many rows, so that reading one trace decodes little.
const PAGE_ROWS: usize = 2048;

/// How hard a segment is compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effort {
    /// Ingest waits for it in the end, and compaction reads it soon.
    Quick,
    /// It stays.
    Thorough,
}

impl Effort {
    /// As zstd counts.
    fn level(self) -> i32 {
        match self {
            Self::Quick => 1,
            Self::Thorough => 3,
        }
    }
}

/// The schema.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    schema_of(&COLUMNS)
}

/// The schema of other columns of the same sorts.
pub(crate) fn schema_of(columns: &[(&str, Sort)]) -> Result<TypePtr, ParquetError> {
    let mut message = "message span {\n".to_owned();
    for (name, sort) in columns {
        let (kind, logical) = match sort {
            Id => ("FIXED_LEN_BYTE_ARRAY (16)", " (UUID)"),
            Text | Long => ("BYTE_ARRAY", " (UTF8)"),
            Raw => ("BYTE_ARRAY", ""),
            Int => ("INT64", ""),
            Real => ("DOUBLE", ""),
            Flag => ("BOOLEAN", ""),
        };
        message.push_str(&format!("  OPTIONAL {kind} {name}{logical};\n"));
    }
    message.push('}');
    parse_message_type(&message).map(Arc::new)
}

/// How the columns are written; `largest` is the length of the largest [`REPEATING`] value.
pub(super) fn properties(effort: Effort, largest: usize) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by("staso".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(effort.level())?))
        .set_data_page_row_count_limit(PAGE_ROWS);
    for (name, sort) in COLUMNS {
        let path = ColumnPath::from(name);
        builder = match sort {
            Text | Real | Flag => builder,
            Id => builder.set_column_dictionary_enabled(path, false),
            Int => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Long | Raw => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
                .set_column_data_page_size_limit(path, PAGE_BYTES),
        };
    }
    let repeating = ColumnPath::from(REPEATING);
    let builder = builder
        .set_column_encoding(repeating.clone(), Encoding::DELTA_BYTE_ARRAY)
        .set_column_data_page_size_limit(repeating, run_bytes(largest));
    Ok(builder.build())
}
