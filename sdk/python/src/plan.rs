//! `Plan`: what a decorator found out about its function once, so that a call costs little.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use staso_sdk::{Host, Recorder, SpanKind, Template, recorder};

use crate::span::{Payload, Span};
use crate::value::{Held, Walker};
use crate::words::KindWord;

/// How Python binds a parameter; the numbers are those of `inspect.Parameter.kind`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Binding {
    PositionalOnly,
    Either,
    VarPositional,
    KeywordOnly,
    VarKeyword,
}

struct Parameter {
    name: Py<PyString>,
    binding: Binding,
    default: Option<Py<PyAny>>,
}

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
    /// `parameters` are `(name, kind number, default or ...)`; `agent_id` makes it an agent.
    #[new]
    fn new(
        name: Bound<'_, PyString>,
        kind: KindWord,
        parameters: Vec<(Bound<'_, PyString>, u8, Bound<'_, PyAny>)>,
        skips_first: bool,
        agent_id: Option<String>,
        attributes: Bound<'_, PyDict>,
        captures_input: bool,
    ) -> Self {
        let parameters = parameters.into_iter().map(|(name, binding, default)| Parameter {
            name: name.unbind(),
            binding: match binding {
                0 => Binding::PositionalOnly,
                1 => Binding::Either,
                2 => Binding::VarPositional,
                3 => Binding::KeywordOnly,
                _ => Binding::VarKeyword,
            },
            default: (!default.is(default.py().Ellipsis())).then(|| default.unbind()),
        });
        let is_agent = agent_id.is_some();
        let agent = agent_id.map(|id| (name.to_string_lossy().into_owned(), id));
        Self {
            kind: kind.0,
            parameters: parameters.collect(),
            skips_first,
            is_agent,
            template: Arc::new(Template::new(Held::of(&attributes), agent)),
            captures_input,
            name: name.unbind(),
        }
    }

    /// A span, not yet started, that holds the call's arguments as they are now.
    fn begin(&self, args: &Bound<'_, PyTuple>, kwargs: &Bound<'_, PyDict>) -> Span {
        let tells_input =
            |recorder: &&Recorder| self.captures_input && recorder.capture.tells_input(self.kind);
        let recorder = recorder::in_force().filter(tells_input);
        let captured = recorder.map(|recorder| self.capture(recorder, args, kwargs));
        let payload = Payload::planned(Arc::clone(&self.template), captured);
        Span::new(self.name.bind(args.py()), self.kind, Some(Box::new(payload)))
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
        for parameter in &self.parameters {
            let name = parameter.name.bind(py);
            let by_name = || kwargs.get_item(name).ok().flatten();
            let value = match parameter.binding {
                Binding::PositionalOnly | Binding::Either if at < args.len() => {
                    at += 1;
                    args.get_item(at - 1).ok()
                }
                Binding::PositionalOnly => None,
                Binding::Either | Binding::KeywordOnly => by_name(),
                Binding::VarPositional => {
                    let rest = args.get_slice(at, args.len());
                    at = args.len();
                    Some(rest.into_any())
                }
                Binding::VarKeyword => {
                    self.write_other_keywords(walker, is_first, kwargs);
                    continue;
                }
            };
            let value = value.or_else(|| parameter.default.as_ref().map(|d| d.bind(py).clone()));
            if let Some(value) = value {
                walker.member(name, &value, is_first);
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
            let is_named = self.parameters.iter().any(|parameter| {
                matches!(parameter.binding, Binding::Either | Binding::KeywordOnly)
                    && parameter.name.bind(kwargs.py()).as_any().eq(&key).unwrap_or(false)
            });
            if !is_named {
                walker.member(&key, &value, is_first);
            }
        }
    }
}
