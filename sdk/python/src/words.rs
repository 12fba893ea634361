//! The words users pass, checked: kinds, statuses, and what makes an annotation.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use staso_sdk::{Annotation, SpanKind, SpanStatus, recorder};

use crate::objects;
use crate::value::{Held, type_name};

/// A kind as users write it: one of the six words in any letter case, or a `SpanKind`.
#[derive(Clone, Copy)]
pub(crate) struct KindWord(pub(crate) SpanKind);

/// A status as users write it: one of the three words in any letter case, or a `SpanStatus`.
#[derive(Clone, Copy)]
pub(crate) struct StatusWord(pub(crate) SpanStatus);

impl FromPyObject<'_, '_> for KindWord {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let wanted = "kind must be one of \"llm\", \"tool\", \"chain\", \"retriever\", \"agent\", \
                      \"custom\" (or a SpanKind)";
        word(&value, SpanKind::parse, wanted).map(Self)
    }
}

impl FromPyObject<'_, '_> for StatusWord {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let wanted = "status must be one of \"ok\", \"error\", \"timeout\" (or a SpanStatus)";
        let parse = |text: &str| SpanStatus::parse(text).filter(|word| *word != SpanStatus::Unset);
        word(&value, parse, wanted).map(Self)
    }
}

fn word<T>(
    value: &Bound<'_, PyAny>,
    parse: impl FnOnce(&str) -> Option<T>,
    wanted: &str,
) -> PyResult<T> {
    let text = value.cast::<PyString>().ok();
    let word = text.and_then(|text| parse(text.to_str().ok()?));
    word.ok_or_else(|| PyValueError::new_err(format!("{wanted}, not {}", shown(value))))
}

/// What an exception that leaves a block says about the work in it.
pub(crate) fn implied_status(raised: &Bound<'_, PyAny>) -> SpanStatus {
    let status = objects::implied_status(raised.py()).and_then(|imply| imply.call1((raised,)));
    let status = status.and_then(|status| status.extract::<StatusWord>());
    status.map_or(SpanStatus::Error, |status| status.0)
}

/// What the user passed, short enough for a message.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
    let text = value.repr().map(|text| text.to_string_lossy().into_owned());
    text.unwrap_or_else(|_| type_name(value)).chars().take(80).collect()
}

/// A checked annotation; `None` for a number that is not finite, of which it was told once.
pub(crate) fn annotation(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    data_type: Option<&Bound<'_, PyAny>>,
    comment: Option<Bound<'_, PyAny>>,
) -> PyResult<Option<Annotation<Held>>> {
    let checked = objects::check_annotation(name.py())?.call1((name, value, data_type))?;
    let Some((value, word)) = checked.extract::<Option<(Bound<'_, PyAny>, String)>>()? else {
        recorder::active().inspect(|recorder| recorder.leave_out_annotation());
        return Ok(None);
    };
    let (name, value, comment) = (Held::of(name), Held::of(&value), comment.and_then(Held::some));
    Ok(Annotation::new(name, value, &word, comment))
}
