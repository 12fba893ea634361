//! What goes in: one batch, accepted whole or not at all.

use staso_model::{Annotation, Span, TraceId};

use crate::process::ProcessSign;

/// Everything one request brings. All of it becomes durable and visible together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The workspace that the receipt belongs to; spans carry their own.
    pub workspace: String,
    /// The request's receipt, where it asks for idempotency. `None` (annotations, for example) is
    /// always applied.
    pub receipt: Option<ReceiptKey>,
    /// The answer to give again when the same batch arrives again: opaque to the store.
    pub reply: Vec<u8>,
    /// Span versions, in order of receipt. The same span may stand in it more than once.
    pub spans: Vec<Span>,
    /// Annotations, applied after the spans. The same id twice is one: the first stays.
    pub annotations: Vec<Annotation>,
    /// Signs of life of recording processes. They count in this batch's workspace and in those of
    /// its spans, and before its spans: one that its process holds open after its goodbye is
    /// closed as it comes. A provisional span is itself a sign of life of its process, in its
    /// own workspace, at the time it was received.
    pub processes: Vec<ProcessSign>,
    /// When the server received it, Unix nanoseconds: dates the receipt.
    pub received_ns: i64,
}

/// What makes two requests the same: (workspace, key, digest of the decompressed body).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReceiptKey {
    /// The `Idempotency-Key`, any text up to 200 bytes.
    pub key: String,
    /// SHA-256 of the decompressed body.
    pub digest: [u8; 32],
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is durable and visible.
    New {
        /// The traces it changed, each once, with their workspaces, in that order: those that got
        /// a newer span or an annotation, and those with an open span that a goodbye or a loss
        /// closed.
        touched: Vec<(String, TraceId)>,
        /// Whether the same key was seen before with another body: counted by the server.
        key_reused: bool,
    },
    /// The same batch was accepted before. Nothing was written; here is the reply of that time.
    Repeated {
        /// [`Batch::reply`] of the first acceptance.
        reply: Vec<u8>,
    },
}
