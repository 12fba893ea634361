//! The plain writable fields of a span, kept as the Python objects that were assigned.

use pyo3::prelude::*;
use pyo3::types::PyString;
use staso_sdk::record::SpanContext;

/// A plain field, and its place in [`Fields`].
#[derive(Clone, Copy)]
pub(crate) enum Field {
    Model,
    Provider,
    RequestedModel,
    ReasoningEffort,
    UsageAvailable,
    InputTokens,
    OutputTokens,
    TotalTokens,
    AgentName,
    AgentId,
    AgentVersion,
    SessionId,
    UserId,
}

impl Field {
    const COUNT: usize = Self::UserId as usize + 1;

    /// The field's name on the wire, and in the path a redaction sees.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Provider => "provider",
            Self::RequestedModel => "requested_model",
            Self::ReasoningEffort => "reasoning_effort",
            Self::UsageAvailable => "usage_available",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::TotalTokens => "total_tokens",
            Self::AgentName => "agent_name",
            Self::AgentId => "agent_id",
            Self::AgentVersion => "agent_version",
            Self::SessionId => "session_id",
            Self::UserId => "user_id",
        }
    }

    /// What the surroundings say of this field, where it is one of theirs.
    pub(crate) fn of_context(self, context: &SpanContext) -> Option<&str> {
        match self {
            Self::AgentName => context.agent_name.as_deref(),
            Self::AgentId => context.agent_id.as_deref(),
            Self::AgentVersion => context.agent_version.as_deref(),
            Self::SessionId => context.session_id.as_deref(),
            Self::UserId => context.user_id.as_deref(),
            _ => None,
        }
    }
}

/// The values of the fields that were assigned.
#[derive(Default)]
pub(crate) struct Fields([Option<Py<PyAny>>; Field::COUNT]);

impl Fields {
    /// The object that was assigned.
    pub(crate) fn get(&self, py: Python<'_>, field: Field) -> Option<Py<PyAny>> {
        self.0[field as usize].as_ref().map(|value| value.clone_ref(py))
    }

    /// Keeps `value`; answers the one it replaces.
    pub(crate) fn set(&mut self, field: Field, value: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        std::mem::replace(&mut self.0[field as usize], value)
    }

    /// The assigned value as text: as it is, or by `str()`.
    pub(crate) fn text<'py>(&self, py: Python<'py>, field: Field) -> Option<Bound<'py, PyString>> {
        self.0[field as usize].as_ref().map(|value| crate::words::name_text(value.bind(py)))
    }

    /// The assigned value as a count; `None` for what is no whole number that 64 bits hold.
    pub(crate) fn count(&self, py: Python<'_>, field: Field) -> Option<i64> {
        let value = self.0[field as usize].as_ref()?.bind(py);
        value.extract::<i64>().ok().or_else(|| {
            let number = value.extract::<f64>().ok()?;
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
            (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
        })
    }

    /// The assigned value as yes or no.
    pub(crate) fn truth(&self, py: Python<'_>, field: Field) -> Option<bool> {
        self.0[field as usize].as_ref()?.bind(py).is_truthy().ok()
    }
}
