//! What is counted of a span, without its payloads, and what an engine must know of its trace.

use std::collections::HashMap;
use std::sync::Arc;

use staso_model::{Span, SpanId, SpanKind, SpanStatus, TraceId};

use super::measure::GroupBy;
use super::weight::Weight;
use crate::error::StoreError;
use crate::row::TraceRow;

/// The part of a span that metrics count. An engine may leave out what a query does not ask for.
#[derive(Debug, Clone, Copy)]
pub struct SpanFacts<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its start, Unix nanoseconds.
    pub start_ns: i64,
    /// Its duration; `None` while it is open and where the sender gave no end.
    pub duration_ns: Option<i64>,
    /// What sort of work.
    pub kind: SpanKind,
    /// How it ended.
    pub status: SpanStatus,
    /// What it stands for.
    pub weight: Weight,
    /// Input, output and all tokens.
    pub tokens: [Option<i64>; 3],
    /// Whether these are its trace's own totals.
    pub tokens_are_of_trace: bool,
    /// nano-USD.
    pub cost_nano_usd: Option<i64>,
    /// What it is called.
    pub name: Option<&'a str>,
    /// The agent.
    pub agent_name: Option<&'a str>,
    /// The agent's version.
    pub agent_version: Option<&'a str>,
    /// The environment.
    pub environment: Option<&'a str>,
    /// The service.
    pub service: Option<&'a str>,
    /// The conversation.
    pub session_id: Option<&'a str>,
    /// The user.
    pub user_id: Option<&'a str>,
    /// Who served the model.
    pub provider: Option<&'a str>,
    /// The model.
    pub model: Option<&'a str>,
}

impl<'a> From<&'a Span> for SpanFacts<'a> {
    fn from(span: &'a Span) -> Self {
        let end_ns = span.end_ns.filter(|_| !span.is_open());
        Self {
            trace_id: span.trace_id,
            span_id: span.span_id,
            start_ns: span.start_ns,
            duration_ns: end_ns.map(|end_ns| end_ns.saturating_sub(span.start_ns).max(0)),
            kind: span.kind,
            status: span.status,
            weight: Weight::of_rate(span.sample_rate),
            tokens: [span.usage.input_total(), span.usage.output, span.usage.total()],
            tokens_are_of_trace: span.usage.is_of_trace,
            cost_nano_usd: span.cost_nano_usd,
            name: Some(&span.name),
            agent_name: span.agent_name.as_deref(),
            agent_version: span.agent_version.as_deref(),
            environment: span.environment.as_deref(),
            service: span.service.as_deref(),
            session_id: span.session_id.as_deref(),
            user_id: span.user_id.as_deref(),
            provider: span.provider.as_deref(),
            model: span.model.as_deref(),
        }
    }
}

impl SpanFacts<'_> {
    /// What the span itself says of its group.
    pub(super) fn own(&self, by: GroupBy) -> Option<&str> {
        match by {
            GroupBy::Agent => self.agent_name,
            GroupBy::AgentVersion => self.agent_version,
            GroupBy::Model => self.model,
            GroupBy::Provider => self.provider,
            GroupBy::Kind => Some(self.kind.as_str()),
            GroupBy::Status => Some(self.status.shown().as_str()),
            GroupBy::Name => self.name,
            GroupBy::Environment => self.environment,
            GroupBy::Service => self.service,
            GroupBy::User => self.user_id,
            GroupBy::Session => self.session_id,
        }
    }

    /// Whether its trace's row speaks for it in this. The version belongs to the agent: a span that
    /// names its own agent takes no version from another.
    pub(super) fn is_silent(&self, by: GroupBy) -> bool {
        let may_inherit = match by {
            GroupBy::AgentVersion => self.agent_name.is_none(),
            GroupBy::Agent
            | GroupBy::Environment
            | GroupBy::Service
            | GroupBy::User
            | GroupBy::Session => true,
            GroupBy::Model
            | GroupBy::Provider
            | GroupBy::Kind
            | GroupBy::Status
            | GroupBy::Name => false,
        };
        may_inherit && self.own(by).is_none()
    }
}

/// What a trace says for its spans that are silent: less than its row, since many may be remembered.
#[derive(Debug)]
pub(super) struct TraceFields {
    pub(super) agent_name: Option<String>,
    pub(super) agent_version: Option<String>,
    environment: Option<String>,
    service: Option<String>,
    session_id: Option<String>,
    user_id: Option<String>,
}

impl TraceFields {
    fn of(row: &TraceRow) -> Self {
        Self {
            agent_name: row.agent_name.clone(),
            agent_version: row.agent_version.clone(),
            environment: row.environment.clone(),
            service: row.service.clone(),
            session_id: row.session_id.clone(),
            user_id: row.user_id.clone(),
        }
    }

    pub(super) fn get(&self, by: GroupBy) -> Option<&str> {
        match by {
            GroupBy::Agent => self.agent_name.as_deref(),
            GroupBy::AgentVersion => self.agent_version.as_deref(),
            GroupBy::Environment => self.environment.as_deref(),
            GroupBy::Service => self.service.as_deref(),
            GroupBy::User => self.user_id.as_deref(),
            GroupBy::Session => self.session_id.as_deref(),
            GroupBy::Model
            | GroupBy::Provider
            | GroupBy::Kind
            | GroupBy::Status
            | GroupBy::Name => None,
        }
    }
}

/// How an engine looks up traces, one at a time.
pub trait Traces {
    /// The row of a trace, its state judged; `None` when no span of it counts.
    ///
    /// # Errors
    /// Whatever keeps the engine from reading it.
    fn row(&self, trace_id: &TraceId) -> Result<Option<TraceRow>, StoreError>;

    /// Whether the query's filter and environment admit a trace of which this is the row.
    ///
    /// # Errors
    /// Likewise.
    fn admits(&self, row: &TraceRow) -> Result<bool, StoreError>;

    /// The span whose tokens stand for the whole trace: the one of
    /// [`Rollup::totals_span`](crate::rollup::Rollup::totals_span).
    ///
    /// # Errors
    /// Likewise.
    fn totals_span(&self, trace_id: &TraceId) -> Result<Option<SpanId>, StoreError>;
}

/// Remembers what was looked up, so that each trace is looked up once.
pub struct TracesOf<'a> {
    traces: &'a dyn Traces,
    /// Whether anything but the spans decides which traces count.
    is_filtered: bool,
    known: HashMap<TraceId, Known>,
    totals: HashMap<TraceId, Option<SpanId>>,
}

/// What a trace says for its spans, and whether it passes.
type Known = (Option<Arc<TraceFields>>, bool);

impl<'a> TracesOf<'a> {
    /// `is_filtered`: whether a filter or an environment chooses traces.
    #[must_use]
    pub fn new(traces: &'a dyn Traces, is_filtered: bool) -> Self {
        Self { traces, is_filtered, known: HashMap::new(), totals: HashMap::new() }
    }

    /// Says beforehand what the row of a trace is that passes: it is not looked up then.
    pub fn learn(&mut self, row: &TraceRow) {
        self.known.insert(row.trace_id, (Some(Arc::new(TraceFields::of(row))), true));
    }

    /// Says beforehand that spans of a trace count tokens of their own.
    pub fn counts_own_tokens(&mut self, trace_id: TraceId) {
        self.totals.insert(trace_id, None);
    }

    /// Whether the spans of a trace count at all.
    pub(super) fn admits(&mut self, trace_id: &TraceId) -> Result<bool, StoreError> {
        if !self.is_filtered {
            return Ok(true);
        }
        self.known(trace_id).map(|(_, passes)| passes)
    }

    pub(super) fn fields(
        &mut self,
        trace_id: &TraceId,
    ) -> Result<Option<Arc<TraceFields>>, StoreError> {
        self.known(trace_id).map(|(fields, _)| fields)
    }

    fn known(&mut self, trace_id: &TraceId) -> Result<Known, StoreError> {
        if let Some(known) = self.known.get(trace_id) {
            return Ok(known.clone());
        }
        let row = self.traces.row(trace_id)?;
        let passes = match &row {
            Some(row) if self.is_filtered => self.traces.admits(row)?,
            _ => true,
        };
        let known = (row.as_ref().map(|row| Arc::new(TraceFields::of(row))), passes);
        self.known.insert(*trace_id, known.clone());
        Ok(known)
    }

    /// The tokens that count of a span.
    pub(super) fn tokens(&mut self, span: &SpanFacts<'_>) -> Result<[Option<i64>; 3], StoreError> {
        if !span.tokens_are_of_trace || span.tokens == [None; 3] {
            return Ok(span.tokens);
        }
        let teller = match self.totals.get(&span.trace_id) {
            Some(teller) => *teller,
            None => {
                let teller = self.traces.totals_span(&span.trace_id)?;
                self.totals.insert(span.trace_id, teller);
                teller
            }
        };
        Ok(if teller == Some(span.span_id) { span.tokens } else { [None; 3] })
    }
}
