//! The words users pass, checked: kinds, statuses, and what makes an annotation.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use staso_sdk::{Annotation, SpanKind, SpanStatus, Vocabulary, recorder};

use crate::objects;
use crate::value::{Held, type_name};

/// A word as users write it, in any letter case, or a member of the enum of its words.
#[derive(Clone, Copy)]
pub(crate) struct Word<T>(pub(crate) T);

pub(crate) type KindWord = Word<SpanKind>;
pub(crate) type StatusWord = Word<SpanStatus>;

impl<T: Vocabulary> FromPyObject<'_, '_> for Word<T> {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let text = value.cast::<PyString>().ok();
        let word = text.and_then(|text| T::of(text.to_str().ok()?));
        let refused = || PyValueError::new_err(format!("{}, not {}", T::WANTED, shown(&value)));
        word.map(Self).ok_or_else(refused)
    }
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
