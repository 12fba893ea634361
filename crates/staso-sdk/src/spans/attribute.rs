//! What the attributes of `staso-sdk-macros` write into a program. Nobody else calls this.

use std::fmt::Display;

use serde::Serialize;
use staso_model::SpanStatus;

use crate::spans::Span;
use crate::spans::value::{self, Value};

/// A value as JSON; a marker where it refuses.
pub fn json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    value::json(value)
}

/// Runs the body of a function, which may move its arguments out to the caller.
pub fn run<T>(body: impl FnOnce() -> T) -> T {
    body()
}

/// Where the function stands, as file, line and path, and what it is called as a tool.
pub fn describe(span: &Span, (file, line, function): (&str, u32, &str), tool: Option<&str>) {
    span.set_metadata("code.filepath", file)
        .set_metadata("code.lineno", &line)
        .set_metadata("code.function", function);
    if let Some(tool) = tool {
        span.set_metadata("tool_name", tool);
    }
}

/// The arguments by their names.
pub fn input(span: &Span, arguments: Vec<(&'static str, Vec<u8>)>) {
    let members = arguments.into_iter().map(|(name, json)| (name.into(), json)).collect();
    span.set(|| Value::Members(members), |held, input| drop(held.set_input(input)));
}

/// What was returned.
pub fn output(span: &Span, result: &(impl Serialize + ?Sized)) {
    let members = || Value::Members(vec![("result".into(), value::json(result))]);
    span.set(members, |held, output| drop(held.set_output(output)));
}

/// What was returned is an error.
pub fn failed(span: &Span, error: &(impl Display + ?Sized)) {
    if span.is_recording() {
        span.set_status(SpanStatus::Error, Some(&error.to_string()));
    }
}
