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
//! let client = staso_sdk::init(Config::resolve(&overrides, &|_| None)?);
//! {
//!     let mut search = staso_sdk::span("embed-query").kind(SpanKind::Retriever).start();
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

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use staso_journal::RecordKind;
use staso_model::{SpanId, SpanKind, SpanStatus, TraceId};

use crate::client::Client;
use crate::clock::{TraceClock, mono_ns};
use crate::config::{CapturePolicy, Config};
use crate::fork::process_generation;
use crate::ids;
use crate::open::OpenToken;
use crate::record::{SpanContext, SpanFields, SpanHead, write_span};

/// How long the client that another one replaces may take to deliver what it has.
const DRAIN: Duration = Duration::from_secs(5);

/// The program's client. A client that was replaced is leaked: a span may still be using it.
static CLIENT: AtomicPtr<Client> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static OPEN: RefCell<Vec<Parent>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Copy)]
struct Parent {
    trace_id: TraceId,
    span_id: SpanId,
    clock: TraceClock,
}

/// Starts recording for the whole program. The client it replaces is drained first.
pub fn init(config: Config) -> Client {
    let client = Client::start(config);
    let made = Box::into_raw(Box::new(client.clone()));
    let replaced = CLIENT.swap(made, Ordering::AcqRel);
    if let Some(replaced) = at(replaced) {
        replaced.shutdown(DRAIN);
    }
    client
}

/// The program's client, after [`init`].
#[must_use]
pub fn client() -> Option<&'static Client> {
    at(CLIENT.load(Ordering::Acquire))
}

fn at(stored: *mut Client) -> Option<&'static Client> {
    // SAFETY: null, or a box that was leaked in `init` and is never freed.
    unsafe { stored.as_ref() }
}

/// A span of this name, not begun yet. Before [`init`] it records nothing.
#[must_use]
pub fn span(name: impl Into<Arc<str>>) -> SpanBuilder {
    SpanBuilder { name: name.into(), kind: SpanKind::Chain }
}

/// A span that has not begun.
#[derive(Debug, Clone)]
pub struct SpanBuilder {
    name: Arc<str>,
    kind: SpanKind,
}

impl SpanBuilder {
    /// What sort of work it is; a chain unless said otherwise.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// Begins it, below the innermost open span of this thread.
    #[must_use = "the span ends when the guard is dropped"]
    pub fn start(self) -> SpanGuard {
        let recording = client().filter(|client| client.is_open());
        SpanGuard { open: recording.map(|client| Open::begin(client, self)), _thread: PhantomData }
    }
}

/// An open span. It ends when this is dropped; during a panic, as an error.
#[derive(Debug)]
pub struct SpanGuard {
    open: Option<Open>,
    /// The guard belongs to the thread whose current span it is.
    _thread: PhantomData<*const ()>,
}

#[derive(Debug)]
struct Open {
    client: &'static Client,
    token: OpenToken,
    generation: u32,
    head: Arc<SpanHead>,
    clock: TraceClock,
    status: SpanStatus,
    error_message: Option<String>,
    input: Option<Vec<u8>>,
    output: Option<Vec<u8>>,
    metadata: Vec<(String, Box<RawValue>)>,
}

impl SpanGuard {
    /// What went in. A value that cannot be serialised is left out.
    pub fn set_input(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        if let Some(open) = &mut self.open
            && let Ok(json) = serde_json::to_vec(value)
        {
            open.input = Some(json);
        }
        self
    }

    /// What came out. A value that cannot be serialised is left out.
    pub fn set_output(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        if let Some(open) = &mut self.open
            && let Ok(json) = serde_json::to_vec(value)
        {
            open.output = Some(json);
        }
        self
    }

    /// One entry of metadata; the same key again replaces it.
    pub fn set_metadata(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> &mut Self {
        if let Some(open) = &mut self.open
            && let Ok(json) = serde_json::value::to_raw_value(value)
        {
            open.metadata.retain(|(existing, _)| existing != key);
            open.metadata.push((key.to_owned(), json));
        }
        self
    }

    /// How it ended, if that is not simply well.
    pub fn set_status(&mut self, status: SpanStatus, description: Option<&str>) -> &mut Self {
        if let Some(open) = &mut self.open {
            open.status = status;
            open.error_message = description.map(str::to_owned);
        }
        self
    }

    /// It ended in this error.
    pub fn record_error(&mut self, error: &(impl std::error::Error + ?Sized)) -> &mut Self {
        let message = error.to_string();
        self.set_status(SpanStatus::Error, Some(&message))
    }

    /// The trace it belongs to; `None` when nothing is recorded.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.open.as_ref().map(|open| open.head.trace_id)
    }

    /// Its id; `None` when nothing is recorded.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        self.open.as_ref().map(|open| open.head.span_id)
    }
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.end();
        }
    }
}

impl Open {
    fn begin(client: &'static Client, builder: SpanBuilder) -> Self {
        let parent = OPEN.with_borrow(|open| open.last().copied());
        let clock = parent.map_or_else(TraceClock::start, |parent| parent.clock);
        let (config, start_mono_ns) = (client.config(), mono_ns());
        let context = SpanContext {
            agent_name: config.agent_name.clone(),
            agent_version: config.agent_version.clone(),
            session_id: config.session_id.clone(),
            ..SpanContext::default()
        };
        let head = Arc::new(SpanHead {
            trace_id: parent.map_or_else(ids::trace_id, |parent| parent.trace_id),
            span_id: ids::span_id(),
            parent_span_id: parent.map(|parent| parent.span_id),
            name: shown_name(config.capture, builder.kind, builder.name),
            kind: builder.kind,
            start_ns: clock.at(start_mono_ns),
            context: Arc::new(context),
            input: None,
            attributes: None,
        });
        let own = Parent { trace_id: head.trace_id, span_id: head.span_id, clock };
        OPEN.with_borrow_mut(|open| open.push(own));
        Self {
            client,
            token: client.open_span(Arc::clone(&head), start_mono_ns),
            generation: process_generation(),
            head,
            clock,
            status: SpanStatus::Ok,
            error_message: None,
            input: None,
            output: None,
            metadata: Vec::new(),
        }
    }

    fn end(mut self) {
        let end_ns = self.clock.now_ns();
        // By identity: guards may be dropped in any order.
        OPEN.with_borrow_mut(|open| open.retain(|own| own.span_id != self.head.span_id));
        // A span belongs to the process that began it.
        if self.generation != process_generation() {
            return;
        }
        if std::thread::panicking() && self.status == SpanStatus::Ok {
            self.status = SpanStatus::Error;
            self.error_message = Some("the thread panicked".to_owned());
        }
        let json = self.write(end_ns);
        self.client.close_span(self.token);
        self.client.append(RecordKind::Span, &self.head.trace_id, &self.head.span_id, &json);
    }

    fn write(&self, end_ns: i64) -> Vec<u8> {
        let (head, context) = (&*self.head, &*self.head.context);
        let capture = self.client.config().capture;
        let takes_input = match head.kind {
            SpanKind::Tool => capture.tool_arguments,
            SpanKind::Llm => capture.allows_all(),
            _ => capture.request,
        };
        let attributes = write_metadata(&self.metadata, capture);
        let fields = SpanFields {
            span_id: head.span_id,
            parent_span_id: head.parent_span_id,
            name: &head.name,
            kind: head.kind,
            start_ns: head.start_ns,
            end_ns,
            status: self.status,
            error_message: self.error_message.as_deref().filter(|_| capture.allows_all()),
            agent_name: context.agent_name.as_deref(),
            agent_version: context.agent_version.as_deref(),
            session_id: context.session_id.as_deref(),
            process_id: self.client.process_id(),
            capture,
            input: self.input.as_deref().filter(|_| takes_input),
            output: self.output.as_deref().filter(|_| capture.output),
            attributes: Some(&attributes),
            ..SpanFields::default()
        };
        let mut json = Vec::with_capacity(512);
        write_span(&mut json, &fields);
        json
    }
}

/// Names can hold what was asked; without leave to record that, only the kind is told.
fn shown_name(capture: CapturePolicy, kind: SpanKind, name: Arc<str>) -> Arc<str> {
    if capture.request || kind == SpanKind::Tool { name } else { format!("{kind} span").into() }
}

/// The metadata object; without leave to record requests, none of it.
fn write_metadata(metadata: &[(String, Box<RawValue>)], capture: CapturePolicy) -> Vec<u8> {
    let mut json = vec![b'{'];
    for (key, value) in metadata.iter().filter(|_| capture.request) {
        if json.len() > 1 {
            json.push(b',');
        }
        crate::json::write_str(&mut json, key);
        json.push(b':');
        json.extend_from_slice(value.get().as_bytes());
    }
    json.push(b'}');
    json
}
