//! Search: which spans have a phrase in their texts.
//!
//! The texts of a span are its name, its error message, its input and output, and of each event its
//! name and the text values of its attributes. Each is searched by itself, so that a phrase never
//! stretches over two. What letters count as the same says [`fold_letter`], what the text of JSON is
//! [`text_of_json`]. Metadata is not text: filters find it.

mod cursor;
mod fold;
mod phrase;
mod snippet;

use std::time::Duration;

use staso_model::{Event, Payload, Span, SpanId, SpanKind, SpanStatus, TraceId, Value};

pub use cursor::SearchCursor;
pub use fold::{fold, fold_letter};
pub use phrase::{Phrase, text_of_json};
pub use snippet::Snippet;

use crate::error::StoreError;
use crate::matching::{MAX_LIMIT, Matcher, bad_query};
use crate::query::Filter;

/// The longest phrase, in letters.
pub const MAX_PHRASE_LETTERS: usize = 500;

/// A phrase, and where it is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchQuery {
    /// The one workspace asked about.
    pub workspace: String,
    /// The phrase, as it was typed: white space counts.
    pub text: String,
    /// Only spans of traces of this environment.
    pub environment: Option<String>,
    /// Only spans of traces that match this.
    pub filter: Filter,
    /// Only spans with `from_ns <= start`.
    pub from_ns: Option<i64>,
    /// Only spans with `start < to_ns`.
    pub to_ns: Option<i64>,
    /// Continue after this position.
    pub after: Option<SearchCursor>,
    /// At most this many hits, 1..=1000.
    pub limit: usize,
    /// After so long an engine stops where it stands, once it has come any further.
    pub give_up_after: Option<Duration>,
    /// The time to judge run states by, Unix nanoseconds.
    pub now_ns: i64,
}

/// A span that has the phrase: once, whatever number of times it has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchHit {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Its status.
    pub status: SpanStatus,
    /// Its start, Unix nanoseconds.
    pub start_ns: i64,
    /// The first of its texts that has the phrase, in the order of [`SearchField`].
    pub field: SearchField,
    /// The first place in that text, and what stands around it.
    pub snippet: Snippet,
}

/// The texts of a span, in the order in which they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SearchField {
    /// The name.
    Name,
    /// The error message.
    Error,
    /// The input.
    Input,
    /// The output.
    Output,
    /// An event's name, or a text of its attributes.
    Event,
}

impl SearchField {
    /// The word, lower case, as it stands on every wire and screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Error => "error",
            Self::Input => "input",
            Self::Output => "output",
            Self::Event => "event",
        }
    }
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SearchEnd {
    /// Where to continue; `None` when everything was looked at.
    pub next: Option<SearchCursor>,
}

/// Checks what every engine must refuse.
///
/// # Errors
/// [`StoreError::BadQuery`].
pub fn check_search(query: &SearchQuery) -> Result<(), StoreError> {
    if query.limit == 0 || query.limit > MAX_LIMIT {
        return Err(bad_query("the limit is out of range", format!("use 1 to {MAX_LIMIT}")));
    }
    if query.text.trim().is_empty() {
        return Err(bad_query("there is nothing to look for", "give a phrase of a letter or more"));
    }
    if query.text.chars().count() > MAX_PHRASE_LETTERS {
        let hint = format!("use at most {MAX_PHRASE_LETTERS} letters");
        return Err(bad_query("the phrase is too long", hint));
    }
    Matcher::new(&query.filter).map(drop)
}

impl SearchQuery {
    /// Whether a span's place is within the time, and behind the cursor.
    #[must_use]
    pub fn reaches(&self, at: &SearchCursor) -> bool {
        self.from_ns.is_none_or(|from_ns| from_ns <= at.start_ns)
            && self.to_ns.is_none_or(|to_ns| at.start_ns < to_ns)
            && self.after.is_none_or(|after| *at < after)
    }

    /// Whether its filter and environment admit every trace.
    #[must_use]
    pub fn admits_all(&self) -> bool {
        self.environment.is_none() && self.filter == Filter::everything()
    }
}

impl Phrase {
    /// Where a span that was not dropped has the phrase.
    #[must_use]
    pub fn hit(&self, span: &Span) -> Option<SearchHit> {
        let (field, snippet) = self.find_in(span)?;
        Some(SearchHit {
            trace_id: span.trace_id,
            span_id: span.span_id,
            name: span.name.clone(),
            kind: span.kind,
            status: span.status,
            start_ns: span.start_ns,
            field,
            snippet,
        })
    }

    /// Whether one of a span's texts has the phrase.
    #[must_use]
    pub fn stands_in(&self, span: &Span) -> bool {
        self.find_in(span).is_some()
    }

    fn find_in(&self, span: &Span) -> Option<(SearchField, Snippet)> {
        let payload = |payload: &Option<Payload>| {
            payload.as_ref().and_then(|it| self.find_in_text(&it.text, it.is_json))
        };
        let error = || span.error_message.as_ref().and_then(|text| self.find_in_text(text, false));
        let named = |field| move |snippet| (field, snippet);
        self.find_in_text(&span.name, false)
            .map(named(SearchField::Name))
            .or_else(|| error().map(named(SearchField::Error)))
            .or_else(|| payload(&span.input).map(named(SearchField::Input)))
            .or_else(|| payload(&span.output).map(named(SearchField::Output)))
            .or_else(|| self.find_in_events(&span.events).map(named(SearchField::Event)))
    }

    /// Where a text has the phrase.
    #[must_use]
    pub fn find_in_text(&self, text: &str, is_json: bool) -> Option<Snippet> {
        if !self.may_stand_in(text.as_bytes(), is_json, &mut Vec::new()) {
            return None;
        }
        let text = if is_json { text_of_json(text) } else { text.into() };
        self.find(&text).map(|(start, end)| Snippet::of(&text, start, end))
    }

    /// Where the first of the events that has the phrase has it.
    #[must_use]
    pub fn find_in_events(&self, events: &[Event]) -> Option<Snippet> {
        events.iter().find_map(|event| {
            let attributes = || event.attributes.iter().find_map(|(_, v)| self.find_in_value(v));
            self.find_in_text(&event.name, false).or_else(attributes)
        })
    }

    fn find_in_value(&self, value: &Value) -> Option<Snippet> {
        match value {
            Value::String(text) => self.find_in_text(text, false),
            Value::Array(values) => values.iter().find_map(|value| self.find_in_value(value)),
            Value::Map(entries) => entries.iter().find_map(|(_, value)| self.find_in_value(value)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Bytes(_) => {
                None
            }
        }
    }
}
