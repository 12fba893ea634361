//! What Python sees of a span: its methods and properties, each a short word to the span itself.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use staso_sdk::{FailureKind, Field, Host, Phase, SpanKind, SpanStatus};

use super::{Payload, Span};
use crate::objects;
use crate::ready::Ready;
use crate::value::{Held, Walker, name_text};
use crate::words::{KindWord, StatusWord, annotation};

// The plain fields differ in nothing but their names, and a class has one block of methods.
macro_rules! class {
    ($($getter:ident $setter:ident $field:ident),* ; $($rest:tt)*) => {
        #[pymethods]
        impl Span {
            $(
                #[getter]
                fn $getter(&self, py: Python<'_>) -> Option<Py<PyAny>> {
                    self.field(py, Field::$field)
                }

                #[setter]
                fn $setter(&self, value: Bound<'_, PyAny>) {
                    self.set_field(value, Field::$field);
                }
            )*

            $($rest)*
        }
    };
}

class! {
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

    fn __aenter__(slf: &Bound<'_, Self>) -> Ready {
        Self::start(slf);
        Ready::with(slf.clone().into_any().unbind())
    }

    #[pyo3(signature = (_exc_type=None, exc=None, _traceback=None))]
    fn __aexit__(
        slf: &Bound<'_, Self>,
        _exc_type: Option<&Bound<'_, PyAny>>,
        exc: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> Ready {
        Self::close(slf, exc);
        Ready::with(slf.py().None())
    }

    fn end<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let answer = Self::close(slf, None);
        let kind = answer.failure.map(FailureKind::as_str);
        objects::enqueue_result(slf.py())?.call1((answer.accepted, kind, answer.retryable))
    }

    fn drop(&self) {
        self.change(|held| held.is_dropped = true);
    }

    #[pyo3(signature = (status, description=None))]
    fn set_status(&self, status: StatusWord, description: Option<Bound<'_, PyAny>>) {
        self.force(status.0);
        self.describe(description);
    }

    fn record_exception(&self, exc: &Bound<'_, PyAny>) {
        let raised = Held::of(exc);
        let is_told = self.change(|held| held.has_told(&raised));
        if let (Some((recorder, clock)), Some(is_told)) =
            (self.identity(|own| (own.recorder, own.place.clock)), is_told)
        {
            let mut walker = Walker::new(exc.py(), recorder);
            let told = walker.describe(&raised, !is_told);
            let time_ns = recorder.now_ns(&clock);
            drop(self.change(|held| held.record(raised, told, time_ns)));
        }
        self.force(SpanStatus::Error);
    }

    #[pyo3(signature = (name, *, value, data_type=None, comment=None))]
    fn annotate(
        &self,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        data_type: Option<&Bound<'_, PyAny>>,
        comment: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = name.py();
        let Some(annotation) = annotation(name, value, data_type, comment)? else { return Ok(()) };
        let Some((recorder, place)) = self.identity(|own| (own.recorder, own.place)) else {
            objects::warn(py, "annotate", "annotations are not recorded before staso.init()");
            return Ok(());
        };
        // While the span is open they wait: they are recorded after the span they speak of.
        let mut late = Some(annotation);
        self.change(|held| held.annotations.extend(late.take()));
        if let Some(annotation) = late {
            let mut walker = Walker::new(py, recorder);
            annotation.record(&mut walker, recorder, &place.trace_id, Some(&place.span_id));
        }
        Ok(())
    }

    fn _returned(&self, value: Bound<'_, PyAny>) -> PyResult<()> {
        let result = PyDict::new(value.py());
        result.set_item(pyo3::intern!(value.py(), "result"), value)?;
        self.change(|held| {
            held.output.get_or_insert_with(|| Held::of(&result));
        });
        Ok(())
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(existing) = self.held(py, |held| held.metadata.as_ref()) {
            return Ok(existing.into_bound(py));
        }
        let planned = self.held(py, |held| Some(&held.template.as_ref()?.attributes));
        let fresh = match planned {
            Some(attributes) => attributes.bind(py).cast::<PyDict>()?.copy()?,
            None => PyDict::new(py),
        };
        drop(self.change(|held| held.metadata.replace(Held::of(&fresh))));
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
        drop(self.change(|held| held.metadata.replace(Held::of(&dict))));
    }

    #[getter]
    fn input(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.held(py, |held| held.input.as_ref())
    }

    #[setter]
    fn set_input(&self, value: Bound<'_, PyAny>) {
        let value = Held(value.unbind());
        drop(self.change(|held| (held.captured.take(), held.input.replace(value))));
    }

    #[getter]
    fn output(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.held(py, |held| held.output.as_ref())
    }

    #[setter]
    fn set_output(&self, value: Bound<'_, PyAny>) {
        let value = Held(value.unbind());
        drop(self.change(|held| held.output.replace(value)));
    }

    #[getter]
    fn error_message<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let description = self.held(py, |held| held.description.as_ref());
        let told = self.lock().life.held().and_then(|held| held.exception_message.clone());
        let said = description.map(|text| text.into_bound(py));
        said.or_else(|| told.map(|text| PyString::new(py, &text).into_any()))
    }

    #[setter]
    fn set_error_message(&self, value: Bound<'_, PyAny>) {
        self.describe(Some(value));
    }

    #[getter(name)]
    fn get_name<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        self.name(py)
    }

    #[setter]
    fn set_name(&self, value: Bound<'_, PyAny>) {
        let name = Held(name_text(&value).into_any().unbind());
        let old = std::mem::replace(&mut self.lock().life.name, name);
        drop(old);
    }

    #[getter]
    fn kind<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let kind = self.lock().life.kind;
        objects::span_kind(py)?.call1((kind.as_str(),))
    }

    #[setter]
    fn set_kind(&self, value: KindWord) {
        self.lock().life.kind = value.0;
    }

    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let status = self.lock().life.status;
        objects::span_status(py)?.call1((status.as_str(),))
    }

    #[setter(status)]
    fn assign_status(&self, value: StatusWord) {
        self.force(value.0);
    }

    #[getter]
    fn model(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.field(py, Field::Model)
    }

    #[setter]
    fn set_model(&self, value: Bound<'_, PyAny>) {
        if self.field(value.py(), Field::RequestedModel).is_none() {
            self.set_field(value.clone(), Field::RequestedModel);
        }
        self.set_field(value, Field::Model);
    }

    #[getter]
    fn usage_available(&self, py: Python<'_>) -> Option<bool> {
        let unset = (self.lock().life.kind == SpanKind::Llm).then_some(false);
        let assigned = self.held(py, |held| held.field(Field::UsageAvailable));
        assigned.map_or(unset, |value| value.is_truthy(py).ok())
    }

    #[setter]
    fn set_usage_available(&self, value: Bound<'_, PyAny>) {
        self.set_field(value, Field::UsageAvailable);
    }

    #[getter]
    fn trace_id(&self) -> String {
        self.identity(|own| own.place.trace_id.to_uuid_text()).unwrap_or_default()
    }

    #[getter]
    fn span_id(&self) -> String {
        self.identity(|own| own.place.span_id.to_uuid_text()).unwrap_or_default()
    }

    #[getter]
    fn parent_span_id(&self) -> Option<String> {
        self.identity(|own| own.parent_id)?.map(|id| id.to_uuid_text())
    }

    #[getter]
    fn trace_id_hex(&self) -> String {
        self.identity(|own| own.place.trace_id.to_string()).unwrap_or_default()
    }

    #[getter]
    fn span_id_hex(&self) -> String {
        self.identity(|own| own.place.span_id.to_string()).unwrap_or_default()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let name = self.name(py);
        let state = self.lock();
        let doing = match state.life.phase() {
            Phase::New => "not started",
            Phase::Open => "open",
            Phase::Ended => state.life.status.as_str(),
        };
        let own = state.life.identity().map(|own| own.place);
        let ids = own.map(|own| format!(" trace={} span={}", own.trace_id, own.span_id));
        let (name, ids) = (name.to_string_lossy(), ids.unwrap_or_default());
        format!("<staso.Span {name:?} {} {doing}{ids}>", state.life.kind)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Not to be had while this very thread works on it: then nothing is garbage here anyway.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        for object in state.life.held().into_iter().flat_map(Payload::objects) {
            visit.call(&object.0)?;
        }
        visit.call(&state.token)?;
        visit.call(&state.previous)
    }

    fn __clear__(&self) {
        let mut state = self.lock();
        let let_go = (state.life.let_go(), state.token.take(), state.previous.take());
        drop(state);
        drop(let_go);
    }
}
