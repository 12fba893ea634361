//! Annotations: checked where they are given, recorded after the span they speak of.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
use staso_sdk::{RecordKind, SpanId, TraceId, ids, json};

use crate::objects;
use crate::recorder::Recorder;
use crate::value::{GiveInterruptBack, Walker};
use crate::words::{name_text, shown};

/// A checked score or label.
pub(crate) struct Annotation {
    name: Py<PyString>,
    value: Py<PyAny>,
    data_type: &'static str,
    comment: Option<Py<PyAny>>,
}

impl Annotation {
    /// Checks what the user passed; every refusal is a `ValueError` that says what to write.
    pub(crate) fn check(
        name: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        data_type: Option<&Bound<'_, PyAny>>,
        comment: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let name = name.cast::<PyString>().ok().filter(|name| name.len().is_ok_and(|n| n > 0));
        let name =
            name.ok_or_else(|| PyValueError::new_err("an annotation needs a name: a str"))?;
        let word =
            data_type.map_or_else(|| Ok("numeric".to_owned()), |word| word.extract::<String>());
        let data_type = match word.as_deref() {
            Ok("numeric") => "numeric",
            Ok("categorical") => "categorical",
            Ok("boolean") => "boolean",
            _ => {
                let given = data_type.map(shown).unwrap_or_default();
                return Err(PyValueError::new_err(format!(
                    "data_type must be \"numeric\", \"categorical\" or \"boolean\", not {given}"
                )));
            }
        };
        let is_bool = value.is_instance_of::<PyBool>();
        let (fits, wanted) = match data_type {
            "numeric" => {
                let is_number =
                    value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>();
                (is_number && !is_bool, "an int or a float")
            }
            "categorical" => (value.is_instance_of::<PyString>(), "a str"),
            _ => (is_bool, "a bool"),
        };
        if !fits {
            return Err(PyValueError::new_err(format!(
                "a {data_type} annotation needs {wanted} as its value, not {}",
                shown(value)
            )));
        }
        Ok(Self {
            name: name.clone().unbind(),
            value: value.clone().unbind(),
            data_type,
            comment: comment.filter(|text| !text.is_none()).map(|text| text.clone().unbind()),
        })
    }

    /// Hands the annotation to the recorder.
    pub(crate) fn append(
        &self,
        py: Python<'_>,
        recorder: &Recorder,
        trace_id: &TraceId,
        span_id: Option<&SpanId>,
    ) {
        let _interrupt = GiveInterruptBack;
        let mut value = self.value.bind(py).clone();
        if self.data_type == "numeric" {
            let Some(number) = value.extract().ok().filter(|number: &f64| number.is_finite())
            else {
                let message = "an annotation was left out: its number is not finite";
                return objects::warn(py, "annotation", message);
            };
            // An int beyond 64 bits would be kept as text, and text is not a score.
            if value.extract::<i64>().is_err() {
                value = PyFloat::new(py, number).into_any();
            }
        }
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"id\":");
        json::write_uuid(&mut out, &ids::uuid_v4());
        if let Some(span_id) = span_id {
            out.extend_from_slice(b",\"span_id\":");
            json::write_uuid(&mut out, &span_id.0);
        }
        let mut walker = Walker::of(py, &mut out, recorder);
        walker.raw(b",\"name\":");
        walker.field("name", self.name.bind(py).as_any());
        walker.raw(b",\"value\":");
        walker.field("value", &value);
        if let Some(comment) = &self.comment {
            walker.raw(b",\"comment\":");
            walker.field("comment", name_text(comment.bind(py)).as_any());
        }
        walker.finish(recorder);
        out.extend_from_slice(b",\"data_type\":\"");
        out.extend_from_slice(self.data_type.as_bytes());
        out.extend_from_slice(b"\",\"source\":\"sdk\"}");
        let span_id = span_id.unwrap_or(&SpanId::NIL);
        recorder.append(py, RecordKind::Annotation, trace_id, span_id, &out);
    }
}

/// An annotation given before there is anything to hand it to.
pub(crate) fn before_init(py: Python<'_>) {
    objects::warn(py, "annotate", "annotations are not recorded before staso.init()");
}

/// `annotate`: a score or label on a trace named by its id, or on one span of it.
#[pyfunction]
#[pyo3(signature = (*, trace_id, name, value, data_type=None, span_id=None, comment=None))]
pub(crate) fn annotate(
    trace_id: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    data_type: Option<&Bound<'_, PyAny>>,
    span_id: Option<&Bound<'_, PyAny>>,
    comment: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = trace_id.py();
    // Nothing records, so nothing is judged either: a span that was not recorded has no ids.
    let Some(recorder) = crate::recorder::active() else {
        before_init(py);
        return Ok(());
    };
    let annotation = Annotation::check(name, value, data_type, comment)?;
    let trace = name_text(trace_id).to_string_lossy().parse::<TraceId>();
    let trace = trace.map_err(|error| PyValueError::new_err(format!("trace_id: {error}")))?;
    let span = span_id.map(|id| name_text(id).to_string_lossy().parse::<SpanId>()).transpose();
    let span = span.map_err(|error| PyValueError::new_err(format!("span_id: {error}")))?;
    annotation.append(py, recorder, &trace, span.as_ref());
    Ok(())
}
