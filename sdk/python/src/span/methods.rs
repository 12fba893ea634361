//! What Python sees of a span: its methods and properties, each a short word to the span itself.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use staso_sdk::{FailureKind, SpanKind, SpanStatus};

use super::{Phase, Span};
use crate::annotation::{self, Annotation};
use crate::exception::Event;
use crate::fields::Field;
use crate::objects;
use crate::ready::Ready;
use crate::words::{KindWord, StatusWord, name_text};

// The plain fields differ in nothing but their names, and a class has one block of methods.
macro_rules! class {
    ($($getter:ident $setter:ident $field:ident),* ; $($rest:tt)*) => {
        #[pymethods]
        impl Span {
            $(
                #[getter]
                fn $getter(&self, py: Python<'_>) -> Option<Py<PyAny>> {
                    self.context_text(py, Field::$field)
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
        Self::start(slf, false);
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
        Self::start(slf, true);
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

    fn end(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let answer = Self::close(slf, None);
        let kind = answer.failure.map(FailureKind::as_str);
        let class = objects::enqueue_result(slf.py())?;
        Ok(class.call1((answer.accepted, kind, answer.retryable))?.unbind())
    }

    fn drop(&self) {
        self.change(|payload| payload.is_dropped = true);
    }

    #[pyo3(signature = (status, description=None))]
    fn set_status(&self, status: StatusWord, description: Option<Bound<'_, PyAny>>) {
        self.force(status.0);
        self.describe(description);
    }

    fn record_exception(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>) {
        let this = slf.get();
        let clock = {
            let state = this.lock();
            state.recorder.zip(state.identity.as_ref().map(|own| own.clock))
        };
        if let Some((recorder, clock)) = clock {
            let is_told = this.change(|payload| payload.has_told(exc)).unwrap_or(false);
            let event = Event::of(exc, recorder, recorder.now_ns(&clock), is_told);
            drop(this.change(|payload| {
                payload.exception_message = Some(event.message.clone());
                payload.events.push(event);
                payload.recorded.replace(exc.clone().unbind())
            }));
            this.describe(None);
        }
        this.force(SpanStatus::Error);
    }

    #[pyo3(signature = (name, *, value, data_type=None, comment=None))]
    fn annotate(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        data_type: Option<&Bound<'_, PyAny>>,
        comment: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let annotation = Annotation::check(name, value, data_type, comment)?;
        let py = slf.py();
        let (target, waits) = {
            let state = slf.get().lock();
            (state.recorder.zip(state.identity.clone()), state.phase == Phase::Open)
        };
        match target {
            None => annotation::before_init(py),
            Some(_) if waits => {
                slf.get().change(|payload| payload.annotations.push(annotation));
            }
            Some((recorder, own)) => {
                annotation.append(py, recorder, &own.trace_id, Some(&own.span_id));
            }
        }
        Ok(())
    }

    fn _returned(&self, value: Bound<'_, PyAny>) {
        let result = PyDict::new(value.py());
        if result.set_item("result", &value).is_ok() {
            self.change(|payload| {
                payload.output.get_or_insert_with(|| result.into_any().unbind());
            });
        }
    }

    #[getter]
    fn metadata(&self, py: Python<'_>) -> Py<PyDict> {
        let (plan, existing) = {
            let state = self.lock();
            let plan = state.payload.plan.as_ref().map(|plan| plan.clone_ref(py));
            (plan, state.payload.metadata.as_ref().map(|dict| dict.clone_ref(py)))
        };
        if let Some(existing) = existing {
            return existing;
        }
        let fresh = plan.map_or_else(|| PyDict::new(py).unbind(), |plan| plan.get().metadata(py));
        self.change(|payload| payload.metadata.get_or_insert_with(|| fresh.clone_ref(py)).clone_ref(py))
            .unwrap_or(fresh)
    }

    #[setter]
    fn set_metadata(&self, value: Bound<'_, PyAny>) {
        let py = value.py();
        let dict = value.cast::<PyDict>().map_or_else(|_| PyDict::new(py), Clone::clone);
        if !value.is_none() && !dict.is(&value) {
            // What is no mapping at all is left out: an assignment never raises.
            let _ = dict.call_method1("update", (&value,));
        }
        drop(self.change(|payload| payload.metadata.replace(dict.unbind())));
    }

    #[getter]
    fn input(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.lock().payload.input.as_ref().map(|value| value.clone_ref(py))
    }

    #[setter]
    fn set_input(&self, value: Bound<'_, PyAny>) {
        drop(self.change(|payload| {
            let captured = payload.captured.take();
            (captured, payload.input.replace(value.unbind()))
        }));
    }

    #[getter]
    fn output(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.lock().payload.output.as_ref().map(|value| value.clone_ref(py))
    }

    #[setter]
    fn set_output(&self, value: Bound<'_, PyAny>) {
        drop(self.change(|payload| payload.output.replace(value.unbind())));
    }

    #[getter]
    fn error_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let state = self.lock();
        let description = state.payload.description.as_ref().map(|value| value.clone_ref(py));
        let told = state.payload.exception_message.clone();
        drop(state);
        description.or_else(|| told.map(|text| PyString::new(py, &text).into_any().unbind()))
    }

    #[setter]
    fn set_error_message(&self, value: Bound<'_, PyAny>) {
        self.describe(Some(value));
    }

    #[getter]
    fn name(&self, py: Python<'_>) -> Py<PyString> {
        self.lock().name.clone_ref(py)
    }

    #[setter]
    fn set_name(&self, value: Bound<'_, PyAny>) {
        let name = name_text(&value).unbind();
        let old = std::mem::replace(&mut self.lock().name, name);
        drop(old);
    }

    #[getter]
    fn kind<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let kind = self.lock().kind;
        objects::span_kind(py)?.call1((kind.as_str(),))
    }

    #[setter]
    fn set_kind(&self, value: KindWord) {
        self.lock().kind = value.0;
    }

    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let status = self.lock().status;
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
        let unset = (self.lock().kind == SpanKind::Llm).then_some(false);
        self.field(py, Field::UsageAvailable).map_or(unset, |value| value.is_truthy(py).ok())
    }

    #[setter]
    fn set_usage_available(&self, value: Bound<'_, PyAny>) {
        self.set_field(value, Field::UsageAvailable);
    }

    #[getter]
    fn trace_id(&self) -> String {
        self.identity_text(|own| own.trace_id.to_uuid_text())
    }

    #[getter]
    fn span_id(&self) -> String {
        self.identity_text(|own| own.span_id.to_uuid_text())
    }

    #[getter]
    fn parent_span_id(&self) -> Option<String> {
        self.lock().identity.as_ref()?.parent_id.map(|id| id.to_uuid_text())
    }

    #[getter]
    fn trace_id_hex(&self) -> String {
        self.identity_text(|own| own.trace_id.to_string())
    }

    #[getter]
    fn span_id_hex(&self) -> String {
        self.identity_text(|own| own.span_id.to_string())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (name, kind, status, phase) = {
            let state = self.lock();
            (state.name.clone_ref(py), state.kind, state.status, state.phase)
        };
        let name = name.bind(py).to_string_lossy().into_owned();
        let doing = match phase {
            Phase::New => "not started",
            Phase::Open => "open",
            Phase::Ended => status.as_str(),
        };
        let ids = self.identity_text(|own| format!(" trace={} span={}", own.trace_id, own.span_id));
        format!("<staso.Span {name:?} {kind} {doing}{ids}>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Not to be had while this very thread works on it: then nothing is garbage here anyway.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        let payload = &state.payload;
        visit.call(&payload.metadata)?;
        visit.call(&payload.input)?;
        visit.call(&payload.output)?;
        visit.call(&payload.description)?;
        visit.call(&payload.recorded)?;
        visit.call(&payload.child_raised)?;
        visit.call(&state.previous)
    }

    fn __clear__(&self) {
        let mut state = self.lock();
        let let_go = (std::mem::take(&mut state.payload), state.previous.take());
        drop(state);
        drop(let_go);
    }
}
