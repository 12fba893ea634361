//! Questions as plain data: filters, sort, pages.
//!
//! [`parse`] reads the grammar that people write filters in; `Display` of [`Filter`] writes it.

mod cursor;
mod format;
mod lex;
pub mod parse;
mod units;

use staso_model::{SpanKind, SpanStatus, TraceId};

pub use cursor::CursorError;
pub use parse::ParseError;

/// Which traces, in which order, from where.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceQuery {
    /// The one workspace asked about.
    pub workspace: String,
    /// Only traces of this environment.
    pub environment: Option<String>,
    /// Only traces with `from_ns <= start`.
    pub from_ns: Option<i64>,
    /// Only traces with `start < to_ns`.
    pub to_ns: Option<i64>,
    /// Only traces that match this.
    pub filter: Filter,
    /// The order; the greatest first, ties by trace id, greatest first. Rows without the value
    /// come last.
    pub sort: Sort,
    /// Continue after this position.
    pub after: Option<Cursor>,
    /// At most this many rows, 1..=1000.
    pub limit: usize,
    /// The time to judge run states by, Unix nanoseconds.
    pub now_ns: i64,
}

/// The value a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sort {
    /// The trace's start.
    #[default]
    Start,
    /// Its duration; open traces have none.
    Duration,
    /// Its cost.
    Cost,
    /// Its tokens.
    Tokens,
    /// Its number of spans.
    Spans,
}

/// A position in a list: the sort value (`None` = has none) and the trace id of the last row seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The sort it belongs to.
    pub sort: Sort,
    /// The last row's sort value.
    pub value: Option<i64>,
    /// The last row's trace.
    pub trace_id: TraceId,
}

/// A condition on a trace.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these; empty = every trace.
    All(Vec<Filter>),
    /// Any of these; empty = no trace.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The run state at `now_ns`.
    State(RunState),
    /// The trace's status. `Ok` matches unset too.
    Status(SpanStatus),
    /// Some span has this kind.
    Kind(SpanKind),
    /// A text field of the trace matches.
    Text(TextField, TextMatch),
    /// Some span's name contains this, any letter case.
    SpanName(String),
    /// Some span has this phrase in its texts, see [`search`](crate::search).
    Anywhere(String),
    /// The trace's id.
    Trace(TraceId),
    /// A number of the trace compares so. A trace without the value never matches.
    Number(NumberField, Comparison, i64),
    /// Some span has this attribute with this value (as text; numbers, booleans and null by their
    /// JSON text; lists, maps and bytes never match). The path is dotted, see [`staso_model::get_path`].
    Metadata(String, TextMatch),
}

impl Filter {
    /// The filter every trace passes.
    #[must_use]
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }
}

/// Text fields of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextField {
    /// The root's name.
    Name,
    /// Any span's agent name.
    Agent,
    /// Any span's agent version.
    AgentVersion,
    /// The service.
    Service,
    /// The environment.
    Environment,
    /// The conversation.
    Session,
    /// The user.
    User,
    /// Any span's model.
    Model,
    /// Any span's tag.
    Tag,
}

/// How text is compared; always without regard to letter case, as
/// [`fold_letter`](crate::search::fold_letter) says.
#[derive(Hash, Debug, Clone, PartialEq, Eq)]
pub enum TextMatch {
    /// The whole text.
    Equals(String),
    /// A part of it.
    Contains(String),
    /// A pattern in which `*` stands for any text.
    Pattern(String),
}

/// Numbers of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberField {
    /// Nanoseconds; only ended traces have it.
    DurationNs,
    /// nano-USD.
    CostNanoUsd,
    /// Input and output tokens.
    Tokens,
    /// Spans.
    Spans,
    /// Spans that ended in error or timeout.
    Errors,
}

/// A comparison with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Stalled, Self::Interrupted, Self::Done, Self::Unknown];

    /// The word, lower case, as it stands on every wire and screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stalled => "stalled",
            Self::Interrupted => "interrupted",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a trace still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Open spans, and their process said within 60 s that it lives.
    Running,
    /// Open spans, and no sign of their process for 60 s.
    Stalled,
    /// Open spans whose process is gone, or spans closed in its stead.
    Interrupted,
    /// No open span.
    Done,
    /// Open spans of a client that sends no signs of life.
    Unknown,
}

/// Which field to count values of, over which traces.
#[derive(Debug, Clone, PartialEq)]
pub struct FacetQuery {
    /// The traces counted; its sort, cursor and limit are not used.
    pub traces: TraceQuery,
    /// The field.
    pub field: FacetField,
    /// At most this many values.
    pub limit: usize,
}

/// Fields that can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FacetField {
    /// A text field of the trace.
    Text(TextField),
    /// Span kinds present.
    Kind,
    /// The trace's status.
    Status,
    /// The run state.
    State,
}

/// One value and the number of traces that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetValue {
    /// The value as text.
    pub value: String,
    /// How many traces.
    pub count: u64,
}
