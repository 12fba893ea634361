//! Retention: how long a workspace keeps what it has, and how much of it.
//!
//! What is too old goes as whole traces. A trace stays while any span of it is open, began after the
//! bound, or was written to after it: what is filled in late does not die on arrival, and a trace that
//! began before the bound and still runs stays whole. Unlike a deletion it leaves no tombstone: what comes
//! late of a trace that went is a trace again, until it is too old itself.

use staso_model::Span;

/// What a workspace may keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The workspace.
    pub workspace: String,
    /// Traces whose every span began and was received before this time go, Unix nanoseconds; `None`:
    /// none goes for its age.
    pub before_ns: Option<i64>,
    /// About how many bytes may be stored. Above that the traces that began first go, whenever they were
    /// received. An engine may judge by whole files. `None`: none goes for its size.
    pub max_bytes: Option<u64>,
}

/// What retention took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Traces.
    pub traces: u64,
    /// Their spans, newest versions only.
    pub spans: u64,
    /// Bytes of the files that went with them as a whole, about.
    pub bytes: u64,
}

/// Which spans are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Age {
    /// Those that began and were received before this.
    pub before_ns: Option<i64>,
    /// Those that began no later than this, whenever they were received.
    pub through_ns: Option<i64>,
}

impl Age {
    /// Whether a span of these times is old.
    #[must_use]
    pub fn is_old(&self, start_ns: i64, received_ns: i64) -> bool {
        self.before_ns.is_some_and(|before| start_ns < before && received_ns < before)
            || self.through_ns.is_some_and(|through| start_ns <= through)
    }

    /// Whether a span lets its trace go.
    #[must_use]
    pub fn lets_go(&self, span: &Span) -> bool {
        !span.is_open() && self.is_old(span.start_ns, span.version.received_ns)
    }

    /// The latest start of any span that may be old; `None` where none is.
    #[must_use]
    pub fn latest_ns(&self) -> Option<i64> {
        self.before_ns.map(|before| before.saturating_sub(1)).max(self.through_ns)
    }
}
