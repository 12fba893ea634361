//! The words users pass, checked: kinds, statuses, and what makes an annotation.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
use staso_sdk::{Annotation, DataType, Shown, Sort, SpanKind, SpanStatus};

use crate::objects;
use crate::value::{Held, type_name};

macro_rules! word {
    ($(#[$doc:meta])* $name:ident($inner:ty), $parse:expr, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pub(crate) $inner);

        impl FromPyObject<'_, '_> for $name {
            type Error = PyErr;

            fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
                let text = value.cast::<PyString>().ok();
                let word = text.and_then(|text| text.to_str().ok().and_then($parse));
                word.map(Self).ok_or_else(|| {
                    PyValueError::new_err(format!(concat!($wanted, ", not {}"), shown(&value)))
                })
            }
        }
    };
}

word! {
    /// A kind as users write it: one of the six words in any letter case, or a `SpanKind`.
    KindWord(SpanKind), SpanKind::parse,
    "kind must be one of \"llm\", \"tool\", \"chain\", \"retriever\", \"agent\", \"custom\" (or a \
     SpanKind)"
}

word! {
    /// A status as users write it: one of the three words in any letter case, or a `SpanStatus`.
    StatusWord(SpanStatus),
    |text| SpanStatus::parse(text).filter(|status| *status != SpanStatus::Unset),
    "status must be one of \"ok\", \"error\", \"timeout\" (or a SpanStatus)"
}

impl KindWord {
    /// The kind of a span that names none.
    pub(crate) const CHAIN: Self = Self(SpanKind::Chain);
}

/// What the user passed, short enough for a message.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
    let text = value.repr().map(|text| text.to_string_lossy().into_owned());
    text.unwrap_or_else(|_| type_name(value)).chars().take(80).collect()
}

/// A checked annotation; `None` for a number that is not finite, of which it is told once.
pub(crate) fn annotation(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    data_type: Option<&Bound<'_, PyAny>>,
    comment: Option<Bound<'_, PyAny>>,
) -> PyResult<Option<Annotation<Held>>> {
    let is_named = name.cast::<PyString>().is_ok_and(|name| name.len().is_ok_and(|n| n > 0));
    let sort = match value {
        value if value.is_instance_of::<PyBool>() => Sort::Truth,
        value if value.is_instance_of::<PyString>() => Sort::Text,
        value if value.is_instance_of::<PyInt>() => Sort::Number,
        value if value.is_instance_of::<PyFloat>() => Sort::Number,
        _ => Sort::Other,
    };
    let word = data_type.map(|word| word.extract::<String>().unwrap_or_default());
    let number = (sort == Sort::Number).then(|| finite(value));
    let kept = number.as_ref().and_then(Option::as_ref).unwrap_or(value);
    let checked = Annotation::check(
        (Held::of(name), is_named),
        (Held::of(kept), sort),
        DataType::parse(word.as_deref()),
        comment.and_then(Held::some),
        |what| match what {
            Shown::Value => shown(value),
            Shown::DataType => data_type.map(shown).unwrap_or_default(),
        },
    );
    let annotation = checked.map_err(PyValueError::new_err)?;
    if number.is_some_and(|number| number.is_none()) {
        let message = "an annotation was left out: its number is not finite";
        objects::warn(value.py(), "annotation", message);
        return Ok(None);
    }
    Ok(Some(annotation))
}

/// The number that a score is kept as: an int beyond 64 bits would be kept as text, and text is not a
/// score.
fn finite<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if value.is_instance_of::<PyInt>() && value.extract::<i64>().is_ok() {
        return Some(value.clone());
    }
    let number = value.extract::<f64>().ok().filter(|number| number.is_finite())?;
    Some(PyFloat::new(value.py(), number).into_any())
}
