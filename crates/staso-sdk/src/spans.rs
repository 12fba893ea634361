//! Recording from Rust: `span("name").start()` gives a guard, and its end is the span's end.
//!
//! ```
//! use staso_sdk::{Config, JournalChoice, Overrides, SpanKind};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let overrides = Overrides {
//! #     journal: Some(JournalChoice::At(dir.path().to_owned())),
//! #     ..Overrides::default()
//! # };
//! let client = staso_sdk::init(&Config::resolve(&overrides, &|_| None)?);
//! {
//!     let search = staso_sdk::span("embed-query").kind(SpanKind::Retriever).start();
//!     search.set_input(&"what is a span?");
//!     let hits = vec![1, 2, 3];
//!     search.set_metadata("hit_count", &hits.len());
//!     search.set_output(&hits);
//! } // recorded here, also when a panic leaves the block
//! let report = client.flush(std::time::Duration::from_secs(5));
//! assert_eq!(report.accepted, 1);
//! # Ok(())
//! # }
//! ```
//!
//! A span is an entry in the engine's nesting, as in every other language: guards may be dropped in any
//! order and in any place, and at worst a later span gets another parent.

#[cfg(feature = "macros")]
pub mod attribute;
mod commit;
pub(crate) mod fields;
pub(crate) mod future;
mod here;
#[cfg(feature = "tracing")]
pub(crate) mod layer;
mod redaction;
mod reuse;
pub(crate) mod scope;
mod value;
pub(crate) mod w3c;

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use smol_str::SmolStr;
use staso_model::{SpanKind, SpanStatus};

use crate::client::Client;
use crate::config::Config;
use crate::held::Held;
use crate::host::Described;
use crate::ids;
use crate::nesting::{self, Node};
use crate::recorder::{self, Recorder};
use crate::report::{DeliveryReport, Enqueued, FailureKind};
use crate::template::Template;
use here::{Here, Thread};
use redaction::Redaction;
use value::{Value, Writer};

/// How long the client that another one replaces may take to deliver what it has.
const DRAIN: Duration = Duration::from_secs(5);

/// Starts recording for the whole program. The client it replaces is drained first.
///
/// ```no_run
/// use staso_sdk::{Config, Overrides};
///
/// let overrides = Overrides { agent_name: Some("support".to_owned()), ..Overrides::default() };
/// let config = Config::resolve(&overrides, &|name| std::env::var(name).ok())?;
/// let client = staso_sdk::init(&config);
/// // …
/// client.shutdown(std::time::Duration::from_secs(2));
/// # Ok::<(), staso_sdk::ConfigError>(())
/// ```
pub fn init(config: &Config) -> Client {
    install(config, None)
}

/// Like [`init`], with a redaction: a closure that is shown the place and the text of everything a span
/// says, keys and names included, before it reaches the journal. It answers what is to stand there, or
/// `None` where the text may be told. A number is shown as its digits. If the closure panics, the text is
/// hidden and `redactions_failed` counts it.
///
/// ```no_run
/// # let config = staso_sdk::Config::resolve(&Default::default(), &|_| None)?;
/// staso_sdk::init_with_redaction(&config, |path, text| {
///     let is_secret = path.last() == Some(&"password") || text.starts_with("sk-");
///     is_secret.then(|| "[hidden]".to_owned())
/// });
/// # Ok::<(), staso_sdk::ConfigError>(())
/// ```
pub fn init_with_redaction(
    config: &Config,
    redact: impl Fn(&[&str], &str) -> Option<String> + Send + Sync + 'static,
) -> Client {
    install(config, Some(Redaction::new(redact)))
}

fn install(config: &Config, redaction: Option<Redaction>) -> Client {
    if let Some(replaced) = client() {
        replaced.shutdown(DRAIN);
    }
    // The parent of the process's first root, which the first client of the process records.
    static IS_FIRST: AtomicBool = AtomicBool::new(true);
    let parent = config.traceparent.as_deref().and_then(w3c::place_of);
    let parent = parent.filter(|_| config.enabled && IS_FIRST.swap(false, Ordering::Relaxed));
    let recorder = Recorder::start(config, redaction).with_first_parent(parent);
    let client = recorder.client().cloned();
    let recorder = recorder.install();
    if config.enabled && config.capture_git {
        commit::carry(recorder, config.vcs.clone());
    }
    client.unwrap_or_else(|| Client::start(config.clone()))
}

/// The program's client, after [`init`].
///
/// ```
/// assert!(staso_sdk::client().is_none());
/// ```
#[must_use]
pub fn client() -> Option<&'static Client> {
    recorder::active().and_then(Recorder::client)
}

/// Delivers what it can within `timeout` and stops recording; what is left stays in the journal.
///
/// ```
/// let report = staso_sdk::shutdown(std::time::Duration::from_secs(2));
/// assert!(report.ok(true));
/// ```
pub fn shutdown(timeout: Duration) -> DeliveryReport {
    let Some(recorder) = recorder::active() else { return DeliveryReport::disabled() };
    let report = recorder.client().map(|client| client.shutdown(timeout));
    recorder::retire(recorder);
    report.unwrap_or_default()
}

/// A span of this name, not begun yet. Before [`init`] it records nothing.
///
/// ```
/// let span = staso_sdk::span("embed-query").kind(staso_sdk::SpanKind::Retriever).start();
/// ```
#[must_use = "a span begins with `start`"]
pub fn span(name: impl Into<SmolStr>) -> SpanBuilder {
    SpanBuilder { name: name.into(), kind: SpanKind::Chain, agent: None }
}

/// A handle on the innermost open span of this thread or task. Where there is none, what is said to the
/// handle goes nowhere.
///
/// ```
/// staso_sdk::current().set_metadata("cache", &"hit");
/// assert!(!staso_sdk::current().is_recording()); // no span is open here
/// ```
#[must_use]
pub fn current() -> Span {
    let innermost = nesting::innermost(Thread);
    let found = nesting::span_at(Thread, innermost.as_ref());
    Span { entry: found }
}

/// Makes `work` run where we are now, in whatever thread it is called.
///
/// ```
/// let _span = staso_sdk::span("parent").start();
/// let work = staso_sdk::bind(|| drop(staso_sdk::span("child").start()));
/// std::thread::spawn(work).join().unwrap();
/// ```
#[must_use = "the work is done when it is called"]
pub fn bind<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let mut here = Here::copied();
    move || here.run(work)
}

/// A span that has not begun.
///
/// ```
/// let builder: staso_sdk::SpanBuilder = staso_sdk::span("plan");
/// drop(builder.start());
/// ```
#[derive(Debug, Clone)]
pub struct SpanBuilder {
    name: SmolStr,
    kind: SpanKind,
    agent: Option<SmolStr>,
}

impl SpanBuilder {
    /// What sort of work it is; a chain unless said otherwise.
    ///
    /// ```
    /// drop(staso_sdk::span("search").kind(staso_sdk::SpanKind::Tool).start());
    /// ```
    #[must_use = "a span begins with `start`"]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// The span and everything within belong to this agent, unless they name another.
    ///
    /// ```
    /// let turn = staso_sdk::span("turn").kind(staso_sdk::SpanKind::Agent).agent("support").start();
    /// drop(staso_sdk::span("the agent's").start());
    /// ```
    #[must_use = "a span begins with `start`"]
    pub fn agent(mut self, name: impl Into<SmolStr>) -> Self {
        self.agent = Some(name.into());
        self
    }

    /// Begins it, below the innermost open span of this thread, and makes it the innermost.
    ///
    /// ```
    /// let outer = staso_sdk::span("outer").start();
    /// let inner = staso_sdk::span("inner").start(); // a child of `outer`
    /// ```
    #[must_use = "the span ends when the guard is dropped"]
    #[inline]
    pub fn start(self) -> SpanGuard {
        let was_panicking = std::thread::panicking();
        SpanGuard { span: self.begin(), was_panicking, _thread: PhantomData }
    }

    /// Begins it, below the innermost open span of this thread, without making it the innermost: for work
    /// that moves between threads. See [`DetachedSpan`].
    ///
    /// ```
    /// let mut span = staso_sdk::span("job").detach();
    /// span.in_scope(|| drop(staso_sdk::span("a part of the job").start()));
    /// ```
    #[must_use = "the span ends when this is dropped"]
    pub fn detach(self) -> DetachedSpan {
        self.detach_at(Here::copied())
    }

    fn detach_at(self, mut here: Here) -> DetachedSpan {
        let was_panicking = std::thread::panicking();
        let span = here.run(|| self.begin());
        DetachedSpan { span, here, was_panicking }
    }

    #[inline]
    fn begin(self) -> Span {
        let is_recording = recorder::active()
            .is_some_and(|recorder| recorder.client().is_none_or(Client::is_open));
        if !is_recording {
            return Span { entry: None };
        }
        let held = self.agent.map(|name| Held::planned(agent_template(&name), None));
        let node = reuse::node(Value::Text(self.name), self.kind, held);
        let span = Span { entry: Some(Value::Entry(node)) };
        if let (Some(entry), Some(node)) = (&span.entry, span.node()) {
            nesting::start(Thread, entry, node, Writer::new);
        }
        span
    }
}

/// What makes an agent of a span.
#[cold]
fn agent_template(name: &str) -> Arc<Template<Value>> {
    let agent = (name.to_owned(), ids::agent_id(name));
    Arc::new(Template::new(Value::Members(Vec::new()), Some(agent)))
}

/// A handle on a span, cheap to clone, to be used from any thread. What is set after the span has ended is
/// left out; dropping a handle ends nothing.
///
/// ```
/// let guard = staso_sdk::span("call").start();
/// let handle: staso_sdk::Span = guard.clone();
/// handle.set_output(&"done");
/// ```
#[derive(Debug, Clone)]
pub struct Span {
    /// The span as an entry of a context; `None` where nothing records.
    entry: Option<Value>,
}

impl Span {
    /// Ends it now, instead of when its guard is dropped; twice is harmless.
    ///
    /// ```
    /// let span = staso_sdk::span("short").start();
    /// assert!(!span.end().accepted); // before `init` nothing is recorded
    /// ```
    pub fn end(&self) -> Enqueued {
        self.close(false)
    }

    #[inline]
    fn close(&self, is_panic: bool) -> Enqueued {
        let (Some(entry), Some(node)) = (&self.entry, self.node()) else {
            return Enqueued::refused(FailureKind::Disabled);
        };
        nesting::close(Thread, entry, node, is_panic.then(panicked), Writer::new)
    }

    #[inline]
    fn node(&self) -> Option<&Node<Value>> {
        self.entry.as_ref()?.entry().map(|node| &**node)
    }
}

#[cold]
fn panicked() -> (Value, SpanStatus) {
    let message = "the thread panicked".to_owned();
    let described = Described { kind: "panic".to_owned(), message, stack: None };
    (Value::Error(Arc::new(described)), SpanStatus::Error)
}

/// An open span that is the innermost one of its thread. It ends when this is dropped; during a panic, as an
/// error. It stays on its thread: for work that moves, see [`SpanBuilder::detach`] and
/// [`Instrument`](crate::Instrument).
///
/// ```
/// let span: staso_sdk::SpanGuard = staso_sdk::span("step").start();
/// span.set_output(&42);
/// drop(span);
/// ```
///
/// ```compile_fail
/// let span = staso_sdk::span("step").start();
/// std::thread::spawn(move || drop(span));
/// ```
#[derive(Debug)]
pub struct SpanGuard {
    span: Span,
    /// A span that is begun by a destructor, while a panic unwinds, does not fail by that panic.
    was_panicking: bool,
    /// The guard belongs to the thread whose current span it is.
    _thread: PhantomData<*const ()>,
}

impl Deref for SpanGuard {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

impl Drop for SpanGuard {
    #[inline]
    fn drop(&mut self) {
        self.span.close(!self.was_panicking && std::thread::panicking());
        if let Some(node) = self.span.entry.take().and_then(Value::into_entry) {
            reuse::keep(node);
        }
    }
}

/// An open span that is current only where it is asked to be. It ends when this is dropped, on whatever
/// thread that is.
///
/// ```
/// let mut span: staso_sdk::DetachedSpan = staso_sdk::span("job").detach();
/// std::thread::spawn(move || {
///     span.in_scope(|| drop(staso_sdk::span("part").start()));
///     span.set_output(&"done");
/// })
/// .join()
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct DetachedSpan {
    span: Span,
    /// The context in which it is the innermost, and what was opened within stays.
    here: Here,
    was_panicking: bool,
}

impl DetachedSpan {
    /// Runs `work` with this span as the innermost one.
    ///
    /// ```
    /// let mut span = staso_sdk::span("job").detach();
    /// assert_eq!(span.in_scope(|| 6 * 7), 42);
    /// ```
    pub fn in_scope<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.here.run(work)
    }

    fn close(&mut self, is_panic: bool) -> Enqueued {
        let span = &self.span;
        self.here.run(|| span.close(is_panic))
    }
}

impl Deref for DetachedSpan {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

impl Drop for DetachedSpan {
    fn drop(&mut self) {
        self.close(!self.was_panicking && std::thread::panicking());
    }
}

impl From<SpanBuilder> for DetachedSpan {
    fn from(builder: SpanBuilder) -> Self {
        builder.detach()
    }
}
