//! `staso._core`: the Python binding over `staso-sdk`.
//!
//! Start at [`span::Span`]; the engine's `Life` and `Ended` say what a span is and how it becomes a record.
//! Everything a user sees is exported by the package `staso`; this module is private to it.

mod client;
mod context;
mod conversation;
mod exception;
mod objects;
mod plan;
mod ready;
mod span;
mod value;
mod words;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use staso_sdk::{SpanId, TraceId, ids, recorder};

use crate::span::Span;
use crate::value::{Walker, name_text};
use crate::words::KindWord;

/// Opens a span around a `with` block.
#[pyfunction(name = "span")]
#[pyo3(signature = (name, *, kind=KindWord::CHAIN), text_signature = "(name, *, kind='chain')")]
fn block(name: &Bound<'_, PyAny>, kind: KindWord) -> Span {
    Span::new(name, kind.0, None)
}

/// Starts a span that `end()` will end, where a block does not fit.
#[pyfunction]
#[pyo3(signature = (name, *, kind=KindWord::CHAIN), text_signature = "(name, *, kind='chain')")]
fn start_span<'py>(name: &Bound<'py, PyAny>, kind: KindWord) -> PyResult<Bound<'py, Span>> {
    let span = Bound::new(name.py(), block(name, kind))?;
    Span::start(&span);
    Ok(span)
}

/// The innermost open span of this thread or task.
#[pyfunction]
fn current_span(py: Python<'_>) -> Option<Bound<'_, Span>> {
    context::span_at(context::innermost(py))
}

/// The innermost entry of this context, to be put in force elsewhere by `swap_entry`.
#[pyfunction]
fn current_entry(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    context::innermost(py)
}

/// Puts `entry` in force and answers the one it replaces.
#[pyfunction]
fn swap_entry<'py>(py: Python<'py>, entry: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    let replaced = context::current(py);
    context::set(py, entry.as_ref());
    replaced
}

/// `(trace id, span id, is kept, session id, user id)` of where we are, for another process.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "read once, by name, on the Python side")]
fn current_ids(py: Python<'_>) -> Option<(String, String, bool, Option<String>, Option<String>)> {
    let (place, surroundings) = context::surroundings(context::innermost(py).as_ref());
    let place = place?;
    let low = place.span_id.low().map(|byte| format!("{byte:02x}")).concat();
    let context = surroundings.map(|own| own.context.clone()).unwrap_or_default();
    Some((place.trace_id.to_string(), low, place.is_kept, context.session_id, context.user_id))
}

/// A score or label on a trace named by its id, or on one span of it.
#[pyfunction]
#[pyo3(signature = (*, trace_id, name, value, data_type=None, span_id=None, comment=None))]
fn annotate(
    trace_id: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    data_type: Option<&Bound<'_, PyAny>>,
    span_id: Option<&Bound<'_, PyAny>>,
    comment: Option<Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = trace_id.py();
    // Nothing records, so nothing is judged either: a span that was not recorded has no ids.
    let Some(recorder) = recorder::active() else {
        objects::warn(py, "annotate", "annotations are not recorded before staso.init()");
        return Ok(());
    };
    let refuse = |field, error| PyValueError::new_err(format!("{field}: {error}"));
    let trace = name_text(trace_id).to_string_lossy().parse::<TraceId>();
    let span = span_id.map(|id| name_text(id).to_string_lossy().parse::<SpanId>()).transpose();
    let annotation = words::annotation(name, value, data_type, comment)?;
    let trace = trace.map_err(|error| refuse("trace_id", error))?;
    let span = span.map_err(|error| refuse("span_id", error))?;
    if let Some(annotation) = annotation {
        annotation.record(&mut Walker::new(py, recorder), recorder, &trace, span.as_ref());
    }
    Ok(())
}

/// The messages of the engine since the last call, as `(level, text)`.
#[pyfunction]
fn take_messages() -> Vec<(&'static str, String)> {
    let taken = staso_sdk::take_messages().into_iter();
    taken.map(|(level, text)| (level.as_str(), text)).collect()
}

/// The stable id of an agent: the same name, the same id, everywhere.
#[pyfunction(name = "generate_agent_id")]
fn agent_id(name: &str) -> String {
    ids::agent_id(name)
}

/// A random UUID, for a conversation that is given no id.
#[pyfunction]
fn fresh_uuid() -> String {
    ids::uuid_text()
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Span>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<conversation::Conversation>()?;
    module.add_class::<client::Engine>()?;
    module.add_class::<client::Capture>()?;
    module.add_function(wrap_pyfunction!(block, module)?)?;
    module.add_function(wrap_pyfunction!(start_span, module)?)?;
    module.add_function(wrap_pyfunction!(current_span, module)?)?;
    module.add_function(wrap_pyfunction!(current_entry, module)?)?;
    module.add_function(wrap_pyfunction!(swap_entry, module)?)?;
    module.add_function(wrap_pyfunction!(current_ids, module)?)?;
    module.add_function(wrap_pyfunction!(annotate, module)?)?;
    module.add_function(wrap_pyfunction!(agent_id, module)?)?;
    module.add_function(wrap_pyfunction!(fresh_uuid, module)?)?;
    module.add_function(wrap_pyfunction!(take_messages, module)?)?;
    Ok(())
}
