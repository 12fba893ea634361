//! `Plan`: what a decorator found out about its function once, so that a call costs little.

use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use staso_sdk::{Host, Recorder, SpanKind, Template, recorder};

use crate::span::{Payload, Span};
use crate::spare;
use crate::value::{Held, Walker};
use crate::words::KindWord;

/// Name, how Python binds it, and the default, or `...` where there is none.
type Parameter = (Py<PyString>, u8, Py<PyAny>);

// How Python binds a parameter, by the numbers of `inspect.Parameter.kind`.
const POSITIONAL_ONLY: u8 = 0;
const EITHER: u8 = 1;
const VAR_POSITIONAL: u8 = 2;
const KEYWORD_ONLY: u8 = 3;

/// The decorated function as spans need to know it.
#[pyclass(frozen, module = "staso._core")]
pub(crate) struct Plan {
    name: Py<PyString>,
    kind: SpanKind,
    parameters: Vec<Parameter>,
    skips_first: bool,
    is_agent: bool,
    template: Arc<Template<Held>>,
    captures_input: bool,
}

#[pymethods]
impl Plan {
    /// `agent_id` makes it an agent.
    #[new]
    fn new(
        name: Bound<'_, PyString>,
        kind: KindWord,
        parameters: Vec<Parameter>,
        skips_first: bool,
        agent_id: Option<String>,
        attributes: &Bound<'_, PyDict>,
        captures_input: bool,
    ) -> Self {
        let is_agent = agent_id.is_some();
        let agent = agent_id.map(|id| (name.to_string_lossy().into_owned(), id));
        let template = Arc::new(Template::new(Held::of(attributes), agent));
        let (name, kind) = (name.unbind(), kind.0);
        Self { name, kind, parameters, skips_first, is_agent, template, captures_input }
    }

    /// A span, not yet started, that holds the call's arguments as they are now.
    pub(crate) fn begin<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, Span>> {
        let tells_input =
            |recorder: &&Recorder| self.captures_input && recorder.capture.tells_input(self.kind);
        let recorder = recorder::in_force().filter(tells_input);
        let captured = recorder.map(|recorder| (recorder, self.capture(recorder, args, kwargs)));
        let payload = Payload::planned(Arc::clone(&self.template), captured);
        spare::span(self.name.bind(args.py()), self.kind, Some(Box::new(payload)))
    }

    /// Calls the function within such a span, which its answer goes into where `captures_output`.
    pub(crate) fn call<'py>(
        &self,
        function: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
        captures_output: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let span = self.begin(args, kwargs)?;
        Span::start(&span);
        let answer = function.call(args, Some(kwargs));
        let answer = answer.and_then(|value| {
            if captures_output {
                span.get().returned(&value)?;
            }
            Ok(value)
        });
        Span::close(&span, answer.as_ref().err().map(|error| raised(args.py(), error)));
        answer
    }
}

/// An exception on its way out, as a `with` block would see it.
fn raised<'py>(py: Python<'py>, error: &'py PyErr) -> &'py Bound<'py, PyAny> {
    let raised = error.value(py);
    if let Some(traceback) = error.traceback(py) {
        // SAFETY: an exception and its own traceback. Up to CPython 3.11 they are apart until somebody catches it.
        unsafe { ffi::PyException_SetTraceback(raised.as_ptr(), traceback.as_ptr()) };
    }
    raised.as_any()
}

impl Plan {
    fn capture<'py>(
        &self,
        recorder: &'static Recorder,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
    ) -> Arc<[u8]> {
        let mut walker = Walker::new(args.py(), recorder);
        walker.pen().raw(b"{");
        walker.under(&["input"], |walker| {
            let mut is_first = true;
            if self.is_agent {
                let key = PyString::intern(args.py(), "agent_name");
                walker.member(&key, self.name.bind(args.py()), &mut is_first);
            }
            self.write_arguments(walker, &mut is_first, args, kwargs);
        });
        walker.pen().raw(b"}");
        Arc::from(walker.pen().out.as_slice())
    }

    /// Binds arguments to parameters as Python does. What does not fit is left out: the call
    /// itself raises for it.
    fn write_arguments<'py>(
        &self,
        walker: &mut Walker<'py>,
        is_first: &mut bool,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
    ) {
        let py = args.py();
        let mut at = usize::from(self.skips_first);
        for (name, binding, default) in &self.parameters {
            let name = name.bind(py);
            let value = match *binding {
                POSITIONAL_ONLY | EITHER if at < args.len() => {
                    at += 1;
                    args.get_item(at - 1).ok()
                }
                POSITIONAL_ONLY => None,
                EITHER | KEYWORD_ONLY => kwargs.get_item(name).ok().flatten(),
                VAR_POSITIONAL => {
                    let rest = args.get_slice(at, args.len());
                    at = args.len();
                    Some(rest.into_any())
                }
                _ => {
                    self.write_other_keywords(walker, is_first, kwargs);
                    continue;
                }
            };
            let default = Some(default.bind(py)).filter(|default| !default.is(py.Ellipsis()));
            if let Some(value) = value.as_ref().or(default) {
                walker.member(name, value, is_first);
            }
        }
    }

    fn write_other_keywords<'py>(
        &self,
        walker: &mut Walker<'py>,
        is_first: &mut bool,
        kwargs: &Bound<'py, PyDict>,
    ) {
        for (key, value) in kwargs.iter() {
            let is_named = self.parameters.iter().any(|(name, binding, _)| {
                matches!(*binding, EITHER | KEYWORD_ONLY)
                    && name.bind(kwargs.py()).as_any().eq(&key).unwrap_or(false)
            });
            if !is_named {
                walker.member(&key, &value, is_first);
            }
        }
    }
}
