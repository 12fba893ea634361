//! A trace as lines: a heading, then one line for each span under its parent.

use std::fmt::Write as _;

use staso_server::view::span::Span;
use staso_server::view::trace::{TraceAnswer, TraceRow};
use staso_server::view::{State, Status};

use super::format::{Ink, Palette, count, cut, dollars, duration, utc};
use crate::output::plain;

/// Columns of a name before the figures begin; a longer one pushes them to the right.
const MAX_NAME: usize = 60;

/// Columns of a message or a preview.
const MAX_TEXT: usize = 100;

/// The whole text, ending in a newline.
pub(super) fn render(answer: &TraceAnswer, palette: Palette) -> String {
    let mut out = String::new();
    heading(&mut out, &answer.trace, palette);
    out.push('\n');
    let lines: Vec<Line> = layout(&answer.spans);
    let width = lines.iter().map(Line::width).filter(|w| *w <= MAX_NAME).max().unwrap_or(0);
    for (line, span) in lines.iter().zip(&answer.spans) {
        span_line(&mut out, line, span, width, palette, answer.trace.state);
    }
    scores(&mut out, answer, palette);
    out
}

fn heading(out: &mut String, row: &TraceRow, palette: Palette) {
    let name = palette.paint(Ink::Strong, &plain(&row.name));
    let (mark, ink) = trace_mark(row);
    let mut facts = vec![state_word(row).to_owned()];
    facts.extend(row.duration_ns.map(|ns| duration(ns.0)));
    facts.push(plural(row.span_count, "span"));
    if row.error_count > 0 {
        facts.push(plural(row.error_count, "error"));
    }
    facts.extend(row.total_tokens.map(|n| format!("{} tokens", count(n))));
    let bound = if row.cost_incomplete { "≥ " } else { "" };
    facts.extend(row.cost_nano_usd.map(|n| format!("{bound}{}", dollars(n.0))));
    let _ = writeln!(out, "{} {name}  {}", palette.paint(ink, mark), facts.join(" · "));

    let mut about = vec![row.trace_id.clone(), utc(row.start_ns.0)];
    let named = [
        ("agent", &row.agent_name),
        ("version", &row.agent_version),
        ("conversation", &row.session_id),
        ("user", &row.user_id),
        ("environment", &row.environment),
    ];
    about.extend(named.iter().filter_map(|(what, value)| {
        value.as_deref().map(|value| format!("{what} {}", cut(&plain(value), 40)))
    }));
    let _ = writeln!(out, "  {}", palette.paint(Ink::Faint, &about.join(" · ")));
    for (what, text) in [("in ", &row.input_preview), ("out", &row.output_preview)] {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            let _ = writeln!(
                out,
                "  {} {}",
                palette.paint(Ink::Faint, what),
                cut(&plain(text), MAX_TEXT)
            );
        }
    }
    if let Some(message) = &row.error_message {
        let _ = writeln!(out, "  {}", palette.paint(Ink::Bad, &cut(&plain(message), MAX_TEXT)));
    }
}

fn plural(n: u64, noun: &str) -> String {
    let shown = count(i64::try_from(n).unwrap_or(i64::MAX));
    format!("{shown} {noun}{}", if n == 1 { "" } else { "s" })
}

fn state_word(row: &TraceRow) -> &'static str {
    match (row.state, row.status) {
        (State::Running, _) => "running",
        (State::Stalled, _) => "stalled",
        (State::Interrupted, _) => "interrupted",
        (State::Unknown, _) => "open",
        (State::Done, Status::Ok) => "ok",
        (State::Done, Status::Error) => "error",
        (State::Done, Status::Timeout) => "timeout",
    }
}

fn trace_mark(row: &TraceRow) -> (&'static str, Ink) {
    match row.state {
        State::Running | State::Unknown => ("●", Ink::Busy),
        State::Stalled => ("◌", Ink::Busy),
        State::Interrupted => ("⊘", Ink::Bad),
        State::Done => status_mark(row.status),
    }
}

fn status_mark(status: Status) -> (&'static str, Ink) {
    match status {
        Status::Ok => ("✓", Ink::Good),
        Status::Error => ("✗", Ink::Bad),
        Status::Timeout => ("◷", Ink::Bad),
    }
}

/// The place of one span: the branches before it, and its name.
struct Line {
    branches: String,
    name: String,
}

impl Line {
    fn width(&self) -> usize {
        self.branches.chars().count() + self.name.chars().count()
    }
}

/// Branches for spans in tree order, from their depths alone.
fn layout(spans: &[Span]) -> Vec<Line> {
    let depths: Vec<usize> = spans.iter().map(|span| span.depth.unwrap_or(0) as usize).collect();
    let mut has_next_sibling = vec![false; spans.len()];
    // From the end: a span has a later sibling if its depth was seen since anything shallower.
    let mut seen: Vec<bool> = Vec::new();
    for (at, depth) in depths.iter().copied().enumerate().rev() {
        seen.resize(depth + 1, false);
        has_next_sibling[at] = std::mem::replace(&mut seen[depth], true);
    }
    let mut open: Vec<bool> = Vec::new();
    let mut lines = Vec::with_capacity(spans.len());
    for (at, span) in spans.iter().enumerate() {
        let depth = depths[at];
        open.resize(depth + 1, false);
        open[depth] = has_next_sibling[at];
        let mut branches: String =
            open.iter().take(depth).skip(1).map(|more| if *more { "│  " } else { "   " }).collect();
        if depth > 0 {
            branches.push_str(if has_next_sibling[at] { "├─ " } else { "└─ " });
        }
        lines.push(Line { branches, name: plain(&span.name) });
    }
    lines
}

fn span_line(
    out: &mut String,
    line: &Line,
    span: &Span,
    width: usize,
    palette: Palette,
    state: State,
) {
    let (mark, ink) = span_mark(span, state);
    let padding = " ".repeat(width.saturating_sub(line.width()));
    let mut facts = vec![match span.duration_ns {
        Some(ns) => format!("{:>8}", duration(ns.0)),
        None => palette.paint(Ink::Busy, &format!("{:>8}", open_word(state))),
    }];
    facts.push(palette.paint(Ink::Faint, &format!("{:<9}", kind_word(span))));
    facts.extend(span.model.as_deref().map(|model| cut(&plain(model), 40)));
    facts.extend(span.usage.total.map(|n| format!("{} tokens", count(n))));
    facts.extend(span.cost_nano_usd.map(|n| dollars(n.0)));
    if span.missing_parent == Some(true) {
        facts.push(palette.paint(Ink::Faint, "(its parent has not arrived)"));
    }
    if let Some(message) = span.error_message.as_deref().filter(|text| !text.is_empty()) {
        facts.push(palette.paint(Ink::Bad, &cut(&plain(message), MAX_TEXT)));
    }
    let text = format!(
        "{}{} {}{padding}  {}",
        palette.paint(Ink::Faint, &line.branches),
        palette.paint(ink, mark),
        line.name,
        facts.join("  "),
    );
    let _ = writeln!(out, "{}", text.trim_end());
}

fn span_mark(span: &Span, state: State) -> (&'static str, Ink) {
    match (span.interrupted, span.open, state) {
        (true, ..) => ("⊘", Ink::Bad),
        (false, true, State::Stalled) => ("◌", Ink::Busy),
        (false, true, _) => ("●", Ink::Busy),
        (false, false, _) => status_mark(span.status),
    }
}

fn open_word(state: State) -> &'static str {
    match state {
        State::Stalled => "stalled",
        State::Running => "running",
        _ => "open",
    }
}

fn kind_word(span: &Span) -> String {
    format!("{:?}", span.kind).to_lowercase()
}

fn scores(out: &mut String, answer: &TraceAnswer, palette: Palette) {
    if answer.annotations.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", palette.paint(Ink::Faint, "annotations"));
    for note in &answer.annotations {
        let value = serde_json::to_string(&note.value).unwrap_or_default();
        let comment = note.comment.as_deref().map(|text| format!("  {}", cut(&plain(text), 60)));
        let name = plain(&note.name);
        let _ = writeln!(out, "  {name} = {}{}", plain(&value), comment.unwrap_or_default());
    }
}
