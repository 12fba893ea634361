//! The table of annotations, each in one row: a value stands in the column of its type.

use std::fs::File;
use std::path::Path;

use rusqlite::params;
use staso_model::{Annotation, AnnotationId, AnnotationValue, TraceId};
use staso_store::StoreError;

use super::write::Rows;
use crate::decode::{self, report};
use crate::error::from_sqlite;
use crate::read::Reader;
use crate::segment::columns::{Cell, Sort};
use crate::segment::row::text;

const COLUMNS: [(&str, Sort); 12] = [
    ("id", Sort::Text),
    ("trace_id", Sort::Text),
    ("span_id", Sort::Text),
    ("name", Sort::Text),
    ("data_type", Sort::Text),
    ("number", Sort::Real),
    ("label", Sort::Text),
    ("boolean", Sort::Flag),
    ("comment", Sort::Text),
    ("source", Sort::Text),
    ("author", Sort::Text),
    ("created_ns", Sort::Int),
];

/// Every annotation, those of traces that have not arrived included.
pub(super) fn file(reader: &Reader<'_>, place: &Path) -> Result<(File, u64), StoreError> {
    let mut rows = Rows::new(place, &COLUMNS)?;
    let sql = "SELECT id, trace_id, record FROM annotations WHERE ws = ?1";
    let mut statement = reader.conn.prepare_cached(sql).map_err(from_sqlite)?;
    let mut found = statement.query(params![reader.ws]).map_err(from_sqlite)?;
    while let Some(row) = found.next().map_err(from_sqlite)? {
        let read = || -> rusqlite::Result<_> {
            Ok((AnnotationId(row.get(0)?), TraceId(row.get(1)?), row.get_ref(2)?.as_blob()?))
        };
        let (id, trace_id, record) = read().map_err(from_sqlite)?;
        match decode::annotation(record, reader.workspace, id, trace_id) {
            Ok(annotation) => rows.push(cells(annotation))?,
            Err(error) => report(&error),
        }
    }
    rows.finish()
}

fn cells(note: Annotation) -> Vec<Cell> {
    let data_type = note.value.data_type();
    let (number, label, flag) = match note.value {
        AnnotationValue::Numeric(number) => (Cell::Real(number), None, Cell::Null),
        AnnotationValue::Categorical(label) => (Cell::Null, Some(label), Cell::Null),
        AnnotationValue::Boolean(flag) => (Cell::Null, None, Cell::Flag(flag)),
    };
    vec![
        text(Some(note.id.to_uuid_text())),
        text(Some(note.trace_id.to_string())),
        text(note.span_id.map(|id| id.to_string())),
        text(Some(note.name)),
        text(Some(data_type.to_owned())),
        number,
        text(label),
        flag,
        text(note.comment),
        text(Some(note.source.as_str().to_owned())),
        text(note.author),
        Cell::Int(note.created_ns),
    ]
}
