//! Annotations: how they are recorded, after the span they speak of.

use staso_journal::RecordKind;
use staso_model::{SpanId, TraceId};

use crate::host::Host;
use crate::ids;
use crate::json::write_uuid;
use crate::nesting::Context;
use crate::record::Entry;
use crate::recorder::Recorder;
use crate::report::Enqueued;

/// What the value of an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// A score.
    Numeric,
    /// A label.
    Categorical,
    /// Yes or no.
    Boolean,
}

impl DataType {
    /// The type of this name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Numeric, Self::Categorical, Self::Boolean]
            .into_iter()
            .find(|own| own.as_str() == word)
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Categorical => "categorical",
            Self::Boolean => "boolean",
        }
    }
}

/// A checked score or label.
#[derive(Debug)]
pub struct Annotation<O> {
    name: O,
    value: O,
    data_type: DataType,
    comment: Option<O>,
}

impl<O> Annotation<O> {
    /// `name` is a text that says something, `value` is of the type that `data_type` names; `None` where
    /// that is no type. Whether they are is for the language to see.
    pub fn new(name: O, value: O, data_type: &str, comment: Option<O>) -> Option<Self> {
        Some(Self { name, value, data_type: DataType::parse(data_type)?, comment })
    }

    /// The ids of what an annotation speaks of, from their text.
    ///
    /// # Errors
    /// A message that names the id that is none.
    pub fn place(
        trace_id: &str,
        span_id: Option<&str>,
    ) -> Result<(TraceId, Option<SpanId>), String> {
        let trace_id = trace_id.parse().map_err(|error| format!("trace_id: {error}"))?;
        let span_id = span_id.map(str::parse).transpose();
        Ok((trace_id, span_id.map_err(|error| format!("span_id: {error}"))?))
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = &O> {
        [&self.name, &self.value].into_iter().chain(&self.comment)
    }

    /// Writes the annotation with an emptied pen and hands it to the recorder.
    pub fn record<H: Host<Object = O>>(
        &self,
        host: &mut H,
        recorder: &Recorder,
        trace_id: &TraceId,
        span_id: Option<&SpanId>,
    ) -> Enqueued {
        host.pen().clear();
        host.pen().raw(b"{\"id\":");
        write_uuid(&mut host.pen().out, &ids::uuid_v4());
        if let Some(span_id) = span_id {
            host.pen().raw(b",\"span_id\":");
            write_uuid(&mut host.pen().out, &span_id.0);
        }
        host.pen().raw(b",\"name\":");
        host.value(&["name"], &self.name);
        host.pen().raw(b",\"value\":");
        host.value(&["value"], &self.value);
        if let Some(comment) = &self.comment {
            host.pen().raw(b",\"comment\":");
            let comment = host.context().text(comment);
            let comment = host.told(&["comment"], comment);
            host.pen().marker(&comment);
        }
        host.pen().raw(b",\"data_type\":\"");
        host.pen().raw(self.data_type.as_str().as_bytes());
        host.pen().raw(b"\",\"source\":\"sdk\"}");
        let span_id = span_id.unwrap_or(&SpanId::NIL);
        let json = &host.pen().out;
        recorder.append(&Entry::whole(RecordKind::Annotation, trace_id, span_id, json))
    }
}
