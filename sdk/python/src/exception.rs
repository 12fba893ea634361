//! Exceptions: the event each leaves on its span, and the status it implies.

use pyo3::exceptions::{PyGeneratorExit, PySystemExit, PyTimeoutError};
use pyo3::prelude::*;
use staso_sdk::SpanStatus;

use crate::leaf;
use crate::objects;
use crate::recorder::Recorder;
use crate::span::Payload;

/// One recorded exception.
pub(crate) struct Event {
    pub(crate) time_ns: i64,
    pub(crate) kind: String,
    pub(crate) message: String,
    /// Left out where a span inside this one has it.
    pub(crate) stack: Option<String>,
}

impl Event {
    /// Describes `raised`; where even that raises, by its type alone.
    pub(crate) fn of(
        raised: &Bound<'_, PyAny>,
        recorder: &Recorder,
        time_ns: i64,
        is_told: bool,
    ) -> Self {
        let described = objects::describe_exception(raised.py()).and_then(|describe| {
            describe.call1((raised, !is_told, recorder.limits.value_bytes))?.extract::<(
                String,
                String,
                Option<String>,
            )>()
        });
        let (kind, message, stack) = described.unwrap_or_else(|_| {
            let name = leaf::type_name(raised);
            (name.clone(), name, None)
        });
        Self { time_ns, kind, message, stack }
    }
}

/// Records the exception that leaves the block, unless it was recorded there, and answers the
/// status it implies.
pub(crate) fn leaving(
    recorder: &Recorder,
    payload: &mut Payload,
    raised: &Bound<'_, PyAny>,
    time_ns: i64,
) -> SpanStatus {
    let is_recorded = payload.recorded.as_ref().is_some_and(|told| told.is(raised));
    if !is_recorded {
        let event = Event::of(raised, recorder, time_ns, payload.has_told(raised));
        payload.exception_message.get_or_insert_with(|| event.message.clone());
        payload.events.push(event);
    }
    implied_status(raised)
}

/// What an exception that leaves a block says about the work in it.
fn implied_status(raised: &Bound<'_, PyAny>) -> SpanStatus {
    let py = raised.py();
    if raised.is_instance_of::<PyGeneratorExit>() {
        return SpanStatus::Ok;
    }
    if raised.is_instance_of::<PySystemExit>() {
        let code = raised.getattr("code").ok();
        let is_clean = code.is_some_and(|code| code.is_none() || code.eq(0).unwrap_or(false));
        return if is_clean { SpanStatus::Ok } else { SpanStatus::Error };
    }
    let is_timeout = raised.is_instance_of::<PyTimeoutError>()
        || is_asyncio_timeout(py, raised).unwrap_or(false);
    if is_timeout { SpanStatus::Timeout } else { SpanStatus::Error }
}

/// Until Python 3.11 asyncio's time-out was a class of its own.
fn is_asyncio_timeout(py: Python<'_>, raised: &Bound<'_, PyAny>) -> PyResult<bool> {
    let modules = py.import("sys")?.getattr("modules")?;
    let asyncio = modules.call_method1("get", ("asyncio.exceptions",))?;
    if asyncio.is_none() {
        return Ok(false);
    }
    raised.is_instance(&asyncio.getattr("TimeoutError")?)
}

/// Lets the span outside know that the stack of `raised` is told.
pub(crate) fn tell_parent(previous: Option<&Bound<'_, PyAny>>, raised: &Bound<'_, PyAny>) {
    if let Some(parent) = previous.and_then(|entry| crate::context::span_at(entry.clone())) {
        parent.get().child_raised(raised.clone().unbind());
    }
}
