//! Questions that the terms answer by themselves.

use rusqlite::{OptionalExtension, params};
use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::query::TextField;

use super::{MAX_BYTES, Term, day, number};
use crate::error::from_sqlite;
use crate::read::Reader;

/// Whether a text that stands there may be the beginning of a longer one.
fn may_be_cut(folded: &str) -> bool {
    // The last letter that did not fit is at most four bytes long.
    folded.len() + 4 > MAX_BYTES
}

/// The days that have traces, newest first.
pub(crate) type Days = Vec<i64>;

/// The days of a workspace that have traces which may have begun in this time, found one by one: nothing else of the
/// table is read.
pub(crate) fn days(
    reader: &Reader<'_>,
    (from_ns, to_ns): (Option<i64>, Option<i64>),
) -> Result<Days, StoreError> {
    let sql = "WITH RECURSIVE days(day) AS (
                 SELECT max(day) FROM trace_terms WHERE ws = ?1 AND day <= ?3
                 UNION ALL
                 SELECT (SELECT max(day) FROM trace_terms WHERE ws = ?1 AND day < days.day)
                 FROM days WHERE days.day > ?2)
               SELECT day FROM days WHERE day >= ?2";
    let (from, to) = (from_ns.map_or(i64::MIN, day), to_ns.map_or(i64::MAX, day));
    let read = || -> rusqlite::Result<Days> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        statement.query_map(params![reader.ws, from, to], |row| row.get(0))?.collect()
    };
    read().map_err(from_sqlite)
}

/// Where fewer traces than this have a term, it is rare.
pub(crate) const FEW: i64 = 1_000;

/// How many traces have a term on some days, counted no further than [`FEW`].
fn count(reader: &Reader<'_>, term: &Term, days: &[i64]) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM trace_terms
               WHERE ws = ?1 AND day = ?2 AND field = ?3 AND folded = ?4 LIMIT ?5)";
    let count = || -> rusqlite::Result<i64> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        let mut all = 0;
        for day in days {
            let params = params![reader.ws, day, term.field, term.folded, FEW - all];
            all += statement.query_row(params, |row| row.get::<_, i64>(0))?;
            if all >= FEW {
                break;
            }
        }
        Ok(all)
    };
    count().map_err(from_sqlite)
}

/// On so many days, the newest, terms are counted to find the rarest.
const SAMPLE_DAYS: usize = 16;

/// The place of the rarest of some terms, by what the newest days have.
pub(crate) fn rarest(
    reader: &Reader<'_>,
    terms: &[Term],
    days: &[i64],
) -> Result<Option<usize>, StoreError> {
    if terms.len() < 2 {
        return Ok((!terms.is_empty()).then_some(0));
    }
    let sample = &days[..days.len().min(SAMPLE_DAYS)];
    let mut rarest = None;
    for (at, term) in terms.iter().enumerate() {
        let count = count(reader, term, sample)?;
        if rarest.is_none_or(|(least, _)| count < least) {
            rarest = Some((count, at));
        }
    }
    Ok(rarest.map(|(_, at)| at))
}

/// Whether so few traces have a term that they may be looked up and sorted.
pub(crate) fn is_rare(reader: &Reader<'_>, term: &Term, days: &[i64]) -> Result<bool, StoreError> {
    Ok(count(reader, term, days)? < FEW)
}

/// The values of a field on a day, folded, that `admits` takes, or that may be the beginning of others. Each is found by a
/// look-up of its own: nothing of the traces that have one is read.
pub(crate) fn values(
    reader: &Reader<'_>,
    field: TextField,
    day: i64,
    admits: &mut dyn FnMut(&str) -> Result<bool, StoreError>,
) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT folded FROM trace_terms WHERE ws = ?1 AND day = ?2 AND field = ?3
               AND folded > ?4 ORDER BY folded LIMIT 1";
    let mut first = reader
        .conn
        .prepare_cached(&sql.replace("folded > ?4", "folded >= ?4"))
        .map_err(from_sqlite)?;
    let mut next = reader.conn.prepare_cached(sql).map_err(from_sqlite)?;
    let after = |statement: &mut rusqlite::Statement<'_>, before: &str| {
        let params = params![reader.ws, day, number(field), before];
        statement.query_row(params, |row| row.get::<_, String>(0)).optional().map_err(from_sqlite)
    };
    let mut values = Vec::new();
    let mut found = after(&mut first, "")?;
    while let Some(value) = found {
        found = after(&mut next, &value)?;
        if may_be_cut(&value) || admits(&value)? {
            values.push(value);
        }
    }
    Ok(values)
}

/// So many values of a field on a day are many.
const MANY: i64 = 1_000;

/// Whether a field has many values on a day.
pub(crate) fn has_many_values(
    reader: &Reader<'_>,
    field: TextField,
    day: i64,
) -> Result<bool, StoreError> {
    let sql = "WITH RECURSIVE v(folded) AS (
                 SELECT min(folded) FROM trace_terms WHERE ws = ?1 AND day = ?2 AND field = ?3
                 UNION ALL
                 SELECT (SELECT min(folded) FROM trace_terms
                         WHERE ws = ?1 AND day = ?2 AND field = ?3 AND folded > v.folded)
                 FROM v WHERE v.folded IS NOT NULL)
               SELECT count(*) FROM (SELECT 1 FROM v WHERE folded IS NOT NULL LIMIT ?4)";
    let count = || -> rusqlite::Result<i64> {
        let params = params![reader.ws, day, number(field), MANY];
        reader.conn.prepare_cached(sql)?.query_row(params, |row| row.get(0))
    };
    Ok(count().map_err(from_sqlite)? >= MANY)
}

/// The traces that have a value on a day.
pub(crate) fn having(
    reader: &Reader<'_>,
    field: TextField,
    day: i64,
    folded: &str,
) -> Result<Vec<(i64, TraceId)>, StoreError> {
    let sql = "SELECT start_ns, trace_id FROM trace_terms
               WHERE ws = ?1 AND day = ?2 AND field = ?3 AND folded = ?4";
    let read = || -> rusqlite::Result<Vec<(i64, TraceId)>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        let params = params![reader.ws, day, number(field), folded];
        statement.query_map(params, |row| Ok((row.get(0)?, TraceId(row.get(1)?))))?.collect()
    };
    read().map_err(from_sqlite)
}

/// A value that a trace has.
pub(crate) struct Found<'a> {
    /// As it stands in the trace.
    pub(crate) value: &'a str,
    pub(crate) start_ns: i64,
    pub(crate) trace_id: TraceId,
}

/// Calls `found` with each value of a field, or with `only` as it counts as the same, and each trace that has it
/// and began in this time, on one of these days after the other. `false`: some value is too long to stand there
/// whole, and what was found is to be thrown away.
pub(crate) fn each(
    reader: &Reader<'_>,
    field: TextField,
    only: Option<&str>,
    (from_ns, to_ns): (Option<i64>, Option<i64>),
    days: &[i64],
    found: &mut dyn FnMut(&Found<'_>) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    let which = if only.is_some() { "folded = ?3" } else { "?3 IS NULL" };
    let until = if to_ns.is_some() { "start_ns < ?5" } else { "?5 IS NULL" };
    let sql = format!(
        "SELECT folded, exact, start_ns, trace_id FROM trace_terms
         WHERE ws = ?1 AND field = ?2 AND {which} AND start_ns >= ?4 AND {until} AND day = ?6"
    );
    let folded = only.map(|text| Term::of(field, text).folded);
    let from = from_ns.unwrap_or(i64::MIN);
    let mut statement = reader.conn.prepare_cached(&sql).map_err(from_sqlite)?;
    for day in days {
        let params = params![reader.ws, number(field), folded, from, to_ns, day];
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
    }
    Ok(true)
}
