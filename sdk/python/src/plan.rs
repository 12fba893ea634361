//! `Plan`: what a decorator found out about its function once, so that a call costs little.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use staso_sdk::SpanKind;
use staso_sdk::record::SpanContext;

use crate::finish;
use crate::recorder::{self, Recorder};
use crate::span::{Payload, Span};
use crate::value::{GiveInterruptBack, Walker};
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
    agent_id: Option<String>,
    attributes: Py<PyDict>,
    attributes_json: OnceLock<Box<[u8]>>,
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
        Self {
            name: name.unbind(),
            kind: kind.0,
            parameters: parameters.collect(),
            skips_first,
            agent_id,
            attributes: attributes.unbind(),
            attributes_json: OnceLock::new(),
            captures_input,
        }
    }

    /// A span, not yet started, that holds the call's arguments as they are now.
    fn begin(slf: &Bound<'_, Self>, args: &Bound<'_, PyTuple>, kwargs: &Bound<'_, PyDict>) -> Span {
        let _interrupt = GiveInterruptBack;
        let plan = slf.get();
        let captured = recorder::active().and_then(|recorder| plan.capture(recorder, args, kwargs));
        let payload = Payload { plan: Some(slf.clone().unbind()), captured, ..Payload::default() };
        Span::new(plan.name.clone_ref(slf.py()), plan.kind, payload)
    }
}

impl Plan {
    /// A fresh copy of the metadata every call starts with.
    pub(crate) fn metadata(&self, py: Python<'_>) -> Py<PyDict> {
        let attributes = self.attributes.bind(py);
        attributes.copy().unwrap_or_else(|_| PyDict::new(py)).unbind()
    }

    /// That metadata as the inside of a JSON object, written once.
    pub(crate) fn attributes_json(&self, py: Python<'_>, recorder: &Recorder) -> &[u8] {
        self.attributes_json.get_or_init(|| {
            let mut json = Vec::new();
            let mut walker = Walker::of(py, &mut json, recorder);
            walker.dict_items(self.attributes.as_ptr(), true);
            walker.finish(recorder);
            json.into_boxed_slice()
        })
    }

    /// What nested spans belong to: an agent puts itself in the place of the one outside.
    pub(crate) fn context(&self, py: Python<'_>, outside: Arc<SpanContext>) -> Arc<SpanContext> {
        let Some(agent_id) = &self.agent_id else { return outside };
        let mut inside = SpanContext::clone(&outside);
        inside.agent_name = Some(self.name.bind(py).to_string_lossy().into_owned());
        inside.agent_id = Some(agent_id.clone());
        Arc::new(inside)
    }

    fn capture<'py>(
        &self,
        recorder: &Recorder,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
    ) -> Option<Arc<[u8]>> {
        if !self.captures_input || !finish::may_tell_input(recorder.capture, self.kind) {
            return None;
        }
        let py = args.py();
        let mut json = Vec::with_capacity(128);
        let mut walker = Walker::of(py, &mut json, recorder);
        let mut is_first = true;
        walker.raw(b"{");
        walker.enter_path("input");
        if self.agent_id.is_some() {
            let key = PyString::intern(py, "agent_name");
            walker.member(&mut is_first, key.as_any(), self.name.bind(py).as_any());
        }
        self.write_arguments(&mut walker, &mut is_first, args, kwargs);
        walker.leave_path();
        walker.raw(b"}");
        walker.finish(recorder);
        Some(Arc::from(json))
    }

    /// Binds arguments to parameters as Python does. What does not fit is left out: the call
    /// itself raises for it.
    fn write_arguments<'py>(
        &self,
        walker: &mut Walker<'_, 'py>,
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
                walker.member(is_first, name.as_any(), &value);
            }
        }
    }

    fn write_other_keywords<'py>(
        &self,
        walker: &mut Walker<'_, 'py>,
        is_first: &mut bool,
        kwargs: &Bound<'py, PyDict>,
    ) {
        let py = kwargs.py();
        for (key, value) in kwargs.iter() {
            let is_named = self.parameters.iter().any(|parameter| {
                matches!(parameter.binding, Binding::Either | Binding::KeywordOnly)
                    && parameter.name.bind(py).as_any().eq(&key).unwrap_or(false)
            });
            if !is_named {
                walker.member(is_first, &key, &value);
            }
        }
    }
}
