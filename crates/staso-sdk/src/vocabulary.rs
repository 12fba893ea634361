//! The closed vocabularies as programs write them: what a word may be, and what is said to one that is none.

use staso_model::{SpanKind, SpanStatus};

/// Words that a program chooses from.
pub trait Vocabulary: Copy {
    /// What a word of it has to be, as the beginning of a message.
    const WANTED: &'static str;

    /// The word, in whatever letters it is written; `None` for another one.
    fn of(word: &str) -> Option<Self>;
}

impl Vocabulary for SpanKind {
    const WANTED: &'static str = "kind must be one of \"llm\", \"tool\", \"chain\", \"retriever\", \"agent\", \
                                  \"custom\" (or a SpanKind)";

    fn of(word: &str) -> Option<Self> {
        Self::parse(word)
    }
}

impl Vocabulary for SpanStatus {
    const WANTED: &'static str =
        "status must be one of \"ok\", \"error\", \"timeout\" (or a SpanStatus)";

    fn of(word: &str) -> Option<Self> {
        Self::parse(word).filter(|status| *status != Self::Unset)
    }
}
