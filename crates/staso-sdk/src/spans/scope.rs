//! Blocks whose spans share something: a conversation, a user, or a parent in another process.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::clock::TraceClock;
use crate::ids;
use crate::life::Place;
use crate::nesting::{self, Node};
use crate::spans::here::Thread;
use crate::spans::value::Value;

/// The spans of a block belong to this conversation (the wire's `session_id`); the innermost one wins.
///
/// ```
/// let _conversation = staso_sdk::conversation("support-4711").user_id("u-17").enter();
/// staso_sdk::span("turn").start().set_output(&"hello");
/// ```
#[must_use = "a scope begins with `enter`"]
pub fn conversation(id: impl Into<String>) -> Scope {
    Scope { session_id: Some(id.into()), ..Scope::default() }
}

/// A conversation of which only this program knows: its id is a fresh UUID.
///
/// ```
/// let conversation = staso_sdk::new_conversation();
/// assert_eq!(conversation.session_id().map(str::len), Some(36));
/// let _within = conversation.enter();
/// ```
#[must_use = "a scope begins with `enter`"]
pub fn new_conversation() -> Scope {
    conversation(ids::uuid_text())
}

/// What the spans of a block will share, once it is entered.
///
/// ```
/// let scope = staso_sdk::conversation("c").user_id("u");
/// assert_eq!(scope.session_id(), Some("c"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub(crate) session_id: Option<String>,
    pub(crate) user_id: Option<String>,
    /// Trace, span, and whether they are kept.
    pub(crate) remote: Option<Remote>,
}

/// A span of another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) trace_id: staso_model::TraceId,
    pub(crate) span_id: staso_model::SpanId,
    pub(crate) is_kept: bool,
}

impl Remote {
    /// A place under it, on a clock of this process.
    pub(crate) fn place(self) -> Place {
        let Self { trace_id, span_id, is_kept } = self;
        Place { trace_id, span_id, clock: TraceClock::start(), is_kept }
    }
}

impl Scope {
    /// The end user.
    ///
    /// ```
    /// let _within = staso_sdk::conversation("c").user_id("u-17").enter();
    /// ```
    #[must_use = "a scope begins with `enter`"]
    pub fn user_id(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// The conversation, where this is or names one.
    ///
    /// ```
    /// assert_eq!(staso_sdk::conversation("c").session_id(), Some("c"));
    /// ```
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// Begins it on this thread; it ends when the guard is dropped. Where nothing records, nothing happens.
    ///
    /// ```
    /// {
    ///     let _within = staso_sdk::conversation("c").enter();
    ///     drop(staso_sdk::span("belongs to c").start());
    /// }
    /// drop(staso_sdk::span("belongs to none").start());
    /// ```
    #[must_use = "the scope ends when the guard is dropped"]
    pub fn enter(&self) -> ScopeGuard {
        let remote = self.remote.map(Remote::place);
        let shared = (self.session_id.as_deref(), self.user_id.as_deref());
        let entry = Node::scope(Thread, shared, remote).map(Arc::new);
        if let Some(node) = &entry {
            nesting::enter(Thread, &Value::Entry(Arc::clone(node)), node);
        }
        ScopeGuard { entry, _thread: PhantomData }
    }
}

/// A scope that is entered. It ends when this is dropped.
///
/// ```
/// let guard: staso_sdk::ScopeGuard = staso_sdk::conversation("c").enter();
/// drop(guard);
/// ```
#[derive(Debug)]
pub struct ScopeGuard {
    entry: Option<Arc<Node<Value>>>,
    /// The guard belongs to the thread whose spans it is about.
    _thread: PhantomData<*const ()>,
}

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        if let Some(node) = &self.entry {
            nesting::exit(Thread, &Value::Entry(Arc::clone(node)), node);
        }
    }
}
