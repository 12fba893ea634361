//! The plain fields of a span that programs write: text, counts, yes or no.

use crate::record::SpanContext;

macro_rules! fields {
    ($($field:ident = $name:literal,)*) => {
        /// A plain field, and its place in [`Fields`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the wire's field of the same name")]
        pub enum Field { $($field,)* }

        impl Field {
            /// All of them, in the order of the record.
            pub const ALL: &[Self] = &[$(Self::$field,)*];

            /// The name on the wire, and in the path a redaction sees.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }
        }
    };
}

fields! {
    Model = "model",
    Provider = "provider",
    RequestedModel = "requested_model",
    ReasoningEffort = "reasoning_effort",
    AgentName = "agent_name",
    AgentId = "agent_id",
    AgentVersion = "agent_version",
    SessionId = "session_id",
    UserId = "user_id",
    UsageAvailable = "usage_available",
    InputTokens = "input_tokens",
    OutputTokens = "output_tokens",
    TotalTokens = "total_tokens",
}

impl Field {
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// Those that are text; the others follow them.
    pub(crate) const TEXTS: usize = Self::UsageAvailable as usize;

    /// What the surroundings say of this field, where it is one of theirs.
    #[must_use]
    pub fn of_context(self, context: &SpanContext) -> Option<&str> {
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

/// The objects that were assigned to fields.
#[derive(Debug)]
pub struct Fields<O>([Option<O>; Field::COUNT]);

impl<O> Default for Fields<O> {
    fn default() -> Self {
        Self([const { None }; Field::COUNT])
    }
}

impl<O> Fields<O> {
    /// What was assigned.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&O> {
        self.0[field as usize].as_ref()
    }

    /// Keeps `value`; answers the one it replaces.
    pub fn set(&mut self, field: Field, value: Option<O>) -> Option<O> {
        std::mem::replace(&mut self.0[field as usize], value)
    }

    /// Every object there is.
    pub fn iter(&self) -> impl Iterator<Item = &O> {
        self.0.iter().flatten()
    }
}
