//! The filter grammar: one language for the dashboard's bar, the CLI and the API.
//!
//! ```text
//! filter  = group { "OR" group }            term  = field ":" value { "," value }   any of them
//! group   = factor { [ "AND" ] factor }           | field ( "=" | ">" | ">=" | "<" | "<=" ) value
//! factor  = { "-" | "NOT" } atom                  | text                            anywhere
//! atom    = term | "(" [ filter ] ")"       value = word | "quoted \" \\ \* text"
//! ```
//! Values match whole, in any letter case, `*` stands for any text; `name` matches a part unless
//! the value has a `*`. `field=value` takes a text literally and whole.

use staso_model::{SpanKind, SpanStatus};

use super::lex::{Operator, Text, Token, What, lex};
use super::{Comparison, Filter, NumberField, RunState, TextField, TextMatch, units};

/// The longest filter text that is read, in bytes.
pub const MAX_FILTER_BYTES: usize = 16 * 1024;

/// How deep parentheses and negations may nest. Less than what a store takes, because a group
/// becomes up to two levels.
const MAX_DEPTH: usize = 24;

/// The fields of the grammar, as messages list them.
pub const FIELDS: &str = "status, state, agent, version, kind, name, span, service, environment, \
     session, user, model, tag, trace, duration, cost, tokens, spans, errors, text, metadata.<path>";

/// Why a text is not a filter, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {message}", .position + 1)]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub hint: String,
    /// Where, in characters from 0.
    pub position: usize,
}

/// Reads a filter. An empty text is the filter every trace passes.
///
/// # Errors
/// [`ParseError`] with the place and a hint.
pub fn parse(source: &str) -> Result<Filter, ParseError> {
    let error = |at: usize, message: String, hint: String| ParseError {
        message,
        hint,
        position: source.get(..at).unwrap_or(source).chars().count(),
    };
    if source.len() > MAX_FILTER_BYTES {
        let hint = format!("use at most {MAX_FILTER_BYTES} bytes");
        return Err(error(MAX_FILTER_BYTES, "the filter is too long".into(), hint));
    }
    let tokens =
        lex(source).map_err(|e| error(e.at, e.problem.into(), "quote it: \"…\"".into()))?;
    let mut parser = Parser { tokens: &tokens, next: 0, end: source.len() };
    parser.whole().map_err(|fault| error(fault.at, fault.message, fault.hint))
}

/// A fault by byte position.
struct Fault {
    at: usize,
    message: String,
    hint: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: hint.into() }
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
    end: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a What> {
        self.tokens.get(self.next).map(|token| &token.what)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |token| token.at)
    }

    fn whole(&mut self) -> Result<Filter, Fault> {
        if self.tokens.is_empty() {
            return Ok(Filter::everything());
        }
        let filter = self.any(MAX_DEPTH)?;
        if self.peek().is_some() {
            return Err(Fault::new(self.at(), "this parenthesis closes nothing", "remove it"));
        }
        Ok(filter)
    }

    fn any(&mut self, depth_left: usize) -> Result<Filter, Fault> {
        let mut groups = vec![self.all(depth_left)?];
        while self.peek() == Some(&What::Or) {
            self.next += 1;
            groups.push(self.all(depth_left)?);
        }
        Ok(only(groups, Filter::Any))
    }

    fn all(&mut self, depth_left: usize) -> Result<Filter, Fault> {
        let mut factors = vec![self.factor(depth_left)?];
        loop {
            match self.peek() {
                None | Some(What::Or | What::Close) => break,
                Some(What::And) => self.next += 1,
                Some(_) => {}
            }
            factors.push(self.factor(depth_left)?);
        }
        Ok(only(factors, Filter::All))
    }

    fn factor(&mut self, depth_left: usize) -> Result<Filter, Fault> {
        let at = self.at();
        let Some(depth_left) = depth_left.checked_sub(1) else {
            let hint = format!("at most {MAX_DEPTH} levels");
            return Err(Fault::new(at, "the filter is nested too deeply", hint));
        };
        let token = self.peek();
        self.next += 1;
        match token {
            Some(What::Not) => Ok(Filter::Not(Box::new(self.factor(depth_left)?))),
            Some(What::Open) => self.parenthesised(at, depth_left),
            Some(What::Free(text)) => Ok(Filter::Anywhere(literal(text))),
            Some(What::Term { field, operator, values }) => term(at, field, *operator, values),
            Some(What::Or | What::And | What::Close) | None => {
                Err(Fault::new(at, "a condition is missing here", "write field:value or a word"))
            }
        }
    }

    fn parenthesised(&mut self, opened_at: usize, depth_left: usize) -> Result<Filter, Fault> {
        if self.peek() == Some(&What::Close) {
            self.next += 1;
            return Ok(Filter::everything());
        }
        let inner = self.any(depth_left)?;
        if self.peek() != Some(&What::Close) {
            return Err(Fault::new(opened_at, "this parenthesis is never closed", "add a )"));
        }
        self.next += 1;
        Ok(inner)
    }
}

fn only(mut filters: Vec<Filter>, join: impl Fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.pop() {
        Some(filter) if filters.is_empty() => filter,
        last => {
            filters.extend(last);
            join(filters)
        }
    }
}

/// The text as written, wildcards being plain stars: where a part of a text is searched.
fn literal(text: &Text) -> String {
    text.text.clone()
}

fn term(at: usize, field: &str, operator: Operator, values: &[Text]) -> Result<Filter, Fault> {
    let each = |text: &Text| condition(at, field, operator, text);
    Ok(only(values.iter().map(each).collect::<Result<_, _>>()?, Filter::Any))
}

fn condition(at: usize, field: &str, operator: Operator, text: &Text) -> Result<Filter, Fault> {
    let name = field.to_ascii_lowercase();
    if let Some(number) = number_field(&name) {
        let value = units::read(number, &text.text)
            .map_err(|problem| Fault::new(text.at, format!("not a {name}"), problem))?;
        return Ok(Filter::Number(number, comparison(operator), value));
    }
    if !matches!(operator, Operator::Matches | Operator::Equals) {
        if !is_field(&name) {
            return Err(unknown_field(at, field));
        }
        let hint = format!("write {field}:value");
        return Err(Fault::new(at, format!("{field} cannot be compared by size"), hint));
    }
    if let Some(text_field) = text_field(&name) {
        return Ok(Filter::Text(text_field, text_match(text_field, operator, text)?));
    }
    if let Some(path) = metadata_path(field) {
        return Ok(Filter::Metadata(path.to_owned(), whole_match(operator, text)?));
    }
    match name.as_str() {
        "span" => Ok(Filter::SpanName(literal(text))),
        "text" => Ok(Filter::Anywhere(literal(text))),
        "status" => word(
            text,
            "status",
            &SpanStatus::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>(),
            SpanStatus::parse,
        )
        .map(Filter::Status),
        "kind" => word(
            text,
            "kind",
            &SpanKind::ALL.iter().map(|k| k.as_str()).collect::<Vec<_>>(),
            SpanKind::parse,
        )
        .map(Filter::Kind),
        "state" => {
            word(text, "state", &RunState::ALL.map(RunState::as_str), state).map(Filter::State)
        }
        "trace" => text.text.parse().map(Filter::Trace).map_err(|_| {
            Fault::new(text.at, "not a trace id", "give all 32 hex digits, or the UUID")
        }),
        _ => Err(unknown_field(at, field)),
    }
}

fn unknown_field(at: usize, field: &str) -> Fault {
    let shown: String = field.chars().take(40).collect();
    let hint = format!("the fields are {FIELDS}; quote the word to search for it as text");
    Fault::new(at, format!("there is no field {shown}; the fields are {FIELDS}"), hint)
}

fn is_field(name: &str) -> bool {
    text_field(name).is_some()
        || metadata_path(name).is_some()
        || matches!(name, "span" | "text" | "status" | "kind" | "state" | "trace")
}

fn metadata_path(field: &str) -> Option<&str> {
    let (head, path) = field.split_at_checked("metadata.".len())?;
    (head.eq_ignore_ascii_case("metadata.") && !path.is_empty()).then_some(path)
}

fn word<T>(
    text: &Text,
    field: &str,
    words: &[&str],
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, Fault> {
    read(&text.text).ok_or_else(|| {
        Fault::new(text.at, format!("not a {field}"), format!("one of {}", words.join(", ")))
    })
}

fn state(text: &str) -> Option<RunState> {
    RunState::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(text))
}

fn text_match(field: TextField, operator: Operator, text: &Text) -> Result<TextMatch, Fault> {
    let is_part = field == TextField::Name && operator == Operator::Matches;
    if is_part && text.wildcards == 0 {
        return Ok(TextMatch::Contains(text.text.clone()));
    }
    whole_match(operator, text)
}

fn whole_match(operator: Operator, text: &Text) -> Result<TextMatch, Fault> {
    if operator == Operator::Equals || text.wildcards == 0 {
        return Ok(TextMatch::Equals(text.text.clone()));
    }
    if text.literal_stars > 0 {
        let hint = "use field=value to take every * literally";
        return Err(Fault::new(text.at, "* and \\* cannot stand in one value", hint));
    }
    Ok(TextMatch::Pattern(text.text.clone()))
}

fn comparison(operator: Operator) -> Comparison {
    match operator {
        Operator::Matches | Operator::Equals => Comparison::Equal,
        Operator::Less => Comparison::Less,
        Operator::LessOrEqual => Comparison::LessOrEqual,
        Operator::Greater => Comparison::Greater,
        Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
    }
}

pub(super) const TEXT_FIELDS: [(&str, TextField); 9] = [
    ("name", TextField::Name),
    ("agent", TextField::Agent),
    ("version", TextField::AgentVersion),
    ("service", TextField::Service),
    ("environment", TextField::Environment),
    ("session", TextField::Session),
    ("user", TextField::User),
    ("model", TextField::Model),
    ("tag", TextField::Tag),
];

pub(super) const NUMBER_FIELDS: [(&str, NumberField); 5] = [
    ("duration", NumberField::DurationNs),
    ("cost", NumberField::CostNanoUsd),
    ("tokens", NumberField::Tokens),
    ("spans", NumberField::Spans),
    ("errors", NumberField::Errors),
];

fn text_field(name: &str) -> Option<TextField> {
    TEXT_FIELDS.iter().find(|(field, _)| *field == name).map(|(_, field)| *field)
}

fn number_field(name: &str) -> Option<NumberField> {
    NUMBER_FIELDS.iter().find(|(field, _)| *field == name).map(|(_, field)| *field)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
