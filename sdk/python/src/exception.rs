//! What an exception that leaves a block says about the work in it.

use pyo3::exceptions::{PyGeneratorExit, PySystemExit, PyTimeoutError};
use pyo3::prelude::*;
use staso_sdk::SpanStatus;

/// The status that `raised` implies.
pub(crate) fn implied_status(raised: &Bound<'_, PyAny>) -> SpanStatus {
    if raised.is_instance_of::<PyGeneratorExit>() {
        return SpanStatus::Ok;
    }
    if raised.is_instance_of::<PySystemExit>() {
        let code = raised.getattr("code").ok();
        let is_clean = code.is_some_and(|code| code.is_none() || code.eq(0).unwrap_or(false));
        return if is_clean { SpanStatus::Ok } else { SpanStatus::Error };
    }
    let is_timeout =
        raised.is_instance_of::<PyTimeoutError>() || is_asyncio_timeout(raised).unwrap_or(false);
    if is_timeout { SpanStatus::Timeout } else { SpanStatus::Error }
}

/// Until Python 3.11 asyncio's time-out was a class of its own.
fn is_asyncio_timeout(raised: &Bound<'_, PyAny>) -> PyResult<bool> {
    let modules = raised.py().import("sys")?.getattr("modules")?;
    let asyncio = modules.call_method1("get", ("asyncio.exceptions",))?;
    if asyncio.is_none() {
        return Ok(false);
    }
    raised.is_instance(&asyncio.getattr("TimeoutError")?)
}
