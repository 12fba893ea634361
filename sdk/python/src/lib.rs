//! `staso._core`: the Python binding over `staso-sdk`.
//!
//! Start at [`span::Span`], follow [`finish::record`] to the engine. Everything a user sees is
//! exported by the package `staso`; this module is private to it.

mod annotation;
mod client;
mod context;
mod conversation;
mod exception;
mod fields;
mod finish;
mod leaf;
mod objects;
mod plan;
mod ready;
mod recorder;
mod span;
mod value;
mod words;

use pyo3::prelude::*;

use crate::span::Span;
use crate::words::{KindWord, name_text};

/// Opens a span around a `with` block.
#[pyfunction(name = "span")]
#[pyo3(signature = (name, *, kind=KindWord::CHAIN), text_signature = "(name, *, kind='chain')")]
fn block(name: &Bound<'_, PyAny>, kind: KindWord) -> Span {
    Span::new(name_text(name).unbind(), kind.0, span::Payload::default())
}

/// Starts a span that `end()` will end, where a block does not fit.
#[pyfunction]
#[pyo3(signature = (name, *, kind=KindWord::CHAIN), text_signature = "(name, *, kind='chain')")]
fn start_span<'py>(name: &Bound<'py, PyAny>, kind: KindWord) -> PyResult<Bound<'py, Span>> {
    let span = Bound::new(name.py(), block(name, kind))?;
    Span::start(&span, true);
    Ok(span)
}

/// The innermost open span of this thread or task.
#[pyfunction]
fn current_span(py: Python<'_>) -> Option<Bound<'_, Span>> {
    context::current_span(py)
}

/// The innermost entry of this context, to be put in force elsewhere by `swap_entry`.
#[pyfunction]
fn current_entry(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    context::skip_ended(context::current(py))
}

/// Puts `entry` in force and answers the one it replaces.
#[pyfunction]
fn swap_entry<'py>(py: Python<'py>, entry: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    let replaced = context::current(py);
    context::set_current(py, entry.as_ref());
    replaced
}

/// `(trace id, span id, is kept, session id, user id)` of where we are, for another process.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "read once, by name, on the Python side")]
fn current_ids(py: Python<'_>) -> Option<(String, String, bool, Option<String>, Option<String>)> {
    let entry = context::skip_ended(context::current(py));
    let (parent, context) = context::surroundings(entry.as_ref());
    let parent = parent?;
    let low = parent.span_id.low().map(|byte| format!("{byte:02x}")).concat();
    let (session, user) = context
        .map_or((None, None), |context| (context.session_id.clone(), context.user_id.clone()));
    Some((parent.trace_id.to_string(), low, parent.is_kept, session, user))
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
    module.add_function(wrap_pyfunction!(annotation::annotate, module)?)?;
    module.add_function(wrap_pyfunction!(client::agent_id, module)?)?;
    module.add_function(wrap_pyfunction!(client::fresh_uuid, module)?)?;
    module.add_function(wrap_pyfunction!(client::take_messages, module)?)?;
    Ok(())
}
