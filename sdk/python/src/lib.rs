//! `staso._core`: the Python binding over `staso-sdk`.
//!
//! Start at [`span::Span`]. Everything a user sees is exported by the package `staso`.

mod client;
mod context;
mod objects;
mod plan;
mod scope;
mod span;
mod strand;
mod value;
mod words;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use staso_sdk::nesting::{self, Context};
use staso_sdk::record::SpanContext;
use staso_sdk::{Annotation, SpanKind, ids, recorder};

use crate::context::Interpreter;
use crate::span::Span;
use crate::value::{Held, Walker, name_text};
use crate::words::KindWord;

/// Opens a span around a `with` block.
#[pyfunction(name = "span")]
#[pyo3(signature = (name, *, kind=KindWord(SpanKind::Chain)), text_signature = "(name, *, kind='chain')")]
fn block(name: &Bound<'_, PyAny>, kind: KindWord) -> Span {
    Span::new(name, kind.0, None)
}

/// Starts a span that `end()` will end, where a block does not fit.
#[pyfunction]
#[pyo3(signature = (name, *, kind=KindWord(SpanKind::Chain)), text_signature = "(name, *, kind='chain')")]
fn start_span<'py>(name: &Bound<'py, PyAny>, kind: KindWord) -> PyResult<Bound<'py, Span>> {
    let span = Bound::new(name.py(), block(name, kind))?;
    Span::start(&span);
    Ok(span)
}

/// The innermost open span of this thread or task.
#[pyfunction]
fn current_span(py: Python<'_>) -> Option<Bound<'_, Span>> {
    let context = Interpreter(py);
    let span = nesting::span_at(context, nesting::innermost(context).as_ref())?;
    span.0.into_bound(py).cast_into().ok()
}

/// The innermost entry of this context, to be put in force elsewhere by `swap_entry`.
#[pyfunction]
fn current_entry(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    nesting::innermost(Interpreter(py)).map(|entry| entry.0.into_bound(py))
}

/// Puts `entry` in force and answers the one it replaces.
#[pyfunction]
fn swap_entry<'py>(py: Python<'py>, entry: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    let context = Interpreter(py);
    let replaced = context.current().map(|entry| entry.0.into_bound(py));
    context.set(entry.map(|entry| Held(entry.unbind())).as_ref());
    replaced
}

/// `(trace id, span id, is kept, [session id, user id])` of where we are, for another process.
#[pyfunction]
fn current_ids(py: Python<'_>) -> Option<(String, String, bool, [Option<String>; 2])> {
    let context = Interpreter(py);
    let (place, around) = nesting::surroundings(context, nesting::innermost(context).as_ref());
    let (ids, SpanContext { session_id, user_id, .. }) = (place?.to_w3c(), around?.context.clone());
    Some((ids.0, ids.1, place?.is_kept, [session_id, user_id]))
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
        objects::warn_before_init(py);
        return Ok(());
    };
    let annotation = words::annotation(name, value, data_type, comment)?;
    let trace_id = name_text(trace_id);
    let (trace_id, span_id) = (trace_id.to_string_lossy(), span_id.map(name_text));
    let span_id = span_id.as_ref().map(|id| id.to_string_lossy());
    let place = Annotation::<Held>::place(&trace_id, span_id.as_deref());
    let (trace_id, span_id) = place.map_err(PyValueError::new_err)?;
    if let Some(annotation) = annotation {
        annotation.record(&mut Walker::new(py, recorder), recorder, &trace_id, span_id.as_ref());
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
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{
        agent_id, annotate, block, current_entry, current_ids, current_span, fresh_uuid,
        start_span, swap_entry, take_messages,
    };
    #[pymodule_export]
    use crate::client::{Capture, Engine};
    #[pymodule_export]
    use crate::plan::Plan;
    #[pymodule_export]
    use crate::scope::Scope;
    #[pymodule_export]
    use crate::span::Span;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::strand::tell_apart();
        Ok(())
    }

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name Python gives it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
