//! `Span`: one piece of work, its own context manager, sync and async. The engine's `nesting` and `Life` know
//! what a span is; here are its methods and properties, each a short word to its node.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};
use staso_sdk::nesting::{self, Node};
use staso_sdk::{Enqueued, FailureKind, Field, Identity, SpanKind};

use crate::context::Interpreter;
use crate::objects;
use crate::spare;
use crate::value::{Held, Walker, name_text};
use crate::words::{KindWord, StatusWord, annotation, implied_status};

/// What the program put into a span.
pub(crate) type Payload = staso_sdk::Held<Held>;

/// One piece of work: a context manager whose block is timed and recorded.
#[pyclass(frozen, weakref, module = "staso", name = "Span")]
pub(crate) struct Span {
    pub(crate) node: Node<Held>,
}

impl Span {
    pub(crate) fn start(slf: &Bound<'_, Self>) {
        let py = slf.py();
        nesting::start(Interpreter(py), &*Held::lent(slf), &slf.get().node, |r| Walker::new(py, r));
    }

    pub(crate) fn close(slf: &Bound<'_, Self>, raised: Option<&Bound<'_, PyAny>>) -> Enqueued {
        let (py, entry) = (slf.py(), Held::lent(slf));
        objects::relay_messages(py);
        let raised = raised.map(|raised| (Held::of(raised), implied_status(raised)));
        let walker = |recorder| Walker::new(py, recorder);
        let answer = nesting::close(Interpreter(py), &*entry, &slf.get().node, raised, walker);
        spare::keep(slf);
        answer
    }

    fn identity<T>(&self, tell: impl FnOnce(&Identity) -> T) -> Option<T> {
        self.node.identity().map(tell)
    }

    fn held<'py>(
        &self,
        py: Python<'py>,
        of: impl FnOnce(&Payload) -> Option<&Held>,
    ) -> Option<Bound<'py, PyAny>> {
        self.node.life(|life| Some(of(life.held()?)?.object(py))).flatten()
    }

    fn field<'py>(&self, py: Python<'py>, field: Field) -> Option<Bound<'py, PyAny>> {
        if let Some(assigned) = self.held(py, |held| held.field(field)) {
            return Some(assigned);
        }
        if field == Field::UsageAvailable {
            // Of a model call it is known from the start that nothing is known yet.
            let is_llm = self.node.life(|life| life.kind) == Some(SpanKind::Llm);
            return is_llm.then(|| PyBool::new(py, false).to_owned().into_any());
        }
        let inherited = |own: &Identity| {
            field.of_context(&own.surroundings.context).map(|text| PyString::new(py, text))
        };
        Some(self.identity(inherited)??.into_any())
    }

    fn set_field(&self, value: Bound<'_, PyAny>, field: Field) {
        let context = Interpreter(value.py());
        let value = Held::some(value);
        let replaced = self.node.change(|held| match field {
            Field::Model => held.set_model(context, value),
            field => [None, held.set_field(field, value)],
        });
        drop(replaced);
    }
}

// A class has one block of methods, and many of a span's differ in nothing but their names.
macro_rules! class {
    (
        fields: $($getter:ident $setter:ident $field:ident),*;
        payloads: $($payload:ident $set_payload:ident)*;
        ids: $($id:ident |$own:ident| $text:expr),*;
        $($rest:tt)*
    ) => {
        #[pymethods]
        impl Span {
            $(
                #[getter]
                fn $getter<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
                    self.field(py, Field::$field)
                }

                #[setter]
                fn $setter(&self, value: Bound<'_, PyAny>) {
                    self.set_field(value, Field::$field);
                }
            )*

            $(
                #[getter]
                fn $payload<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
                    self.held(py, |held| held.$payload.as_ref())
                }

                #[setter]
                fn $set_payload(&self, value: Bound<'_, PyAny>) {
                    let value = Held::from(value);
                    drop(self.node.change(|held| held.$set_payload(value)));
                }
            )*

            $(
                #[getter]
                fn $id(&self) -> String {
                    self.identity(|$own| $text).unwrap_or_default()
                }
            )*

            $($rest)*
        }
    };
}

class! {
    fields:
    model set_model Model,
    usage_available set_usage_available UsageAvailable,
    provider set_provider Provider,
    requested_model set_requested_model RequestedModel,
    reasoning_effort set_reasoning_effort ReasoningEffort,
    input_tokens set_input_tokens InputTokens,
    output_tokens set_output_tokens OutputTokens,
    total_tokens set_total_tokens TotalTokens,
    agent_name set_agent_name AgentName,
    agent_id set_agent_id AgentId,
    agent_version set_agent_version AgentVersion,
    session_id set_session_id SessionId,
    user_id set_user_id UserId;

    payloads: input set_input output set_output;

    ids:
    trace_id |own| own.place.trace_id.to_uuid_text(),
    span_id |own| own.place.span_id.to_uuid_text(),
    trace_id_hex |own| own.place.trace_id.to_string(),
    span_id_hex |own| own.place.span_id.to_string();

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        Self::start(slf);
        slf.clone()
    }

    #[pyo3(signature = (_exc_type=None, exc=None, _traceback=None))]
    fn __exit__(
        slf: &Bound<'_, Self>,
        _exc_type: Option<&Bound<'_, PyAny>>,
        exc: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> bool {
        Self::close(slf, exc);
        false
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::start(slf);
        objects::ready(slf.py())?.call1((slf,))
    }

    #[pyo3(signature = (_exc_type=None, exc=None, _traceback=None))]
    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        _exc_type: Option<&Bound<'py, PyAny>>,
        exc: Option<&Bound<'py, PyAny>>,
        _traceback: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::close(slf, exc);
        objects::ready(slf.py())?.call1((false,))
    }

    fn end<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let answer = Self::close(slf, None);
        let kind = answer.failure.map(FailureKind::as_str);
        objects::enqueue_result(slf.py())?.call1((answer.accepted, kind, answer.retryable))
    }

    fn drop(&self) {
        self.node.change(|held| held.is_dropped = true);
    }

    #[pyo3(signature = (status, description=None))]
    fn set_status(&self, status: StatusWord, description: Option<Bound<'_, PyAny>>) {
        self.node.life(|life| life.force(status.0));
        let description = description.and_then(Held::some);
        drop(self.node.change(|held| held.describe(description)));
    }

    fn record_exception(&self, exception: &Bound<'_, PyAny>) {
        let (py, raised) = (exception.py(), Held::of(exception));
        nesting::record_exception(&self.node, raised, |r| Walker::new(py, r));
    }

    #[pyo3(
        signature = (name, *, value, data_type=None, comment=None),
        text_signature = "($self, name, *, value, data_type='numeric', comment=None)"
    )]
    fn annotate(
        &self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        data_type: Option<&Bound<'_, PyAny>>,
        comment: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = name.py();
        let annotation = annotation(name, value, data_type, comment)?;
        let add = |annotation| nesting::annotate(&self.node, annotation, |r| Walker::new(py, r));
        if !annotation.is_none_or(add) {
            objects::warn_before_init(py);
        }
        Ok(())
    }

    #[pyo3(name = "_returned")]
    pub(crate) fn returned(&self, value: &Bound<'_, PyAny>) {
        // That came out, where the program has not said what did.
        drop(self.node.change(|held| held.result.replace(Held::of(value))));
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(existing) = self.held(py, |held| held.metadata.as_ref()) {
            return Ok(existing);
        }
        let planned = self.held(py, |held| Some(&held.template.as_ref()?.attributes));
        let fresh = match planned {
            Some(attributes) => attributes.cast::<PyDict>()?.copy()?,
            None => PyDict::new(py),
        };
        let held = Held::of(&fresh);
        drop(self.node.change(|held_so_far| held_so_far.metadata.replace(held)));
        Ok(fresh.into_any())
    }

    #[setter]
    fn set_metadata(&self, value: Bound<'_, PyAny>) {
        let py = value.py();
        let dict = value.cast::<PyDict>().map_or_else(|_| PyDict::new(py), Clone::clone);
        if !value.is_none() && !dict.is(&value) {
            // What is no mapping at all is left out: an assignment never raises.
            let _ = dict.call_method1("update", (&value,));
        }
        let dict = Held::of(&dict);
        drop(self.node.change(|held| held.metadata.replace(dict)));
    }

    #[getter]
    fn error_message<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        if let Some(said) = self.held(py, |held| held.description.as_ref()) {
            return Some(said);
        }
        let told = self.node.life(|life| life.held()?.exception_message.clone()).flatten()?;
        Some(PyString::new(py, &told).into_any())
    }

    #[setter]
    fn set_error_message(&self, value: Bound<'_, PyAny>) {
        let value = Held::some(value);
        drop(self.node.change(|held| held.describe(value)));
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.node.life(|life| life.name.object(py))
    }

    #[setter]
    fn set_name(&self, value: Bound<'_, PyAny>) {
        let name = Held::from(name_text(&value));
        drop(self.node.life(|life| std::mem::replace(&mut life.name, name)));
    }

    #[getter]
    fn kind<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        objects::span_kind(py)?.call1((self.node.life(|life| life.kind.as_str()),))
    }

    #[setter]
    fn set_kind(&self, value: KindWord) {
        self.node.life(|life| life.kind = value.0);
    }

    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        objects::span_status(py)?.call1((self.node.life(|life| life.status.as_str()),))
    }

    #[setter(status)]
    fn assign_status(&self, value: StatusWord) {
        self.node.life(|life| life.force(value.0));
    }

    #[getter]
    fn parent_span_id(&self) -> Option<String> {
        self.identity(|own| own.parent_id)?.map(|id| id.to_uuid_text())
    }

    fn __repr__(&self, py: Python<'_>) -> Option<String> {
        self.node.shown(Interpreter(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.node.visit(|object| object.visit(&visit))
    }

    fn __clear__(&self) {
        self.node.let_go();
    }
}
