//! Annotations on the native wire: alone (`POST /v1/traces/{id}/annotations`) and within a batch.
//!
//! Alone, a wrong type is an error for the caller to see. Within a batch it is mended, so that one
//! score never costs the spans around it.

use std::cell::Cell;
use std::rc::Rc;

use super::error::{AnnotationError, DecodeError};
use super::fields::RawAnnotation;
use super::mender::Mender;
use super::scan::scan;
use super::value;
use super::walk::{Raw, is_object, is_string, trim};
use super::{Limits, text::Mends};
use crate::annotation::{Annotation, AnnotationSource, AnnotationValue};
use crate::ids::{AnnotationId, SpanId, TraceId};
use crate::value::Value;

/// What an annotation takes from outside.
#[derive(Debug, Clone, Copy)]
pub struct AnnotationContext<'a> {
    /// The tenant.
    pub workspace: &'a str,
    /// The trace of the address.
    pub trace_id: TraceId,
    /// The id of an annotation that brings none.
    pub fallback_id: AnnotationId,
    /// When it arrived, Unix nanoseconds.
    pub received_ns: i64,
    /// The limits on text and nesting.
    pub limits: Limits,
}

/// Decodes the body of one annotation.
///
/// # Errors
/// [`AnnotationError`] where the body is not a JSON object, or a field is missing or of the wrong
/// type. An unknown `data_type` is no error: the type is inferred from the value.
pub fn decode_annotation(
    body: &[u8],
    ctx: &AnnotationContext<'_>,
) -> Result<Annotation, AnnotationError> {
    scan(body).map_err(|fault| DecodeError::not_json(body, fault))?;
    let raw = trim(body);
    if !is_object(raw) {
        return Err(AnnotationError::NotAnObject);
    }
    let raw = RawAnnotation::read(raw);
    let mut mender = Mender::new(ctx.limits, Rc::new(Cell::new(ctx.limits.max_values)));
    let name = mender.label("name", raw.name).ok_or(invalid("name", "wants a text"))?;
    let value = typed_value(&raw, &mut mender)?;
    if let Some(source) = raw.source.filter(|source| *source != b"null")
        && source_word(Some(source), &mut mender).is_none()
    {
        return Err(invalid("source", "wants sdk, human, judge or code"));
    }
    Ok(build(&raw, name, value, ctx, &mut mender))
}

/// Decodes one element of a trace's `annotations`; `None` (and a mark) where nothing is scored.
pub(super) fn decode_in_batch(
    raw: Raw<'_>,
    ctx: &AnnotationContext<'_>,
    mender: &mut Mender,
) -> Option<Annotation> {
    let raw = RawAnnotation::read(raw);
    let name = mender.label("annotations.name", raw.name).unwrap_or_else(|| {
        mender.mark("annotations.name", "missing: now unnamed");
        "unnamed".to_owned()
    });
    let value = match typed_value(&raw, mender) {
        Ok(value) => value,
        Err(_) => {
            let Some(value) = raw.value.and_then(|raw| inferred(raw, mender)) else {
                mender.mark("annotations.value", "missing, or not a score: ignored");
                return None;
            };
            mender.mark("annotations.data_type", "not the type of the value: the value's is used");
            value
        }
    };
    Some(build(&raw, name, value, ctx, mender))
}

fn build(
    raw: &RawAnnotation<'_>,
    name: String,
    value: AnnotationValue,
    ctx: &AnnotationContext<'_>,
    mender: &mut Mender,
) -> Annotation {
    let id = mender.label("annotations.id", raw.id);
    let span = mender.label("annotations.span_id", raw.span_id);
    Annotation {
        workspace: ctx.workspace.to_owned(),
        id: id.map_or(ctx.fallback_id, |text| {
            let foreign = || AnnotationId(SpanId::from_foreign_text(&ctx.trace_id, &text).0);
            text.parse().unwrap_or_else(|_| foreign())
        }),
        trace_id: ctx.trace_id,
        span_id: span
            .map(|text| {
                text.parse().unwrap_or_else(|_| SpanId::from_foreign_text(&ctx.trace_id, &text))
            })
            .filter(|id| !id.is_nil()),
        name,
        value,
        comment: mender
            .long_text("annotations.comment", raw.comment)
            .filter(|text| !text.is_empty()),
        source: source_word(raw.source, mender).unwrap_or_default(),
        author: mender.label("annotations.author", raw.author),
        // Nobody scores in the future; views show the latest.
        created_ns: mender
            .integer("annotations.created_ns", raw.created_ns)
            .map_or(ctx.received_ns, |created| created.min(ctx.received_ns)),
    }
}

fn source_word(raw: Option<Raw<'_>>, mender: &mut Mender) -> Option<AnnotationSource> {
    let text = mender.label("annotations.source", raw)?;
    [
        AnnotationSource::Sdk,
        AnnotationSource::Human,
        AnnotationSource::Judge,
        AnnotationSource::Code,
    ]
    .into_iter()
    .find(|source| source.as_str().eq_ignore_ascii_case(&text))
}

/// The value by its declared type; by its own where none is declared, or an unknown one.
fn typed_value(
    raw: &RawAnnotation<'_>,
    mender: &mut Mender,
) -> Result<AnnotationValue, AnnotationError> {
    let value = raw
        .value
        .and_then(|raw| inferred(raw, mender))
        .ok_or(invalid("value", "wants a number, a text, or true or false"))?;
    let declared = mender.label("annotations.data_type", raw.data_type).unwrap_or_default();
    let problem = match declared.to_ascii_lowercase().as_str() {
        "numeric" => "is numeric: wants a finite number",
        "categorical" => "is categorical: wants a text",
        "boolean" => "is boolean: wants true or false",
        _ => return Ok(value),
    };
    if declared.eq_ignore_ascii_case(value.data_type()) {
        Ok(value)
    } else {
        Err(invalid("value", problem))
    }
}

fn inferred(raw: Raw<'_>, mender: &mut Mender) -> Option<AnnotationValue> {
    if is_string(raw) {
        return mender.long_text("annotations.value", Some(raw)).map(AnnotationValue::Categorical);
    }
    match value::read(raw, 0, &mut Mends::default()) {
        Value::Bool(b) => Some(AnnotationValue::Boolean(b)),
        Value::Double(x) => Some(AnnotationValue::Numeric(x)),
        #[expect(clippy::cast_precision_loss, reason = "a score is a double by contract")]
        Value::Int(n) => Some(AnnotationValue::Numeric(n as f64)),
        // A number of more digits than 64 bits is still a score.
        Value::String(text) => {
            text.parse().ok().filter(|x: &f64| x.is_finite()).map(AnnotationValue::Numeric)
        }
        _ => None,
    }
}

fn invalid(field: &'static str, problem: &'static str) -> AnnotationError {
    AnnotationError::Invalid { field, problem }
}
