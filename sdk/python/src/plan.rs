//! `Plan`: what a decorator found out about its function once, so that a call costs little.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use staso_interpreter::{Parameter, Parameters, raised};
use staso_sdk::pen::key_json;
use staso_sdk::{Host, Recorder, SpanKind, Template, recorder};

use crate::span::{Payload, Span};
use crate::spare;
use crate::value::{Held, Walker};
use crate::words::KindWord;

/// The decorated function as spans need to know it.
#[pyclass(frozen, module = "staso._core")]
pub(crate) struct Plan {
    name: Py<PyString>,
    kind: SpanKind,
    parameters: Parameters,
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
        let parameters = Parameters::new(attributes.py(), parameters, skips_first, key_json);
        Self { name, kind, parameters, is_agent, template, captures_input }
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
        spare::span(self.name.bind(args.py()), self.kind, Some(payload))
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
        if let (true, Ok(value)) = (captures_output, &answer) {
            span.get().returned(value);
        }
        Span::close(&span, answer.as_ref().err().map(|error| raised(args.py(), error).as_any()));
        answer
    }
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
                walker.member(None, &key, self.name.bind(args.py()), &mut is_first);
            }
            self.parameters.bind(args, kwargs, |known, name, value| {
                walker.member(known, name, value, &mut is_first);
            });
        });
        walker.pen().raw(b"}");
        Arc::from(walker.pen().out.as_slice())
    }
}
