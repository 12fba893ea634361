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
    /// Checks what makes an annotation.
    check_annotation = "staso._internal.annotations"."checked";
    /// Tells what status an exception implies.
    implied_status = "staso._internal.exceptions"."implied_status";
    /// An awaitable that is done already: what `async with` awaits on the way in and out.
    ready = "staso._internal.ready"."ready";
    /// The class of `Span.end`'s answer.
    enqueue_result = "staso._internal.reports"."enqueue_result";
    /// The kinds, as the enum users compare with.
    span_kind = "staso._internal.kinds"."SpanKind";
    /// The statuses, as the enum users compare with.
    span_status = "staso._internal.kinds"."SpanStatus";
    /// Hands the engine's messages to Python's logging.
    relay = "staso._internal.log"."relay_messages";
    /// Logs once per kind of message.
    warn_once = "staso._internal.log"."warn_once";
}

/// Lets Python's logging take what the engine has said since; nearly always that is nothing.
#[inline]
pub(crate) fn relay_messages(py: Python<'_>) {
    if staso_sdk::has_messages() {
        // Whatever a program's log handlers raise is not for the code that ends a span.
        drop(relay(py).and_then(|relay| relay.call0()));
    }
}

/// An annotation given before there is anything to hand it to: said once, and whatever comes of that stays here.
pub(crate) fn warn_before_init(py: Python<'_>) {
    let message = ("annotate", "annotations are not recorded before staso.init()");
    drop(warn_once(py).and_then(|warn_once| warn_once.call1(message)));
}
