//! Questions that the terms answer by themselves.

use rusqlite::params;
use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::query::TextField;

use super::{MAX_BYTES, Term, number};
use crate::error::from_sqlite;
use crate::read::Reader;

/// Whether a text that stands there may be the beginning of a longer one.
fn may_be_cut(folded: &str) -> bool {
    // The last letter that did not fit is at most four bytes long.
    folded.len() + 4 > MAX_BYTES
}

/// How many traces have a term, counted no further than `most`.
pub(crate) fn count(reader: &Reader<'_>, term: &Term, most: i64) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM trace_terms
               WHERE ws = ?1 AND field = ?2 AND folded = ?3 LIMIT ?4)";
    let params = params![reader.ws, term.field, term.folded, most];
    let count = || reader.conn.prepare_cached(sql)?.query_row(params, |row| row.get(0));
    count().map_err(from_sqlite)
}

/// A value that a trace has.
pub(crate) struct Found<'a> {
    /// As it stands in the trace.
    pub(crate) value: &'a str,
    pub(crate) start_ns: i64,
    pub(crate) trace_id: TraceId,
}

/// Calls `found` with each value of a field, or with `only` as it counts as the same, and each trace that has it
/// and began in this time; those of values that count as the same one after another. `false`: some value is too
/// long to stand there whole, and what was found is to be thrown away.
pub(crate) fn each(
    reader: &Reader<'_>,
    field: TextField,
    only: Option<&str>,
    (from_ns, to_ns): (Option<i64>, Option<i64>),
    found: &mut dyn FnMut(&Found<'_>) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    let which = if only.is_some() { "folded = ?3" } else { "?3 IS NULL" };
    let until = if to_ns.is_some() { "start_ns < ?5" } else { "?5 IS NULL" };
    let sql = format!(
        "SELECT folded, exact, start_ns, trace_id FROM trace_terms
         WHERE ws = ?1 AND field = ?2 AND {which} AND start_ns >= ?4 AND {until}"
    );
    let folded = only.map(|text| Term::of(field, text).folded);
    let params = params![reader.ws, number(field), folded, from_ns.unwrap_or(i64::MIN), to_ns];
    let mut statement = reader.conn.prepare_cached(&sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let text = |at: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(at)?.as_str()?) };
        let (folded, exact) = (text(0).map_err(from_sqlite)?, text(1).map_err(from_sqlite)?);
        if may_be_cut(folded) {
            return Ok(false);
        }
        let value = if exact.is_empty() { folded } else { exact };
        let start_ns = row.get(2).map_err(from_sqlite)?;
        let trace_id = TraceId(row.get(3).map_err(from_sqlite)?);
        found(&Found { value, start_ns, trace_id })?;
    }
    Ok(true)
}
