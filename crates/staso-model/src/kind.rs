//! What a span is and how it ended: the closed vocabularies.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every word, in declared order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word, lower case, as it stands on every wire and screen.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads the word in any letter case; `None` for another.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str().eq_ignore_ascii_case(text))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The six kinds of work a span can stand for.
    SpanKind {
        /// A call to a language model.
        Llm = "llm",
        /// A tool the agent called.
        Tool = "tool",
        /// A step that groups others; the default.
        Chain = "chain",
        /// A look-up of context.
        Retriever = "retriever",
        /// An agent's turn.
        Agent = "agent",
        /// Anything else.
        Custom = "custom",
    }
}

words! {
    /// How a span ended. `Unset` is OpenTelemetry's "nobody said"; screens show it as ok.
    SpanStatus {
        /// Nobody set a status; not an error.
        Unset = "unset",
        /// Ended well.
        Ok = "ok",
        /// Ended in an error.
        Error = "error",
        /// Ran out of time; counted as an error.
        Timeout = "timeout",
    }
}

impl SpanStatus {
    /// Whether this counts as an error in every rollup.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(self, Self::Error | Self::Timeout)
    }

    /// The three words a person sees: `Unset` is shown as `ok`.
    #[must_use]
    pub fn shown(self) -> Self {
        if self == Self::Unset { Self::Ok } else { self }
    }
}

words! {
    /// The five categories of content a client can keep to itself (privacy).
    CaptureCategory {
        /// What the caller asked.
        Request = "request",
        /// The system prompt.
        SystemPrompt = "system_prompt",
        /// The tools offered to a model.
        ToolSchema = "tool_schema",
        /// What tools were called with.
        ToolArguments = "tool_arguments",
        /// What came back.
        Output = "output",
    }
}
