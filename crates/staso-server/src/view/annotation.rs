//! An annotation as the API shows it, and the body that makes one.

use serde::{Deserialize, Serialize};
use staso_model::AnnotationValue;
use utoipa::ToSchema;

use super::Int64;

/// One score or label on a trace or a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Annotation {
    /// Its own id, a UUID.
    pub id: String,
    /// The trace, 32 hex digits.
    pub trace_id: String,
    /// The span, where it speaks of one.
    #[schema(required = true)]
    pub span_id: Option<String>,
    /// What is scored.
    pub name: String,
    /// The score or label.
    pub value: AnnotationScore,
    /// The type of `value`.
    pub data_type: DataType,
    /// Why.
    #[schema(required = true)]
    pub comment: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// Who gave it.
    #[schema(required = true)]
    pub author: Option<String>,
    /// When it was received, Unix nanoseconds.
    pub created_ns: Int64,
}

/// A number, a label, or yes or no.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AnnotationScore {
    /// `boolean`
    Boolean(bool),
    /// `numeric`
    Numeric(f64),
    /// `categorical`
    Categorical(String),
}

/// The type of an annotation's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// A finite number.
    Numeric,
    /// A label.
    Categorical,
    /// Yes or no.
    Boolean,
}

/// Where an annotation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The instrumented program.
    Sdk,
    /// A person.
    Human,
    /// A language model as judge.
    Judge,
    /// An evaluation program.
    Code,
}

/// The annotations of one trace, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnnotationList {
    /// Every one of them.
    pub annotations: Vec<Annotation>,
}

/// What to send to make an annotation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewAnnotation {
    /// What is scored.
    pub name: String,
    /// The score or label.
    pub value: AnnotationScore,
    /// The type of `value`; inferred where it is missing.
    pub data_type: Option<DataType>,
    /// The span it speaks of; the whole trace where it is missing.
    pub span_id: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// A UUID of the sender's choice: the same id twice is one annotation.
    pub id: Option<String>,
    /// Where it comes from; `sdk` where it is missing.
    pub source: Option<Source>,
    /// Who gives it.
    pub author: Option<String>,
}

impl From<&staso_model::Annotation> for Annotation {
    fn from(note: &staso_model::Annotation) -> Self {
        let (value, data_type) = match &note.value {
            AnnotationValue::Numeric(n) => (AnnotationScore::Numeric(*n), DataType::Numeric),
            AnnotationValue::Categorical(text) => {
                (AnnotationScore::Categorical(text.clone()), DataType::Categorical)
            }
            AnnotationValue::Boolean(b) => (AnnotationScore::Boolean(*b), DataType::Boolean),
        };
        Self {
            id: note.id.to_uuid_text(),
            trace_id: note.trace_id.to_string(),
            span_id: note.span_id.map(|id| id.to_string()),
            name: note.name.clone(),
            value,
            data_type,
            comment: note.comment.clone(),
            source: note.source.into(),
            author: note.author.clone(),
            created_ns: Int64(note.created_ns),
        }
    }
}

impl From<staso_model::AnnotationSource> for Source {
    fn from(source: staso_model::AnnotationSource) -> Self {
        match source {
            staso_model::AnnotationSource::Sdk => Self::Sdk,
            staso_model::AnnotationSource::Human => Self::Human,
            staso_model::AnnotationSource::Judge => Self::Judge,
            staso_model::AnnotationSource::Code => Self::Code,
        }
    }
}

/// The annotations of a list, each in its API form.
pub(crate) fn all(notes: &[staso_model::Annotation]) -> Vec<Annotation> {
    notes.iter().map(Annotation::from).collect()
}
