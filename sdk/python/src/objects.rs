//! Python objects the binding uses again and again: imported at the first use, then kept.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

macro_rules! imported {
    ($($(#[$doc:meta])* $name:ident = $module:literal . $attribute:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
            static KEPT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            let kept = KEPT.get_or_try_init(py, || {
                py.import($module)?.getattr($attribute).map(Bound::unbind)
            })?;
            Ok(kept.bind(py))
        }
    )*};
}

imported! {
    /// Tells what stands for a value that is not plain.
    describe = "staso._internal.values"."describe";
    /// Tells type, message and stack of an exception.
    describe_exception = "staso._internal.exceptions"."describe_exception";
    /// The class of `Span.end`'s answer.
    enqueue_result = "staso._internal.reports"."enqueue_result";
    /// The kinds, as the enum users compare with.
    span_kind = "staso._internal.kinds"."SpanKind";
    /// The statuses, as the enum users compare with.
    span_status = "staso._internal.kinds"."SpanStatus";
    /// Hands the engine's messages to Python's logging.
    relay_messages = "staso._internal.log"."relay_messages";
    /// Logs once per kind of message.
    warn_once = "staso._internal.log"."warn_once";
    /// The asyncio task that runs now.
    current_task = "asyncio"."current_task";
}

/// Says `message` once on the logger `staso`; whatever goes wrong with that stays here.
pub(crate) fn warn(py: Python<'_>, kind: &str, message: &str) {
    if let Ok(warn_once) = warn_once(py) {
        let _ = warn_once.call1((kind, message));
    }
}
