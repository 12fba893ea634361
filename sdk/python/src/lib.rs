//! `staso._core`: the Python binding over `staso-sdk`.
//!
//! Start at [`span::Span`]. Everything a user sees is exported by the package `staso`.

mod client;
mod context;
mod direct;
mod objects;
mod plan;
mod scope;
mod span;
mod spare;
mod value;
mod words;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use staso_sdk::nesting::{self, Context};
use staso_sdk::{Annotation, SpanKind, ids, recorder};

use crate::context::Interpreter;
use crate::span::Span;
use crate::value::{Held, Walker};
use crate::words::{KindWord, Word};

/// Opens a span around a `with` block.
#[pyfunction(name = "span")]
#[pyo3(signature = (name, *, kind=Word(SpanKind::Chain)), text_signature = "(name, *, kind='chain')")]
fn block<'py>(name: &Bound<'py, PyAny>, kind: KindWord) -> PyResult<Bound<'py, Span>> {
    spare::span(name, kind.0, None)
}

/// Starts a span that `end()` will end, where a block does not fit.
#[pyfunction]
#[pyo3(signature = (name, *, kind=Word(SpanKind::Chain)), text_signature = "(name, *, kind='chain')")]
fn start_span<'py>(name: &Bound<'py, PyAny>, kind: KindWord) -> PyResult<Bound<'py, Span>> {
    let span = block(name, kind)?;
    Span::start(&span);
    Ok(span)
}

/// The innermost open span of this thread or task.
#[pyfunction]
fn current_span(py: Python<'_>) -> Option<Bound<'_, Span>> {
    let context = Interpreter(py);
    let span = nesting::span_at(context, nesting::innermost(context).as_ref())?;
    span.object(py).cast_into().ok()
}

/// The innermost entry of this context, to be put in force elsewhere by `swap_entry`.
#[pyfunction]
fn current_entry(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    nesting::innermost(Interpreter(py)).map(|entry| entry.object(py))
}

/// Puts `entry` in force and answers the one it replaces.
#[pyfunction]
fn swap_entry<'py>(py: Python<'py>, entry: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    let context = Interpreter(py);
    let replaced = context.current().map(|entry| entry.object(py));
    context.set(entry.map(Held::from).as_ref());
    replaced
}

/// `(trace id, span id, is kept, [session id, user id])` of where we are, for another process.
#[pyfunction]
fn current_ids(py: Python<'_>) -> Option<(String, String, bool, [Option<String>; 2])> {
    let context = Interpreter(py);
    let (place, around) = nesting::surroundings(context, nesting::innermost(context).as_ref());
    let ((trace_id, span_id), around) = (place?.to_w3c(), around?.context.clone());
    Some((trace_id, span_id, place?.is_kept, [around.session_id, around.user_id]))
}

/// A score or label on a trace named by its id, or on one span of it.
#[pyfunction]
fn annotate(
    trace_id: &str,
    span_id: Option<&str>,
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    data_type: Option<&Bound<'_, PyAny>>,
    comment: Option<Bound<'_, PyAny>>,
) -> PyResult<()> {
    // Nothing records, so nothing is judged either: a span that was not recorded has no ids.
    let Some(recorder) = recorder::active() else {
        objects::warn_before_init(name.py());
        return Ok(());
    };
    let annotation = words::annotation(name, value, data_type, comment)?;
    let place = Annotation::<Held>::place(trace_id, span_id).map_err(PyValueError::new_err)?;
    if let Some(annotation) = annotation {
        let mut walker = Walker::new(name.py(), recorder);
        annotation.record(&mut walker, recorder, &place.0, place.1.as_ref());
    }
    Ok(())
}

/// The messages of the engine since the last call, as `(level, text)`.
#[pyfunction]
fn take_messages() -> Vec<(&'static str, String)> {
    staso_sdk::take_messages()
}

/// The stable id of an agent: the same name, the same id, everywhere.
#[pyfunction(name = "generate_agent_id")]
fn agent_id(agent_name: &str) -> String {
    ids::agent_id(agent_name)
}

#[pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{
        agent_id, annotate, block, current_entry, current_ids, current_span, start_span,
        swap_entry, take_messages,
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
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // SAFETY: the engine asks where a value is read or a span begun, which only attached threads do here.
        staso_sdk::pen::tell_strands_apart(|| {
            staso_interpreter::greenlet(unsafe { Python::assume_attached() })
        });
        crate::direct::install(module)
    }

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name Python gives it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
