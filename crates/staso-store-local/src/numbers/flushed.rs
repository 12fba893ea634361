//! The spans of segments as facts, from no more columns than a question needs.

use std::collections::HashSet;

use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    Int64Type,
};
use rusqlite::params;
use staso_model::{SpanId, SpanKind, SpanStatus, TraceId};
use staso_store::StoreError;
use staso_store::metrics::{GroupBy, Measure, SpanFacts, TracesOf, Weight};

use crate::decode::report;
use crate::error::from_sqlite;
use crate::read::Reader;
use crate::segment::scan::{Column, Reading, id_of, text_of};
use crate::segment::{Segment, row};

/// The columns of text that a group can be made of.
const TEXTS: [(&str, GroupBy); 9] = [
    ("name", GroupBy::Name),
    ("agent_name", GroupBy::Agent),
    ("agent_version", GroupBy::AgentVersion),
    ("environment", GroupBy::Environment),
    ("service", GroupBy::Service),
    ("session_id", GroupBy::Session),
    ("user_id", GroupBy::User),
    ("provider", GroupBy::Provider),
    ("model", GroupBy::Model),
];

/// What a question needs of each span, beside its start.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    texts: [bool; TEXTS.len()],
    ends: bool,
    kinds: bool,
    statuses: bool,
    tokens: bool,
    costs: bool,
    traces: bool,
}

impl Wanted {
    pub(super) fn of(measures: &[Measure], group_by: Option<GroupBy>, is_filtered: bool) -> Self {
        let any = |wanted: &[Measure]| measures.iter().any(|measure| wanted.contains(measure));
        let mut of_group: Vec<GroupBy> = group_by.into_iter().collect();
        of_group.extend(any(&[Measure::Users]).then_some(GroupBy::User));
        of_group.extend(any(&[Measure::Conversations]).then_some(GroupBy::Session));
        // Whose version it is decides whether the trace's may stand for it.
        if group_by == Some(GroupBy::AgentVersion) {
            of_group.push(GroupBy::Agent);
        }
        let may_ask = of_group.iter().any(|by| !matches!(by, GroupBy::Model | GroupBy::Provider));
        let tokens = any(&[Measure::InputTokens, Measure::OutputTokens, Measure::Tokens]);
        Self {
            texts: TEXTS.map(|(_, by)| of_group.contains(&by)),
            ends: measures.iter().any(|measure| matches!(measure, Measure::Duration(_))),
            // A point always says whether the cost of a model call is unknown.
            kinds: true,
            statuses: any(&[Measure::Errors]) || group_by == Some(GroupBy::Status),
            tokens,
            costs: true,
            traces: is_filtered || tokens || may_ask,
        }
    }
}

/// A segment that may hold spans of the time asked for.
pub(super) struct Part {
    number: i64,
    path: String,
}

/// The segments of a time, pruned by the starts that the catalog knows.
pub(super) fn segments(
    reader: &Reader<'_>,
    (first, last): (i64, i64),
) -> Result<Vec<Part>, StoreError> {
    let sql = "SELECT segment, path FROM segments
               WHERE ws = ?1 AND max_start_ns >= ?2 AND min_start_ns <= ?3
               ORDER BY segment";
    let read = || -> rusqlite::Result<Vec<Part>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params![reader.ws, first, last], |row| {
            Ok(Part { number: row.get(0)?, path: row.get(1)? })
        })?;
        rows.collect()
    };
    read().map_err(from_sqlite)
}

/// The rows of a segment that a newer version has replaced.
fn deleted(reader: &Reader<'_>, part: &Part) -> Result<HashSet<i64>, StoreError> {
    let read = || -> rusqlite::Result<HashSet<i64>> {
        let mut statement =
            reader.conn.prepare_cached("SELECT row FROM deleted WHERE segment = ?1")?;
        let rows = statement.query_map([part.number], |row| row.get(0))?;
        rows.collect()
    };
    read().map_err(from_sqlite)
}

/// Calls `found` with each span of a segment that counts. What is damaged is reported and left out,
/// from its run of rows on; a read that the system refuses is an error.
pub(super) fn each(
    reader: &Reader<'_>,
    part: &Part,
    wanted: &Wanted,
    traces: &mut TracesOf<'_>,
    found: &mut dyn FnMut(&SpanFacts<'_>, &mut TracesOf<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let segment = match reader.segments.get(reader.conn, part.number, &part.path) {
        Ok(segment) => segment,
        Err(error @ StoreError::Damaged { .. }) => {
            report(&error);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let before = segment.refusals();
    let left_out = |problem: String| {
        if segment.refusals() != before {
            // Numbers that lack what could not be read just now would be wrong, and nobody would know.
            let problem = format!("segments/{} cannot be read: {problem}", part.path);
            return Err(StoreError::Engine(problem));
        }
        report(&damaged(part, problem));
        Ok(())
    };
    let deleted = deleted(reader, part)?;
    let mut readings = match Readings::new(&segment, wanted) {
        Ok(readings) => readings,
        Err(problem) => return left_out(problem),
    };
    let mut first_row = 0;
    for rows in segment.runs() {
        let mut run = match readings.run(rows) {
            Ok(run) => run,
            Err(problem) => return left_out(problem),
        };
        let is_live = |row: usize| {
            let row = first_row + i64::try_from(row).unwrap_or(i64::MAX);
            deleted.is_empty() || !deleted.contains(&row)
        };
        if wanted.tokens {
            run.tell_who_counts(is_live, traces);
        }
        for row in 0..rows {
            run.next(
                |facts, is_dropped| {
                    if is_dropped || !is_live(row) { Ok(()) } else { found(facts, traces) }
                },
            )?;
        }
        first_row += i64::try_from(rows).unwrap_or(i64::MAX);
    }
    Ok(())
}

fn damaged(part: &Part, problem: String) -> StoreError {
    StoreError::Damaged { place: format!("segments/{}", part.path), problem }
}

/// The columns of a segment on their way.
struct Readings {
    starts: Reading<Int64Type>,
    ends: Reading<Int64Type>,
    stages: Reading<ByteArrayType>,
    dropped: Reading<BoolType>,
    rates: Reading<DoubleType>,
    kinds: Reading<ByteArrayType>,
    statuses: Reading<ByteArrayType>,
    traces: Reading<FixedLenByteArrayType>,
    spans: Reading<FixedLenByteArrayType>,
    tokens: [Reading<Int64Type>; 3],
    of_trace: Reading<BoolType>,
    costs: Reading<Int64Type>,
    texts: [Reading<ByteArrayType>; TEXTS.len()],
}

impl Readings {
    fn new(segment: &Segment, wanted: &Wanted) -> Result<Self, String> {
        let texts: Vec<_> = TEXTS
            .iter()
            .zip(wanted.texts)
            .map(|((name, _), is_wanted)| segment.texts(name, is_wanted))
            .collect::<Result<_, _>>()?;
        let tokens: Vec<_> = ["input_tokens", "output_tokens", "total_tokens"]
            .iter()
            .map(|name| segment.ints(name, wanted.tokens))
            .collect::<Result<_, _>>()?;
        let count = "a column is missing";
        Ok(Self {
            starts: segment.ints("start_ns", true)?,
            ends: segment.ints("end_ns", wanted.ends)?,
            stages: segment.texts("stage", wanted.ends)?,
            dropped: segment.flags("dropped", true)?,
            rates: segment.reals("sample_rate", true)?,
            kinds: segment.texts("kind", wanted.kinds)?,
            statuses: segment.texts("status", wanted.statuses)?,
            traces: segment.ids("trace_id", wanted.traces)?,
            spans: segment.ids("span_id", wanted.tokens)?,
            tokens: tokens.try_into().map_err(|_| count)?,
            of_trace: segment.flags("tokens_are_of_trace", wanted.tokens)?,
            costs: segment.ints("cost_nano_usd", wanted.costs)?,
            texts: texts.try_into().map_err(|_| count)?,
        })
    }

    fn run(&mut self, rows: usize) -> Result<Run, String> {
        let [input, output, total] = &mut self.tokens;
        let texts: Vec<_> =
            self.texts.iter_mut().map(|text| text.run(rows)).collect::<Result<_, _>>()?;
        Ok(Run {
            rows,
            starts: self.starts.run(rows)?,
            ends: self.ends.run(rows)?,
            stages: self.stages.run(rows)?,
            dropped: self.dropped.run(rows)?,
            rates: self.rates.run(rows)?,
            kinds: self.kinds.run(rows)?,
            statuses: self.statuses.run(rows)?,
            traces: self.traces.run(rows)?,
            spans: self.spans.run(rows)?,
            tokens: [input.run(rows)?, output.run(rows)?, total.run(rows)?],
            of_trace: self.of_trace.run(rows)?,
            costs: self.costs.run(rows)?,
            texts: texts.try_into().map_err(|_| "a column is missing")?,
            last_kind: (ByteArray::new(), SpanKind::Custom),
            last_status: (ByteArray::new(), SpanStatus::Unset),
        })
    }
}

/// A run of rows.
struct Run {
    rows: usize,
    starts: Column<i64>,
    ends: Column<i64>,
    stages: Column<ByteArray>,
    dropped: Column<bool>,
    rates: Column<f64>,
    kinds: Column<ByteArray>,
    statuses: Column<ByteArray>,
    traces: Column<FixedLenByteArray>,
    spans: Column<FixedLenByteArray>,
    tokens: [Column<i64>; 3],
    of_trace: Column<bool>,
    costs: Column<i64>,
    texts: [Column<ByteArray>; TEXTS.len()],
    /// Words repeat: the last one that was read, and what it means.
    last_kind: (ByteArray, SpanKind),
    last_status: (ByteArray, SpanStatus),
}

impl Run {
    /// Calls `found` with the next row, and whether the client discarded it.
    fn next(
        &mut self,
        found: impl FnOnce(&SpanFacts<'_>, bool) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let is_dropped = self.dropped.take().copied().unwrap_or_default();
        let start_ns = self.starts.take().copied().unwrap_or_default();
        // Where the hot set was full, open spans are in segments too.
        let is_open = self.stages.take().is_some_and(|stage| stage.data() == row::OPEN.as_bytes());
        let end_ns = self.ends.take().copied().filter(|_| !is_open);
        let kind = word(self.kinds.take(), &mut self.last_kind, SpanKind::parse);
        let status = word(self.statuses.take(), &mut self.last_status, SpanStatus::parse);
        let [name, agent, version, environment, service, session, user, provider, model] =
            self.texts.each_mut().map(|text| text_of(text.take()));
        let facts = SpanFacts {
            trace_id: TraceId(id_of(self.traces.take())),
            span_id: SpanId(id_of(self.spans.take())),
            start_ns,
            duration_ns: end_ns.map(|end_ns| end_ns.saturating_sub(start_ns).max(0)),
            kind: kind.unwrap_or(SpanKind::Custom),
            status: status.unwrap_or(SpanStatus::Unset),
            weight: Weight::of_rate(self.rates.take().copied()),
            tokens: self.tokens.each_mut().map(|count| count.take().copied()),
            tokens_are_of_trace: self.of_trace.take().copied().unwrap_or_default(),
            cost_nano_usd: self.costs.take().copied(),
            name,
            agent_name: agent,
            agent_version: version,
            environment,
            service,
            session_id: session,
            user_id: user,
            provider,
            model,
        };
        found(&facts, is_dropped)
    }

    /// Most traces whose root has totals also have spans that count, mostly in this very run: then
    /// nobody has to look the trace up.
    fn tell_who_counts(&self, is_live: impl Fn(usize) -> bool, traces: &mut TracesOf<'_>) {
        let has = |value: Option<bool>| value.unwrap_or_default();
        let of_trace: Vec<bool> = self.of_trace.each().map(|flag| has(flag.copied())).collect();
        if !of_trace.contains(&true) {
            return;
        }
        let ids: Vec<TraceId> = self.traces.each().map(|id| TraceId(id_of(id))).collect();
        let asked: HashSet<TraceId> = ids
            .iter()
            .zip(&of_trace)
            .filter(|(_, of_trace)| **of_trace)
            .map(|(id, _)| *id)
            .collect();
        let dropped: Vec<bool> = self.dropped.each().map(|flag| has(flag.copied())).collect();
        let mut counts = vec![false; self.rows];
        for column in &self.tokens {
            for (counts, count) in counts.iter_mut().zip(column.each()) {
                *counts |= count.is_some_and(|count| *count > 0);
            }
        }
        for (row, trace_id) in ids.into_iter().enumerate() {
            if counts[row]
                && !of_trace[row]
                && !dropped[row]
                && is_live(row)
                && asked.contains(&trace_id)
            {
                traces.counts_own_tokens(trace_id);
            }
        }
    }
}

fn word<T: Copy>(
    value: Option<&ByteArray>,
    last: &mut (ByteArray, T),
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let value = value?;
    if *value != last.0 {
        *last = (value.clone(), parse(text_of(Some(value))?)?);
    }
    Some(last.1)
}
