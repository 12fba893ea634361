//! Annotations: which ones are valid, and how they are recorded after the span they speak of.

use std::borrow::Cow;

use staso_journal::RecordKind;
use staso_model::{SpanId, TraceId};

use crate::host::Host;
use crate::ids;
use crate::json::write_uuid;
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

/// What sort of value a program passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// An integer or a float, not a boolean.
    Number,
    /// A text.
    Text,
    /// Yes or no.
    Truth,
    /// Anything else.
    Other,
}

impl DataType {
    /// The type of this name; `numeric` where none is given.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Option<Self> {
        match word.unwrap_or("numeric") {
            "numeric" => Some(Self::Numeric),
            "categorical" => Some(Self::Categorical),
            "boolean" => Some(Self::Boolean),
            _ => None,
        }
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

    fn sort(self) -> (Sort, &'static str) {
        match self {
            Self::Numeric => (Sort::Number, "an int or a float"),
            Self::Categorical => (Sort::Text, "a str"),
            Self::Boolean => (Sort::Truth, "a bool"),
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
    /// Checks what the program passed: a name (with whether it is a text that says something), a value
    /// with its sort, the word for its type. `shown` shows the value and the word for a message.
    ///
    /// # Errors
    /// A message that says what to write instead.
    pub fn check(
        (name, is_named): (O, bool),
        (value, sort): (O, Sort),
        data_type: Option<DataType>,
        comment: Option<O>,
        shown: impl FnOnce(Shown) -> String,
    ) -> Result<Self, String> {
        if !is_named {
            return Err("an annotation needs a name: a str".to_owned());
        }
        let Some(data_type) = data_type else {
            let given = shown(Shown::DataType);
            return Err(format!(
                "data_type must be \"numeric\", \"categorical\" or \"boolean\", not {given}"
            ));
        };
        let (wanted, words) = data_type.sort();
        if sort != wanted {
            let (word, given) = (data_type.as_str(), shown(Shown::Value));
            return Err(format!(
                "a {word} annotation needs {words} as its value, not {given}"
            ));
        }
        Ok(Self { name, value, data_type, comment })
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
        host.pen().out.clear();
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
            let comment = host.text(comment);
            let comment = host.told(&["comment"], Cow::Owned(comment));
            host.pen().marker(&comment);
        }
        host.pen().raw(b",\"data_type\":\"");
        host.pen().raw(self.data_type.as_str().as_bytes());
        host.pen().raw(b"\",\"source\":\"sdk\"}");
        let span_id = span_id.unwrap_or(&SpanId::NIL);
        recorder.append(RecordKind::Annotation, trace_id, span_id, &host.pen().out)
    }
}

/// What a message of refusal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The value.
    Value,
    /// The word for its type.
    DataType,
}
