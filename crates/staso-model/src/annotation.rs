//! Annotations: scores and labels that people, judges and programs attach to a trace or a span.

use serde::{Deserialize, Serialize};

use crate::ids::{AnnotationId, SpanId, TraceId};

/// One score or label. Its identity is (workspace, id); the same id again replaces nothing new.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// The tenant.
    pub workspace: String,
    /// Its own id; made by the server where the client sends none.
    pub id: AnnotationId,
    /// The trace it speaks of, known or not yet known.
    pub trace_id: TraceId,
    /// The span it speaks of; `None` for the whole trace.
    pub span_id: Option<SpanId>,
    /// What is scored: `relevance`, `user-feedback`, ...
    pub name: String,
    /// The score or label.
    pub value: AnnotationValue,
    /// Why.
    pub comment: Option<String>,
    /// Where it comes from.
    pub source: AnnotationSource,
    /// Who gave it, where known.
    pub author: Option<String>,
    /// When it was received, Unix nanoseconds.
    pub created_ns: i64,
}

/// A score or label, by its declared type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AnnotationValue {
    /// A finite number.
    Numeric(f64),
    /// A label.
    Categorical(String),
    /// Yes or no.
    Boolean(bool),
}

impl AnnotationValue {
    /// `numeric`, `categorical` or `boolean`.
    #[must_use]
    pub fn data_type(&self) -> &'static str {
        match self {
            Self::Numeric(_) => "numeric",
            Self::Categorical(_) => "categorical",
            Self::Boolean(_) => "boolean",
        }
    }
}

/// Where an annotation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationSource {
    /// The instrumented program.
    #[default]
    Sdk,
    /// A person.
    Human,
    /// A language model as judge.
    Judge,
    /// An evaluation program.
    Code,
}

impl AnnotationSource {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sdk => "sdk",
            Self::Human => "human",
            Self::Judge => "judge",
            Self::Code => "code",
        }
    }
}
