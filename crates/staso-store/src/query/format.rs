//! Filters back to text, in the grammar of [`super::parse`].
//!
//! What the parser made reads back to itself. A filter built by a program reads back to one that
//! the same traces pass.

use std::fmt;

use super::parse::{NUMBER_FIELDS, TEXT_FIELDS};
use super::{Comparison, Filter, TextField, TextMatch, units};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(inner) if inner.is_empty() => f.write_str("()"),
            Self::Any(inner) if inner.is_empty() => f.write_str("-()"),
            Self::All(inner) => joined(f, inner, " "),
            Self::Any(inner) => joined(f, inner, " OR "),
            Self::Not(inner) => write!(f, "-{}", Grouped(inner)),
            Self::State(state) => write!(f, "state:{}", state.as_str()),
            Self::Status(status) => write!(f, "status:{status}"),
            Self::Kind(kind) => write!(f, "kind:{kind}"),
            Self::Trace(trace_id) => write!(f, "trace:{trace_id}"),
            Self::Text(field, text) => {
                let name = TEXT_FIELDS.iter().find(|(_, own)| own == field).map_or("", |(n, _)| n);
                text_term(f, name, *field == TextField::Name, text)
            }
            Self::SpanName(text) => write!(f, "span:{}", Quoted(text, true)),
            Self::Anywhere(text) => write!(f, "{}", Quoted(text, true)),
            Self::Number(field, comparison, value) => {
                let name =
                    NUMBER_FIELDS.iter().find(|(_, own)| own == field).map_or("", |(n, _)| n);
                write!(f, "{name}{}{}", sign(*comparison), units::write(*field, *value))
            }
            Self::Metadata(path, text) => {
                text_term(f, &format!("metadata.{}", Quoted(path, false)), false, text)
            }
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, inner: &[Filter], separator: &str) -> fmt::Result {
    for (i, filter) in inner.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{}", Grouped(filter))?;
    }
    Ok(())
}

/// A filter in parentheses where it would not bind as one.
struct Grouped<'a>(&'a Filter);

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Filter::All(inner) | Filter::Any(inner) if !inner.is_empty() => {
                write!(f, "({})", self.0)
            }
            filter => write!(f, "{filter}"),
        }
    }
}

/// `:` matches a part only in `name`; elsewhere a part is a pattern with a star at both ends.
fn text_term(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    matches_parts: bool,
    text: &TextMatch,
) -> fmt::Result {
    match text {
        TextMatch::Equals(text) if matches_parts => write!(f, "{name}={}", Quoted(text, true)),
        TextMatch::Equals(text) => write!(f, "{name}:{}", Quoted(text, true)),
        TextMatch::Contains(text) if matches_parts => write!(f, "{name}:{}", Quoted(text, true)),
        TextMatch::Contains(text) => write!(f, "{name}:{}", Quoted(&format!("*{text}*"), false)),
        TextMatch::Pattern(text) if text.contains('*') => {
            write!(f, "{name}:{}", Quoted(text, false))
        }
        TextMatch::Pattern(text) => write!(f, "{name}={}", Quoted(text, true)),
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => ":",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// A value, bare where nothing in it needs quotes; stars are escaped where they are no wildcards.
struct Quoted<'a>(&'a str, bool);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, escapes_stars) = *self;
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '*' | '/');
        let is_keyword = matches!(text, "OR" | "AND" | "NOT");
        let starts_plain = text.starts_with(|c: char| c != '-') && !is_keyword;
        if starts_plain && text.chars().all(is_plain) && !(escapes_stars && text.contains('*')) {
            return f.write_str(text);
        }
        f.write_str("\"")?;
        for c in text.chars() {
            if matches!(c, '"' | '\\') || (c == '*' && escapes_stars) {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}
