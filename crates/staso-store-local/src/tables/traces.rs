//! The table of traces: the rows of the lists, with the run state as of now.

use std::fs::File;
use std::path::Path;

use rusqlite::params;
use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::row::TraceRow;

use super::write::Rows;
use crate::error::from_sqlite;
use crate::read::Reader;
use crate::segment::columns::{Cell, Sort};
use crate::segment::row::{int, text, texts};

/// The columns; lists are JSON texts, as tags are in a segment.
const COLUMNS: [(&str, Sort); 32] = [
    ("trace_id", Sort::Text),
    ("root_span_id", Sort::Text),
    ("name", Sort::Text),
    ("kind", Sort::Text),
    ("status", Sort::Text),
    ("state", Sort::Text),
    ("start_ns", Sort::Int),
    ("end_ns", Sort::Int),
    ("span_count", Sort::Int),
    ("error_count", Sort::Int),
    ("open_count", Sort::Int),
    ("environment", Sort::Text),
    ("service", Sort::Text),
    ("agent_name", Sort::Text),
    ("agent_version", Sort::Text),
    ("session_id", Sort::Text),
    ("user_id", Sort::Text),
    ("agents", Sort::Text),
    ("models", Sort::Text),
    ("kinds", Sort::Text),
    ("tags", Sort::Text),
    ("input_tokens", Sort::Int),
    ("output_tokens", Sort::Int),
    ("total_tokens", Sort::Int),
    ("cost_nano_usd", Sort::Int),
    ("cost_incomplete", Sort::Flag),
    ("input_preview", Sort::Text),
    ("output_preview", Sort::Text),
    ("error_message", Sort::Text),
    ("repaired_count", Sort::Int),
    ("received_ns", Sort::Int),
    ("sample_rate", Sort::Real),
];

/// Every trace that has a row.
pub(super) fn file(reader: &Reader<'_>, place: &Path) -> Result<(File, u64), StoreError> {
    let mut rows = Rows::new(place, &COLUMNS)?;
    let sql = "SELECT trace_id, record FROM traces WHERE ws = ?1";
    let mut statement = reader.conn.prepare_cached(sql).map_err(from_sqlite)?;
    let mut found = statement.query(params![reader.ws]).map_err(from_sqlite)?;
    while let Some(row) = found.next().map_err(from_sqlite)? {
        let read =
            || -> rusqlite::Result<_> { Ok((TraceId(row.get(0)?), row.get_ref(1)?.as_blob()?)) };
        let (trace_id, record) = read().map_err(from_sqlite)?;
        if let Some(row) = reader.stored_row(trace_id, record)? {
            rows.push(cells(row))?;
        }
    }
    rows.finish()
}

fn cells(row: TraceRow) -> Vec<Cell> {
    let count = |n: u64| Cell::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let word = |word: &str| text(Some(word.to_owned()));
    vec![
        text(Some(row.trace_id.to_string())),
        text(row.root_span_id.map(|id| id.to_string())),
        text(Some(row.name)),
        word(row.kind.as_str()),
        word(row.status.shown().as_str()),
        word(row.state.as_str()),
        Cell::Int(row.start_ns),
        int(row.end_ns),
        count(row.span_count),
        count(row.error_count),
        count(row.open_count),
        text(row.environment),
        text(row.service),
        text(row.agent_name),
        text(row.agent_version),
        text(row.session_id),
        text(row.user_id),
        texts(row.agents),
        texts(row.models),
        texts(row.kinds.iter().map(|kind| kind.as_str().to_owned()).collect()),
        texts(row.tags),
        int(row.input_tokens),
        int(row.output_tokens),
        int(row.total_tokens),
        int(row.cost_nano_usd),
        Cell::Flag(row.cost_incomplete),
        text(row.input_preview),
        text(row.output_preview),
        text(row.error_message),
        count(row.repaired_count),
        Cell::Int(row.received_ns),
        row.sample_rate.map_or(Cell::Null, Cell::Real),
    ]
}
