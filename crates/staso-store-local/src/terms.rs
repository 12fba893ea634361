//! The texts of each trace's row, for finding traces by them: agents, models, users, conversations and so on.
//!
//! `trace_terms` has a row per trace, field and value: by day, and in a day in the order of lists. A list that asks
//! for a value walks these rows day by day from the newest, and reads the records of those alone. What a batch adds
//! stands together, in its day: else each row would be on a page of its own, all of which SQLite's log
//! would take. The rows change in the transaction that changes the trace's row. What they say is a necessary condition and never more: a long text stands
//! there by its beginning, letters as they count as the same, and the matcher has the last word.

mod read;

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};
use staso_model::{SpanStatus, TraceId};
use staso_store::StoreError;
use staso_store::matching::texts;
use staso_store::query::TextField;
use staso_store::row::TraceRow;
use staso_store::search::fold;

use crate::apply::{Kept, Transaction, run};
use crate::cache::TraceRef;
use crate::decode::{self, report};
use crate::error::from_sqlite;
use crate::files::Files;
use crate::migrate::{meta, transact};

pub(crate) use read::{
    Days, FEW, Found, days, each, has_many_values, having, is_rare, rarest, values,
};

/// `exact` is the text as it stands where that is another than `folded`, else empty.
pub(crate) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS trace_terms (
  ws INTEGER NOT NULL, day INTEGER NOT NULL, field INTEGER NOT NULL, folded TEXT NOT NULL,
  start_ns INTEGER NOT NULL, trace_id BLOB NOT NULL, exact TEXT NOT NULL,
  PRIMARY KEY (ws, day, field, folded, start_ns, trace_id, exact)
) STRICT, WITHOUT ROWID;
";

/// A longer text stands by so many of its first bytes.
const MAX_BYTES: usize = 256;

/// A day of [`TABLE`], as SQL divides as well.
pub(crate) const DAY_NS: i64 = 86_400_000_000_000;

/// The day on which a trace that began then stands.
fn day(start_ns: i64) -> i64 {
    start_ns / DAY_NS
}

/// Where statuses stand, beside the text fields. Most traces are well: only the others are there.
const STATUS: i64 = 9;

const FIELDS: [TextField; 9] = [
    TextField::Name,
    TextField::Agent,
    TextField::AgentVersion,
    TextField::Service,
    TextField::Environment,
    TextField::Session,
    TextField::User,
    TextField::Model,
    TextField::Tag,
];

/// The number of a field; it is on disk.
fn number(field: TextField) -> i64 {
    match field {
        TextField::Name => 0,
        TextField::Agent => 1,
        TextField::AgentVersion => 2,
        TextField::Service => 3,
        TextField::Environment => 4,
        TextField::Session => 5,
        TextField::User => 6,
        TextField::Model => 7,
        TextField::Tag => 8,
    }
}

/// One value of one field, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term {
    pub(crate) field: i64,
    pub(crate) folded: String,
    exact: String,
}

impl Term {
    /// The term that every trace has which has this text in this field, letter case aside.
    pub(crate) fn of(field: TextField, text: &str) -> Self {
        let folded = fold(text);
        let is_cut = folded.len() > MAX_BYTES;
        let exact = if is_cut || folded == text { String::new() } else { text.to_owned() };
        let folded = folded[..folded.floor_char_boundary(MAX_BYTES)].to_owned();
        Self { field: number(field), folded, exact }
    }

    /// The term that every trace of this status has, where there is one.
    pub(crate) fn of_status(status: SpanStatus) -> Option<Self> {
        let shown = status.shown();
        let folded = shown.as_str().to_owned();
        (shown != SpanStatus::Ok).then(|| Self { field: STATUS, folded, exact: String::new() })
    }
}

/// Everything that the table has of one trace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Terms {
    start_ns: i64,
    terms: BTreeSet<Term>,
}

impl Terms {
    fn of(row: &TraceRow) -> Self {
        let of_field = |field| texts(row, field).map(move |text| Term::of(field, text));
        let mut terms: BTreeSet<Term> = FIELDS.into_iter().flat_map(of_field).collect();
        terms.extend(Term::of_status(row.status));
        Self { start_ns: row.start_ns, terms }
    }
}

/// What the table has of a trace, from the row that the list has now; `None` where that cannot be read.
fn known(conn: &Connection, trace: &TraceRef) -> Result<Option<Terms>, StoreError> {
    let (ws, trace_id) = *trace;
    let sql = "SELECT record FROM traces WHERE ws = ?1 AND trace_id = ?2";
    let read = || {
        let mut statement = conn.prepare_cached(sql)?;
        statement.query_row(params![ws, trace_id.0], |row| row.get::<_, Vec<u8>>(0)).optional()
    };
    let Some(record) = read().map_err(from_sqlite)? else { return Ok(Some(Terms::default())) };
    Ok(decode::row(&record, "", trace_id).ok().map(|stored| Terms::of(&stored.row)))
}

/// Has the table say what the new row says, or nothing where the trace is to have none. To be called
/// before the row itself is written: the old one says what is to be taken away.
pub(crate) fn replace(
    conn: &Connection,
    trace: &TraceRef,
    row: Option<&TraceRow>,
) -> Result<(), StoreError> {
    let (ws, trace_id) = *trace;
    let new = row.map(Terms::of).unwrap_or_default();
    let old = if let Some(old) = known(conn, trace)? {
        old
    } else {
        let sql = "DELETE FROM trace_terms WHERE ws = ?1 AND trace_id = ?2";
        run(conn, sql, params![ws, trace_id.0])?;
        Terms::default()
    };
    let has_moved = old.start_ns != new.start_ns;
    let gone = old.terms.iter().filter(|term| has_moved || !new.terms.contains(term));
    for Term { field, folded, exact } in gone {
        let sql =
            "DELETE FROM trace_terms WHERE ws = ?1 AND day = ?7 AND field = ?2 AND folded = ?3
                   AND start_ns = ?4 AND trace_id = ?5 AND exact = ?6";
        let start_ns = old.start_ns;
        run(conn, sql, params![ws, field, folded, start_ns, trace_id.0, exact, day(start_ns)])?;
    }
    let added = new.terms.iter().filter(|term| has_moved || !old.terms.contains(term));
    added.into_iter().try_for_each(|term| insert(conn, trace, new.start_ns, term))
}

fn insert(
    conn: &Connection,
    (ws, trace_id): &TraceRef,
    start_ns: i64,
    Term { field, folded, exact }: &Term,
) -> Result<(), StoreError> {
    let sql =
        "INSERT OR IGNORE INTO trace_terms (ws, field, folded, start_ns, trace_id, exact, day)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let params = params![ws, field, folded, start_ns, trace_id.0, exact, day(start_ns)];
    run(conn, sql, params).map(drop)
}

/// How many terms a trace of this row has; `None` where the table lacks one of them.
pub(crate) fn there(conn: &Connection, ws: i64, row: &TraceRow) -> rusqlite::Result<Option<i64>> {
    let Terms { start_ns, terms } = Terms::of(row);
    let sql = "SELECT 1 FROM trace_terms WHERE ws = ?1 AND day = ?7 AND field = ?2 AND folded = ?3
               AND start_ns = ?4 AND trace_id = ?5 AND exact = ?6";
    let mut statement = conn.prepare_cached(sql)?;
    for Term { field, folded, exact } in &terms {
        let id = row.trace_id.0;
        if !statement.exists(params![ws, field, folded, start_ns, id, exact, day(start_ns)])? {
            return Ok(None);
        }
    }
    Ok(Some(i64::try_from(terms.len()).unwrap_or(i64::MAX)))
}

/// Whether the table is there and was made by this program's rules.
pub(crate) fn are_complete(conn: &Connection) -> Result<bool, StoreError> {
    Ok(meta(conn, "terms")? == Some(version()))
}

/// What the table was made by: which letters count as the same is found from Unicode's tables.
fn version() -> i64 {
    const LAYOUT: i64 = 1;
    let (major, minor, update) = char::UNICODE_VERSION;
    [major, minor, update].into_iter().fold(LAYOUT, |all, part| (all << 8) | i64::from(part))
}

/// Fills the table where it was not there yet, or was made by other rules. Traces whose row is damaged
/// are computed anew.
pub(crate) fn complete(
    conn: &Connection,
    files: &Files,
    kept: &mut Kept,
) -> Result<(), StoreError> {
    if are_complete(conn)? {
        return Ok(());
    }
    transact(conn, files, || {
        run(conn, "DELETE FROM trace_terms", [])?;
        let damaged = fill(conn)?;
        if !damaged.is_empty() {
            let mut transaction = Transaction::new(conn, kept);
            for (trace, slug) in damaged {
                transaction.recompute(trace, &slug)?;
            }
            transaction.finish()?;
        }
        run(conn, "INSERT OR REPLACE INTO meta VALUES ('terms', ?1)", [version()]).map(drop)
    })
}

/// Fills the table from the rows of the list; answers those that cannot be read.
fn fill(conn: &Connection) -> Result<Vec<(TraceRef, String)>, StoreError> {
    let sql = "SELECT t.ws, t.trace_id, t.record, w.slug
               FROM traces AS t JOIN workspaces AS w ON w.ws = t.ws";
    let mut damaged = Vec::new();
    let mut statement = conn.prepare(sql).map_err(from_sqlite)?;
    let mut rows = statement.query([]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let read = || -> rusqlite::Result<_> {
            let trace = (row.get(0)?, TraceId(row.get(1)?));
            Ok((trace, row.get::<_, Vec<u8>>(2)?, row.get::<_, String>(3)?))
        };
        let (trace, record, slug) = read().map_err(from_sqlite)?;
        match decode::row(&record, &slug, trace.1) {
            Ok(stored) => {
                let Terms { start_ns, terms } = Terms::of(&stored.row);
                terms.iter().try_for_each(|term| insert(conn, &trace, start_ns, term))?;
            }
            Err(error) => {
                report(&error);
                damaged.push((trace, slug));
            }
        }
    }
    Ok(damaged)
}
