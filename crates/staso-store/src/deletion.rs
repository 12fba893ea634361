//! Deleting: what is asked for, what becomes of it, and what keeps it from coming back.
//!
//! A deletion hides at once and is physically gone later, which [`Job`] tells. It leaves a tombstone for
//! [`TOMBSTONE_NS`]: a trace that was deleted takes nothing in until then, and what began before a user was
//! deleted and names that user is refused, or taken in [blanked](blank) where its span is there.

use std::sync::Arc;

use staso_model::{INTERRUPTED_ATTRIBUTE, PROVISIONAL_ATTRIBUTE, Span, TraceId, Value};

/// How long a deletion is remembered: 30 days.
pub const TOMBSTONE_NS: i64 = 30 * 86_400 * 1_000_000_000;

/// The name of a span whose content was deleted.
pub const BLANK_NAME: &str = "(deleted)";

/// What is to be deleted in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One trace, its annotations included; it may be one that only annotations know.
    Trace(TraceId),
    /// Every trace of which a span names this conversation.
    Session(String),
    /// A user: the traces in which a span names this user and none another, and of other traces the
    /// content of the spans that name the user, with the annotations on these.
    User(String),
}

/// A wish to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The workspace.
    pub workspace: String,
    /// What.
    pub target: Target,
    /// When it was asked for, Unix nanoseconds: dates the tombstones.
    pub at_ns: i64,
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deleted {
    /// The number to ask [`Store::job`](crate::Store::job) for. 0 where nothing was there to delete.
    pub job: u64,
    /// The traces it changed, each once, in order.
    pub touched: Vec<TraceId>,
    /// How many traces are gone as a whole.
    pub traces: u64,
    /// How many spans are gone with them.
    pub spans: u64,
    /// How many spans of other traces lost their content.
    pub blanked: u64,
}

/// How far a deletion is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub job: u64,
    /// The workspace.
    pub workspace: String,
    /// When it was asked for, Unix nanoseconds.
    pub at_ns: i64,
    /// See [`Deleted::traces`].
    pub traces: u64,
    /// See [`Deleted::spans`].
    pub spans: u64,
    /// See [`Deleted::blanked`].
    pub blanked: u64,
    /// Whether no byte of it is stored any more. Hidden it was from the beginning.
    pub is_gone: bool,
}

/// Whether a tombstone of this time still counts for what is received now.
#[must_use]
pub fn stands(tombstone_ns: i64, received_ns: i64) -> bool {
    received_ns < tombstone_ns.saturating_add(TOMBSTONE_NS)
}

/// Takes from a span what a person may have put in: texts, attributes, names of people and of
/// conversations. What stays says that work was done, of which kind, when, by which agent and model, and what
/// it used.
pub fn blank(span: &mut Span) {
    BLANK_NAME.clone_into(&mut span.name);
    span.error_message = None;
    span.input = None;
    span.output = None;
    let is_sign = |(key, value): &(String, Value)| {
        [INTERRUPTED_ATTRIBUTE, PROVISIONAL_ATTRIBUTE].contains(&key.as_str())
            && matches!(value, Value::Bool(_))
    };
    span.attributes.retain(is_sign);
    span.events.clear();
    span.links.clear();
    span.tags.clear();
    span.session_id = None;
    span.user_id = None;
    span.trace_state.clear();
    span.resource = Arc::default();
    span.scope = Arc::default();
    span.repairs.clear();
}

/// The version that takes the place of one whose content was deleted: greater than it, and than every
/// earlier one.
#[must_use]
pub fn blanked(span: &Span) -> Span {
    let mut blanked = span.clone();
    blank(&mut blanked);
    blanked.version.sequence = blanked.version.sequence.saturating_add(1);
    blanked
}

/// Whether a user's deletion takes this whole trace, by whom its spans name: `None` where the user is not
/// in it.
#[must_use]
pub fn takes_whole<'a>(spans: impl IntoIterator<Item = &'a Span>, user_id: &str) -> Option<bool> {
    let (mut is_there, mut is_alone) = (false, true);
    for named in spans.into_iter().filter_map(|span| span.user_id.as_deref()) {
        is_there |= named == user_id;
        is_alone &= named == user_id;
    }
    is_there.then_some(is_alone)
}
