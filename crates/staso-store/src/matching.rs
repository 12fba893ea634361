//! Whether a trace passes a filter: the one implementation that every engine and the oracle use.
//!
//! An engine may narrow the candidates by its own means, as long as this has the last word.

use std::collections::HashMap;

use staso_model::{Span, get_path};

use crate::error::StoreError;
use crate::metadata::value_text;
use crate::query::{Comparison, Cursor, FacetField, Filter, NumberField, Sort, TextField};
use crate::query::{TextMatch, TraceQuery};
use crate::row::TraceRow;
use crate::search::{Phrase, fold};

/// How deep a filter may nest.
pub const MAX_FILTER_DEPTH: usize = 64;
/// How many conditions a filter may have in all.
pub const MAX_FILTER_TERMS: usize = 1_000;
/// The most rows one page may have.
pub const MAX_LIMIT: usize = 1_000;

/// A filter made ready to be asked of many traces: its texts are folded once.
#[derive(Debug, Clone)]
pub struct Matcher {
    filter: Filter,
    /// Those of [`Filter::Anywhere`], by their folded text.
    phrases: HashMap<String, Phrase>,
}

/// Where a matcher finds the spans of the trace it judges. They are asked for only when the row
/// does not decide.
pub trait SpanSource {
    /// Whether any span that was not dropped passes the test.
    ///
    /// # Errors
    /// Whatever keeps the engine from reading them.
    fn any_span(&mut self, test: &mut dyn FnMut(&Span) -> bool) -> Result<bool, StoreError>;

    /// Whether any span that was not dropped passes a test that an engine may know the answer to.
    ///
    /// # Errors
    /// Those of [`any_span`](Self::any_span).
    fn any_such(&mut self, test: &SpanTest<'_>) -> Result<bool, StoreError> {
        self.any_span(&mut |span| test.holds(span))
    }

    /// Whether any span that was not dropped has the phrase in its texts.
    ///
    /// # Errors
    /// Those of [`any_span`](Self::any_span).
    fn any_text(&mut self, phrase: &Phrase) -> Result<bool, StoreError> {
        self.any_span(&mut |span| phrase.stands_in(span))
    }
}

/// What a filter asks of single spans; its texts are folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SpanTest<'a> {
    /// The name has this in it.
    Name(&'a str),
    /// The value of the metadata at this path, dots between its keys.
    Metadata(&'a str, &'a TextMatch),
}

impl<'a> SpanTest<'a> {
    /// The test of a term of a filter that is folded; `None` for any other term.
    #[must_use]
    pub fn of(filter: &'a Filter) -> Option<Self> {
        match filter {
            Filter::SpanName(part) => Some(Self::Name(part)),
            Filter::Metadata(path, text) => Some(Self::Metadata(path, text)),
            _ => None,
        }
    }

    /// Whether a span passes.
    #[must_use]
    pub fn holds(&self, span: &Span) -> bool {
        match self {
            Self::Name(part) => contains(&span.name, part),
            Self::Metadata(path, text) => {
                let value = get_path(&span.attributes, path).and_then(value_text);
                value.is_some_and(|value| text.matches_folded(&value))
            }
        }
    }
}

impl<'a, I: Iterator<Item = &'a Span> + Clone> SpanSource for I {
    fn any_span(&mut self, test: &mut dyn FnMut(&Span) -> bool) -> Result<bool, StoreError> {
        Ok(self.clone().any(|span| !span.dropped && test(span)))
    }
}

impl Matcher {
    /// Makes a filter ready.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] when it is too large or too deep.
    pub fn new(filter: &Filter) -> Result<Self, StoreError> {
        let mut terms = 0;
        check_size(filter, MAX_FILTER_DEPTH, &mut terms)?;
        let (filter, mut phrases) = (folded(filter), HashMap::new());
        collect_phrases(&filter, &mut phrases);
        Ok(Self { filter, phrases })
    }

    /// The filter with its texts folded, as [`SpanTest`]s have them.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Whether a trace passes.
    ///
    /// # Errors
    /// Those of `spans`.
    pub fn matches(&self, row: &TraceRow, spans: &mut dyn SpanSource) -> Result<bool, StoreError> {
        self.eval(&self.filter, row, spans)
    }
}

fn check_size(filter: &Filter, depth_left: usize, terms: &mut usize) -> Result<(), StoreError> {
    *terms += 1;
    if depth_left == 0 || *terms > MAX_FILTER_TERMS {
        return Err(bad_query(
            "the filter is too large",
            format!("at most {MAX_FILTER_TERMS} terms, nested at most {MAX_FILTER_DEPTH} deep"),
        ));
    }
    match filter {
        Filter::All(inner) | Filter::Any(inner) => {
            inner.iter().try_for_each(|filter| check_size(filter, depth_left - 1, terms))
        }
        Filter::Not(inner) => check_size(inner, depth_left - 1, terms),
        _ => Ok(()),
    }
}

/// A [`StoreError::BadQuery`] in two sentences.
pub(crate) fn bad_query(message: &str, hint: impl Into<String>) -> StoreError {
    StoreError::BadQuery { message: message.to_owned(), hint: hint.into() }
}

/// Checks what every engine must refuse in a list query: its limit, and a cursor of another order.
///
/// # Errors
/// [`StoreError::BadQuery`].
pub fn check_page(query: &TraceQuery) -> Result<(), StoreError> {
    if query.limit == 0 || query.limit > MAX_LIMIT {
        return Err(bad_query("the limit is out of range", format!("use 1 to {MAX_LIMIT}")));
    }
    if query.after.is_some_and(|cursor| cursor.sort != query.sort) {
        let hint = "start without a cursor when the sort changes";
        return Err(bad_query("the cursor belongs to another sort", hint));
    }
    Ok(())
}

fn wants_spans(filter: &Filter) -> bool {
    match filter {
        Filter::All(inner) | Filter::Any(inner) => inner.iter().any(wants_spans),
        Filter::Not(inner) => wants_spans(inner),
        Filter::SpanName(_) | Filter::Anywhere(_) | Filter::Metadata(..) => true,
        _ => false,
    }
}

fn folded(filter: &Filter) -> Filter {
    let all = |inner: &[Filter]| inner.iter().map(folded).collect();
    match filter {
        Filter::All(inner) => Filter::All(all(inner)),
        Filter::Any(inner) => Filter::Any(all(inner)),
        Filter::Not(inner) => Filter::Not(Box::new(folded(inner))),
        Filter::Text(field, text) => Filter::Text(*field, text.folded()),
        Filter::Metadata(path, text) => Filter::Metadata(path.clone(), text.folded()),
        Filter::SpanName(text) => Filter::SpanName(fold(text).into_owned()),
        Filter::Anywhere(text) => Filter::Anywhere(fold(text).into_owned()),
        other => other.clone(),
    }
}

impl Matcher {
    fn eval(
        &self,
        filter: &Filter,
        row: &TraceRow,
        spans: &mut dyn SpanSource,
    ) -> Result<bool, StoreError> {
        Ok(match filter {
            Filter::All(inner) => {
                // What the row alone decides goes first, so that spans are read only when they must.
                let (late, early): (Vec<_>, Vec<_>) = inner.iter().partition(|f| wants_spans(f));
                for filter in early.into_iter().chain(late) {
                    if !self.eval(filter, row, spans)? {
                        return Ok(false);
                    }
                }
                true
            }
            Filter::Any(inner) => {
                let (late, early): (Vec<_>, Vec<_>) = inner.iter().partition(|f| wants_spans(f));
                for filter in early.into_iter().chain(late) {
                    if self.eval(filter, row, spans)? {
                        return Ok(true);
                    }
                }
                false
            }
            Filter::Not(inner) => !self.eval(inner, row, spans)?,
            Filter::State(state) => row.state == *state,
            Filter::Status(status) => row.status.shown() == status.shown(),
            Filter::Kind(kind) => row.kinds.contains(kind),
            Filter::Text(field, text) => texts(row, *field).any(|value| text.matches_folded(value)),
            Filter::Trace(trace_id) => row.trace_id == *trace_id,
            Filter::Number(field, comparison, wanted) => {
                number(row, *field).is_some_and(|value| comparison.holds(value, *wanted))
            }
            Filter::SpanName(part) => spans.any_such(&SpanTest::Name(part))?,
            Filter::Anywhere(part) => match self.phrases.get(part) {
                Some(phrase) => spans.any_text(phrase)?,
                None => spans.any_text(&Phrase::new(part))?,
            },
            Filter::Metadata(path, text) => spans.any_such(&SpanTest::Metadata(path, text))?,
        })
    }
}

fn collect_phrases(filter: &Filter, phrases: &mut HashMap<String, Phrase>) {
    match filter {
        Filter::All(inner) | Filter::Any(inner) => {
            inner.iter().for_each(|filter| collect_phrases(filter, phrases));
        }
        Filter::Not(inner) => collect_phrases(inner, phrases),
        Filter::Anywhere(part) => {
            phrases.insert(part.clone(), Phrase::new(part));
        }
        _ => {}
    }
}

/// The values a trace has in a text field.
pub fn texts(row: &TraceRow, field: TextField) -> impl Iterator<Item = &str> {
    let (one, many): (Option<&String>, &[String]) = match field {
        TextField::Name => (Some(&row.name), &[]),
        TextField::Service => (row.service.as_ref(), &[]),
        TextField::Environment => (row.environment.as_ref(), &[]),
        TextField::Session => (row.session_id.as_ref(), &[]),
        TextField::User => (row.user_id.as_ref(), &[]),
        TextField::Agent => (None, &row.agents),
        TextField::AgentVersion => (None, &row.agent_versions),
        TextField::Model => (None, &row.models),
        TextField::Tag => (None, &row.tags),
    };
    one.into_iter().chain(many).map(String::as_str)
}

/// The values a trace is counted under in a facet, each once.
#[must_use]
pub fn facet_values(row: &TraceRow, field: FacetField) -> Vec<String> {
    match field {
        FacetField::Text(field) => texts(row, field).map(str::to_owned).collect(),
        FacetField::Kind => row.kinds.iter().map(ToString::to_string).collect(),
        FacetField::Status => vec![row.status.shown().to_string()],
        FacetField::State => vec![row.state.as_str().to_owned()],
    }
}

/// A trace's duration; `None` while it is open. Never negative.
#[must_use]
pub fn duration_ns(row: &TraceRow) -> Option<i64> {
    row.end_ns.map(|end_ns| end_ns.saturating_sub(row.start_ns).max(0))
}

fn number(row: &TraceRow, field: NumberField) -> Option<i64> {
    match field {
        NumberField::DurationNs => duration_ns(row),
        NumberField::CostNanoUsd => row.cost_nano_usd,
        NumberField::Tokens => row.total_tokens,
        NumberField::Spans => Some(count(row.span_count)),
        NumberField::Errors => Some(count(row.error_count)),
    }
}

/// The value a trace is sorted by.
#[must_use]
pub fn sort_value(row: &TraceRow, sort: Sort) -> Option<i64> {
    match sort {
        Sort::Start => Some(row.start_ns),
        Sort::Duration => duration_ns(row),
        Sort::Cost => row.cost_nano_usd,
        Sort::Tokens => row.total_tokens,
        Sort::Spans => Some(count(row.span_count)),
    }
}

/// The position of a row in a list.
#[must_use]
pub fn position(row: &TraceRow, sort: Sort) -> Cursor {
    Cursor { sort, value: sort_value(row, sort), trace_id: row.trace_id }
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Comparison {
    /// Whether `value` stands so to `wanted`.
    #[must_use]
    pub fn holds(self, value: i64, wanted: i64) -> bool {
        match self {
            Self::Equal => value == wanted,
            Self::Less => value < wanted,
            Self::LessOrEqual => value <= wanted,
            Self::Greater => value > wanted,
            Self::GreaterOrEqual => value >= wanted,
        }
    }
}

impl TextMatch {
    /// Whether a text passes.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.folded().matches_folded(text)
    }

    /// The same match with its own text folded, ready for [`Self::matches_folded`].
    fn folded(&self) -> Self {
        match self {
            Self::Equals(text) => Self::Equals(fold(text).into_owned()),
            Self::Contains(text) => Self::Contains(fold(text).into_owned()),
            Self::Pattern(text) => Self::Pattern(fold(text).into_owned()),
        }
    }

    fn matches_folded(&self, text: &str) -> bool {
        self.agrees(&fold(text))
    }

    /// Whether a text passes where both are folded.
    #[must_use]
    pub fn agrees(&self, folded: &str) -> bool {
        match self {
            Self::Equals(wanted) => folded == wanted,
            Self::Contains(part) => folded.contains(part.as_str()),
            Self::Pattern(pattern) => matches_pattern(folded, pattern),
        }
    }
}

fn contains(text: &str, folded_part: &str) -> bool {
    fold(text).contains(folded_part)
}

/// Matches `*` wildcards: the first and last pieces are anchored, the others are found in order,
/// each at its first place, so that no pattern can take more than linear searches.
fn matches_pattern(text: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Whether a query's own columns admit a row: everything but its filter and cursor.
#[must_use]
pub fn in_scope(row: &TraceRow, query: &TraceQuery) -> bool {
    row.workspace == query.workspace
        && query.environment.as_ref().is_none_or(|wanted| row.environment.as_ref() == Some(wanted))
        && query.from_ns.is_none_or(|from_ns| from_ns <= row.start_ns)
        && query.to_ns.is_none_or(|to_ns| row.start_ns < to_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(pattern: &str, text: &str) -> bool {
        TextMatch::Pattern(pattern.to_owned()).matches(text)
    }

    #[test]
    fn patterns_are_anchored_and_greedy_enough() {
        assert!(pattern("gpt-*", "GPT-4o"));
        assert!(pattern("*mini", "gpt-4o-mini"));
        assert!(pattern("a*b*c", "a-b-b-c"));
        assert!(pattern("**", ""));
        assert!(!pattern("a*a", "a"));
        assert!(!pattern("gpt", "gpt-4o"));
        assert!(!pattern("*x*", "abc"));
    }

    #[test]
    fn letter_case_never_matters_in_any_script() {
        assert!(TextMatch::Equals("ΟΔΟΣ".into()).matches("οδοσ"));
        assert!(TextMatch::Contains("ΟΔΟΣ".into()).matches("οδοσα"));
        assert!(TextMatch::Contains("École".into()).matches("une éCOLE"));
        assert!(TextMatch::Equals("日本".into()).matches("日本"));
    }
}
