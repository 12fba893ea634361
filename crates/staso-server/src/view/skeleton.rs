//! A trace as columns in tree order, without content: what a waterfall of 100,000 rows needs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use staso_store::row;
use utoipa::ToSchema;

use super::annotation::{self, Annotation};
use super::span::is_interrupted;
use super::trace::TraceRow;
use super::{Int64, Kind, Status};

/// A trace's shape. Every list without another note has one entry per span, a parent before its
/// children, siblings by start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Skeleton {
    /// The rollup.
    pub trace: TraceRow,
    /// Every annotation, oldest first.
    pub annotations: Vec<Annotation>,
    /// What the offsets count from, Unix nanoseconds.
    pub base_ns: Int64,
    /// The distinct names; `name` points into it.
    pub names: Vec<String>,
    /// The distinct agents; `agent` points into it.
    pub agents: Vec<String>,
    /// The distinct models; `model` points into it.
    pub models: Vec<String>,
    /// Ids.
    pub span_id: Vec<String>,
    /// The row of the parent, or -1.
    pub parent: Vec<i64>,
    /// 0 for a root.
    pub depth: Vec<u32>,
    /// The row after the last descendant.
    pub subtree_end: Vec<u32>,
    /// Index into `names`.
    pub name: Vec<u32>,
    /// Kinds.
    pub kind: Vec<Kind>,
    /// Index into `agents`, or -1.
    pub agent: Vec<i64>,
    /// Index into `models`, or -1.
    pub model: Vec<i64>,
    /// Start less `base_ns`, nanoseconds.
    pub start_offset_ns: Vec<i64>,
    /// Nanoseconds; null while open.
    pub duration_ns: Vec<Option<i64>>,
    /// How each ended.
    pub status: Vec<Status>,
    /// Whether it has not ended.
    pub open: Vec<bool>,
    /// Whether its parent has not arrived.
    pub missing_parent: Vec<bool>,
    /// Whether it counts as an error.
    pub error: Vec<bool>,
    /// Tokens, input and output; null when unknown.
    pub tokens: Vec<Option<i64>>,
    /// Billionths of a US dollar; null when unknown.
    pub cost_nano_usd: Vec<Option<i64>>,
    /// Annotations on the span.
    pub annotation_count: Vec<u32>,
    /// Whether it was mended on arrival.
    pub repaired: Vec<bool>,
    /// Whether its process died before it ended.
    pub interrupted: Vec<bool>,
}

/// Gives each distinct text a number, in order of first use.
#[derive(Default)]
struct Dictionary<'a> {
    index: HashMap<&'a str, u32>,
    texts: Vec<String>,
}

impl<'a> Dictionary<'a> {
    fn number(&mut self, text: &'a str) -> u32 {
        *self.index.entry(text).or_insert_with(|| {
            self.texts.push(text.to_owned());
            u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn number_or_minus_one(&mut self, text: Option<&'a str>) -> i64 {
        text.map_or(-1, |text| i64::from(self.number(text)))
    }
}

impl From<&row::Trace> for Skeleton {
    fn from(trace: &row::Trace) -> Self {
        let mut counts = HashMap::<_, u32>::new();
        for span_id in trace.annotations.iter().filter_map(|note| note.span_id) {
            *counts.entry(span_id).or_default() += 1;
        }
        let (mut names, mut agents, mut models) =
            (Dictionary::default(), Dictionary::default(), Dictionary::default());
        let mut skeleton = Self::empty(trace);
        for tree in &trace.spans {
            let span = &tree.span;
            skeleton.name.push(names.number(&span.name));
            skeleton.agent.push(agents.number_or_minus_one(span.agent_name.as_deref()));
            skeleton.model.push(models.number_or_minus_one(span.model.as_deref()));
            skeleton.annotation_count.push(counts.get(&span.span_id).copied().unwrap_or(0));
            skeleton.push_shape(tree);
            skeleton.push_outcome(span);
        }
        skeleton.names = names.texts;
        skeleton.agents = agents.texts;
        skeleton.models = models.texts;
        skeleton
    }
}

impl Skeleton {
    fn empty(trace: &row::Trace) -> Self {
        let n = trace.spans.len();
        Self {
            trace: (&trace.row).into(),
            annotations: annotation::all(&trace.annotations),
            base_ns: Int64(trace.row.start_ns),
            names: Vec::new(),
            agents: Vec::new(),
            models: Vec::new(),
            span_id: Vec::with_capacity(n),
            parent: Vec::with_capacity(n),
            depth: Vec::with_capacity(n),
            subtree_end: Vec::with_capacity(n),
            name: Vec::with_capacity(n),
            kind: Vec::with_capacity(n),
            agent: Vec::with_capacity(n),
            model: Vec::with_capacity(n),
            start_offset_ns: Vec::with_capacity(n),
            duration_ns: Vec::with_capacity(n),
            status: Vec::with_capacity(n),
            open: Vec::with_capacity(n),
            missing_parent: Vec::with_capacity(n),
            error: Vec::with_capacity(n),
            tokens: Vec::with_capacity(n),
            cost_nano_usd: Vec::with_capacity(n),
            annotation_count: Vec::with_capacity(n),
            repaired: Vec::with_capacity(n),
            interrupted: Vec::with_capacity(n),
        }
    }

    fn push_shape(&mut self, tree: &row::TreeSpan) {
        self.span_id.push(tree.span.span_id.to_string());
        self.parent.push(tree.parent.map_or(-1, i64::from));
        self.depth.push(tree.depth);
        self.subtree_end.push(tree.subtree_end);
        self.start_offset_ns.push(tree.span.start_ns.saturating_sub(self.base_ns.0));
        self.duration_ns.push(tree.span.duration_ns());
        self.missing_parent.push(tree.missing_parent);
    }

    fn push_outcome(&mut self, span: &staso_model::Span) {
        self.kind.push(span.kind.into());
        self.status.push(span.status.into());
        self.open.push(span.is_open());
        self.error.push(span.status.is_error());
        self.tokens.push(span.usage.total());
        self.cost_nano_usd.push(span.cost_nano_usd);
        self.repaired.push(!span.repairs.is_empty());
        self.interrupted.push(is_interrupted(span));
    }
}
