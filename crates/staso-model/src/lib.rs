//! The nouns of Staso. Pure: no I/O, no async, no clock, no environment.
//!
//! Start at [`Span`]. [`json`] is the native wire, [`otlp`] is OpenTelemetry; both turn bytes from
//! strangers into spans and repair what can be repaired. Everything that needs a time or an id is
//! handed one by the caller.

mod annotation;
mod ids;
pub mod json;
mod kind;
pub mod otlp;
mod semconv;
mod span;
mod usage;
mod value;

pub use annotation::{Annotation, AnnotationSource, AnnotationValue};
pub use ids::{AnnotationId, IdError, ProcessId, SpanId, TraceId, parse_id};
pub use kind::{CaptureCategory, SpanKind, SpanStatus};
pub use span::{
    DroppedCounts, EntityRef, Event, INTERRUPTED_ATTRIBUTE, Link, PROVISIONAL_ATTRIBUTE, Payload,
    Repair, Resource, Scope, Span, Stage, Version,
};
pub use usage::{CacheParts, SentTotals, Usage, UsageBasis};
pub use value::{Attributes, Value, get, get_path};
