//! The words users pass: kinds and statuses in any letter case, names made text.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use staso_sdk::{SpanKind, SpanStatus};

/// A kind as users write it: one of the six words in any letter case, or a `SpanKind`.
#[derive(Clone, Copy)]
pub(crate) struct KindWord(pub(crate) SpanKind);

impl KindWord {
    /// The kind of a span that names none.
    pub(crate) const CHAIN: Self = Self(SpanKind::Chain);
}

impl FromPyObject<'_, '_> for KindWord {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let text = value.cast::<PyString>().ok();
        let kind = text.and_then(|text| SpanKind::parse(text.to_str().ok()?));
        kind.map(Self).ok_or_else(|| {
            PyValueError::new_err(format!(
                "kind must be one of \"llm\", \"tool\", \"chain\", \"retriever\", \"agent\", \
                 \"custom\" (or a SpanKind), not {}",
                shown(&value)
            ))
        })
    }
}

/// A status as users write it: one of the three words in any letter case, or a `SpanStatus`.
#[derive(Clone, Copy)]
pub(crate) struct StatusWord(pub(crate) SpanStatus);

impl FromPyObject<'_, '_> for StatusWord {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let text = value.cast::<PyString>().ok();
        let status = text.and_then(|text| SpanStatus::parse(text.to_str().ok()?));
        status.filter(|status| *status != SpanStatus::Unset).map(Self).ok_or_else(|| {
            PyValueError::new_err(format!(
                "status must be one of \"ok\", \"error\", \"timeout\" (or a SpanStatus), not {}",
                shown(&value)
            ))
        })
    }
}

/// What the user passed, short enough for a message.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
    let text = value
        .repr()
        .map_or_else(|_| crate::leaf::type_name(value), |text| text.to_string_lossy().into_owned());
    text.chars().take(80).collect()
}

/// A value as text: a str as it is, anything else by `str()`, or its type where that raises.
pub(crate) fn name_text<'py>(value: &Bound<'py, PyAny>) -> Bound<'py, PyString> {
    value.cast::<PyString>().map_or_else(
        |_| value.str().unwrap_or_else(|_| crate::leaf::type_only(value)),
        Clone::clone,
    )
}
