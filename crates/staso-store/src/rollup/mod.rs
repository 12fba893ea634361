//! What a trace row says, computed in one place for every engine.
//!
//! A [`Rollup`] is a sum that does not depend on order and can be merged: engines may keep one per
//! block of spans and recompute only the blocks that changed. Removing a span is not possible; the
//! block is computed anew from its own [`SpanSummary`]s.

mod state;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

use staso_model::{Annotation, ProcessId, Span, SpanId, SpanKind, SpanStatus, TraceId};

pub use state::{ALIVE_FOR_NS, run_state};
pub use summary::{PREVIEW_CHARS, SpanSummary, preview};

use crate::process::ProcessLife;
use crate::query::RunState;
use crate::row::TraceRow;

/// A place in start order: ties go to the lowest id.
type Place = (i64, SpanId);

/// The earliest span that has something, and what it has.
type Earliest<T> = Option<(Place, T)>;

/// The sum of any number of spans of one trace. Dropped spans add nothing.
#[derive(Debug, Clone, Default)]
pub struct Rollup {
    spans: u64,
    errors: u64,
    open: u64,
    interrupted: u64,
    repaired: u64,
    start_ns: Option<i64>,
    end_ns: Option<i64>,
    received_ns: Option<i64>,
    /// Input, output and all tokens of the spans that counted them.
    tokens: [Option<i128>; 3],
    /// The same as the trace's own totals; they stand where no span counted any.
    trace_tokens: Earliest<[Option<i128>; 3]>,
    cost_nano_usd: Option<i128>,
    cost_incomplete: bool,
    kinds: BTreeSet<SpanKind>,
    sets: [BTreeSet<String>; SETS],
    agent_pairs: BTreeSet<(String, Option<String>)>,
    open_processes: BTreeSet<ProcessId>,
    root: Earliest<Root>,
    first: Earliest<(String, SpanKind)>,
    firsts: [Earliest<String>; FIRSTS],
}

/// Agents, agent versions, models, tags: the places in [`Rollup::sets`].
const SETS: usize = 4;
/// Environment, service, agent, agent version, session, user, failure: in [`Rollup::firsts`].
const FIRSTS: usize = 7;
const FAILURE: usize = FIRSTS - 1;

/// What the row takes from the root alone.
#[derive(Debug, Clone)]
struct Root {
    name: String,
    kind: SpanKind,
    status: SpanStatus,
    is_open: bool,
    sample_rate: Option<f64>,
    fields: [Option<String>; FIRSTS],
    input_preview: Option<String>,
    output_preview: Option<String>,
}

impl Rollup {
    /// Adds one span.
    pub fn add(&mut self, span: &SpanSummary) {
        if span.dropped {
            return;
        }
        self.add_counts(span);
        self.add_sums(span);
        self.add_sets(span);
        self.add_earliest(span);
    }

    fn add_counts(&mut self, span: &SpanSummary) {
        self.spans += 1;
        self.errors += u64::from(span.status.is_error());
        self.open += u64::from(span.is_open());
        self.interrupted += u64::from(span.interrupted);
        self.repaired += u64::from(span.repaired);
        self.start_ns = least(self.start_ns, Some(span.start_ns));
        self.end_ns = self.end_ns.max(span.end_ns);
        self.received_ns = self.received_ns.max(Some(span.version.received_ns));
    }

    fn add_sums(&mut self, span: &SpanSummary) {
        let tokens = [span.input_tokens, span.output_tokens, span.total_tokens];
        let tokens = tokens.map(|count| count.map(i128::from));
        if span.tokens_are_of_trace {
            offer(&mut self.trace_tokens, (span.start_ns, span.span_id), || Some(tokens));
        } else {
            add_each(&mut self.tokens, &tokens);
        }
        self.cost_nano_usd = sum(self.cost_nano_usd, span.cost_nano_usd.map(i128::from));
        self.cost_incomplete |= span.kind == SpanKind::Llm && span.cost_nano_usd.is_none();
    }

    fn add_sets(&mut self, span: &SpanSummary) {
        self.kinds.insert(span.kind);
        let single = [&span.agent_name, &span.agent_version, &span.model];
        for (set, value) in self.sets.iter_mut().zip(single) {
            insert(set, value.as_deref());
        }
        for tag in &span.tags {
            insert(&mut self.sets[SETS - 1], Some(tag));
        }
        if let Some(agent) = &span.agent_name {
            self.insert_pair(agent, span.agent_version.as_deref());
        }
        if let Some(process_id) = span.process_id.filter(|_| span.is_open()) {
            self.open_processes.insert(process_id);
        }
    }

    /// Most spans of a trace name the same agent: nothing is copied for those.
    fn insert_pair(&mut self, agent: &str, version: Option<&str>) {
        let is_same = |(a, v): &(String, Option<String>)| a == agent && v.as_deref() == version;
        if !self.agent_pairs.iter().any(is_same) {
            self.agent_pairs.insert((agent.to_owned(), version.map(str::to_owned)));
        }
    }

    fn add_earliest(&mut self, span: &SpanSummary) {
        let place = (span.start_ns, span.span_id);
        offer(&mut self.first, place, || Some((span.name.clone(), span.kind)));
        for (first, field) in self.firsts.iter_mut().zip(fields(span)) {
            offer(first, place, || field.cloned());
        }
        if !span.has_parent {
            offer(&mut self.root, place, || Some(Root::of(span)));
        }
    }

    /// Adds everything another rollup of the same trace has. No span may be in both.
    pub fn merge(&mut self, other: &Self) {
        self.spans += other.spans;
        self.errors += other.errors;
        self.open += other.open;
        self.interrupted += other.interrupted;
        self.repaired += other.repaired;
        self.start_ns = least(self.start_ns, other.start_ns);
        self.end_ns = self.end_ns.max(other.end_ns);
        self.received_ns = self.received_ns.max(other.received_ns);
        add_each(&mut self.tokens, &other.tokens);
        take_earlier(&mut self.trace_tokens, &other.trace_tokens);
        self.cost_nano_usd = sum(self.cost_nano_usd, other.cost_nano_usd);
        self.cost_incomplete |= other.cost_incomplete;
        self.kinds.extend(&other.kinds);
        self.open_processes.extend(&other.open_processes);
        for (agent, version) in &other.agent_pairs {
            self.insert_pair(agent, version.as_deref());
        }
        for (set, more) in self.sets.iter_mut().zip(&other.sets) {
            more.iter().for_each(|value| insert(set, Some(value)));
        }
        take_earlier(&mut self.root, &other.root);
        take_earlier(&mut self.first, &other.first);
        for (first, others) in self.firsts.iter_mut().zip(&other.firsts) {
            take_earlier(first, others);
        }
    }

    /// The processes that hold an open span: whose lives decide the run state.
    #[must_use]
    pub fn open_processes(&self) -> &BTreeSet<ProcessId> {
        &self.open_processes
    }

    /// Spans that somebody else closed because their process was gone.
    #[must_use]
    pub fn interrupted_count(&self) -> u64 {
        self.interrupted
    }

    /// The row; `None` when no span counts. `annotations` in any order.
    #[must_use]
    pub fn row(
        &self,
        workspace: &str,
        trace_id: TraceId,
        annotations: &[Annotation],
        state: RunState,
    ) -> Option<TraceRow> {
        let ((_, first_id), (first_name, first_kind)) = self.first.as_ref()?;
        debug_assert!(self.spans > 0, "{first_id:?} was counted");
        let root = self.root.as_ref().map(|(_, root)| root);
        let field = |i: usize| {
            let of_root = root.and_then(|root| root.fields[i].clone());
            of_root.or_else(|| self.firsts[i].as_ref().map(|(_, text)| text.clone()))
        };
        let set = |i: usize| self.sets[i].iter().cloned().collect();
        let [input_tokens, output_tokens, total_tokens] = self.row_tokens();
        Some(TraceRow {
            workspace: workspace.to_owned(),
            trace_id,
            root_span_id: self.root.as_ref().map(|((_, id), _)| *id),
            name: root.map_or(first_name, |root| &root.name).clone(),
            kind: root.map_or(*first_kind, |root| root.kind),
            kinds: self.kinds.iter().copied().collect(),
            status: self.status(),
            state,
            start_ns: self.start_ns.unwrap_or_default(),
            end_ns: self.end_ns.filter(|_| self.open == 0),
            span_count: self.spans,
            error_count: self.errors,
            open_count: self.open,
            environment: field(0),
            service: field(1),
            agent_name: field(2),
            agent_version: field(3),
            session_id: field(4),
            user_id: field(5),
            agents: set(0),
            agent_versions: set(1),
            agent_pairs: self.agent_pairs.iter().cloned().collect(),
            models: set(2),
            tags: set(3),
            input_tokens,
            output_tokens,
            total_tokens,
            cost_nano_usd: self.cost_nano_usd.map(clamp),
            cost_incomplete: self.cost_incomplete,
            input_preview: root.and_then(|root| root.input_preview.clone()),
            output_preview: root.and_then(|root| root.output_preview.clone()),
            error_message: field(FAILURE),
            repaired_count: self.repaired,
            received_ns: self.received_ns.unwrap_or_default(),
            sample_rate: root.and_then(|root| root.sample_rate),
            annotations: latest_annotations(annotations),
        })
    }

    /// The tokens of the spans; the trace's own totals only where no span counted any, since they
    /// say the same once more.
    fn row_tokens(&self) -> [Option<i64>; 3] {
        let tokens = self.totals().map_or(self.tokens, |(_, tokens)| *tokens);
        tokens.map(|count| count.map(clamp))
    }

    fn totals(&self) -> Option<&(Place, [Option<i128>; 3])> {
        let is_counted = self.tokens.iter().any(|sum| sum.is_some_and(|sum| sum != 0));
        self.trace_tokens.as_ref().filter(|_| !is_counted)
    }

    /// The span whose tokens are the whole trace's, where no span counted any of its own.
    #[must_use]
    pub fn totals_span(&self) -> Option<SpanId> {
        self.totals().map(|((_, span_id), _)| *span_id)
    }

    fn status(&self) -> SpanStatus {
        match &self.root {
            Some((_, root)) if !root.is_open => root.status,
            _ if self.errors > 0 => SpanStatus::Error,
            _ => SpanStatus::Ok,
        }
    }
}

impl Root {
    fn of(span: &SpanSummary) -> Self {
        let mut own = fields(span).map(|field| field.cloned());
        // A root may carry a message without having failed; it is still the trace's message.
        own[FAILURE].clone_from(&span.error_message);
        Self {
            name: span.name.clone(),
            kind: span.kind,
            status: span.status,
            is_open: span.is_open(),
            sample_rate: span.sample_rate,
            fields: own,
            input_preview: span.input_preview.clone(),
            output_preview: span.output_preview.clone(),
        }
    }
}

/// The fields the row takes from the root or from the earliest span that has them.
fn fields(span: &SpanSummary) -> [Option<&String>; FIRSTS] {
    [
        span.environment.as_ref(),
        span.service.as_ref(),
        span.agent_name.as_ref(),
        span.agent_version.as_ref(),
        span.session_id.as_ref(),
        span.user_id.as_ref(),
        span.error_message.as_ref().filter(|_| span.status.is_error()),
    ]
}

fn offer<T>(slot: &mut Earliest<T>, place: Place, value: impl FnOnce() -> Option<T>) {
    if slot.as_ref().is_none_or(|(held, _)| place < *held)
        && let Some(value) = value()
    {
        *slot = Some((place, value));
    }
}

fn take_earlier<T: Clone>(slot: &mut Earliest<T>, other: &Earliest<T>) {
    if let Some((place, value)) = other {
        offer(slot, *place, || Some(value.clone()));
    }
}

fn insert(set: &mut BTreeSet<String>, value: Option<&str>) {
    if let Some(value) = value
        && !set.contains(value)
    {
        set.insert(value.to_owned());
    }
}

fn least(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The sum of the known parts. In 128 bits, so that the order of adding cannot matter.
fn sum(a: Option<i128>, b: Option<i128>) -> Option<i128> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

fn add_each(sums: &mut [Option<i128>; 3], more: &[Option<i128>; 3]) {
    for (held, part) in sums.iter_mut().zip(more) {
        *held = sum(*held, *part);
    }
}

fn clamp(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

/// The latest annotation per (span, name, source, author), oldest first; ties go by id.
#[must_use]
pub fn latest_annotations(annotations: &[Annotation]) -> Vec<Annotation> {
    let mut latest = BTreeMap::new();
    for annotation in annotations {
        let key = (
            annotation.span_id,
            &annotation.name,
            annotation.source.as_str(),
            annotation.author.as_deref(),
        );
        let held = latest.entry(key).or_insert(annotation);
        if (annotation.created_ns, annotation.id) > (held.created_ns, held.id) {
            *held = annotation;
        }
    }
    let mut rows: Vec<Annotation> = latest.into_values().cloned().collect();
    sort_annotations(&mut rows);
    rows
}

/// Puts annotations in the order every answer has: oldest first, ties by id.
pub fn sort_annotations(annotations: &mut [Annotation]) {
    annotations.sort_by_key(|annotation| (annotation.created_ns, annotation.id));
}

/// The row of one trace from all that is known of it: the newest version of each of its spans, its
/// annotations, and the lives of processes. `None` when no span counts.
#[must_use]
pub fn trace_row<'a>(
    workspace: &str,
    trace_id: TraceId,
    spans: impl IntoIterator<Item = &'a Span>,
    annotations: &[Annotation],
    lives: &BTreeMap<ProcessId, ProcessLife>,
    now_ns: i64,
) -> Option<TraceRow> {
    let mut rollup = Rollup::default();
    spans.into_iter().for_each(|span| rollup.add(&SpanSummary::of(span)));
    let open: Vec<ProcessLife> =
        rollup.open_processes.iter().filter_map(|id| lives.get(id).copied()).collect();
    let state = run_state(rollup.open, rollup.interrupted, &open, now_ns);
    rollup.row(workspace, trace_id, annotations, state)
}
