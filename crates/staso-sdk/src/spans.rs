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

use std::borrow::Cow;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use smol_str::SmolStr;
use staso_model::{SpanId, SpanKind, SpanStatus, TraceId};

use crate::client::Client;
use crate::config::Config;
use crate::host::{Described, Host, Object};
use crate::life::{Life, Place};
use crate::nesting::{Context, Node};
use crate::pen::Pen;
use crate::recorder::{self, Recorder};

/// How long the client that another one replaces may take to deliver what it has.
const DRAIN: Duration = Duration::from_secs(5);

thread_local! {
    static OPEN: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// Starts recording for the whole program. The client it replaces is drained first.
pub fn init(config: &Config) -> Client {
    if let Some(replaced) = client() {
        replaced.shutdown(DRAIN);
    }
    let recorder = Recorder::start(config);
    let client = recorder.client().cloned();
    recorder.install();
    client.unwrap_or_else(|| Client::start(config.clone()))
}

/// The program's client, after [`init`].
#[must_use]
pub fn client() -> Option<&'static Client> {
    recorder::active().and_then(Recorder::client)
}

/// A span of this name, not begun yet. Before [`init`] it records nothing.
#[must_use]
pub fn span(name: impl Into<SmolStr>) -> SpanBuilder {
    SpanBuilder { name: name.into(), kind: SpanKind::Chain }
}

/// A span that has not begun.
#[derive(Debug, Clone)]
pub struct SpanBuilder {
    name: SmolStr,
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
        let mut life = Life::new(Value::Text(self.name), self.kind, None);
        let recording = recorder::in_force().filter(|r| r.client().is_some_and(Client::is_open));
        match recording {
            None => life.begin_unrecorded(),
            Some(recorder) => {
                let parent = OPEN.with_borrow(|open| open.last().copied());
                life.begin(Stack, recorder, parent, None, None);
                if let Some(own) = life.identity() {
                    OPEN.with_borrow_mut(|open| open.push(own.place));
                }
            }
        }
        SpanGuard { life, _thread: PhantomData }
    }
}

/// An open span. It ends when this is dropped; during a panic, as an error.
#[derive(Debug)]
pub struct SpanGuard {
    life: Life<Value>,
    /// The guard belongs to the thread whose current span it is.
    _thread: PhantomData<*const ()>,
}

/// What a span of a Rust program holds: values that were serialised when they were given.
#[derive(Debug, Clone)]
enum Value {
    Text(SmolStr),
    Json(Vec<u8>),
    Members(Vec<(String, Box<RawValue>)>),
}

impl SpanGuard {
    /// What went in. A value that cannot be serialised is left out.
    pub fn set_input(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        if let (Some(json), Some(held)) = (self.json(value), self.life.change()) {
            held.input = Some(json);
        }
        self
    }

    /// What came out. A value that cannot be serialised is left out.
    pub fn set_output(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        if let (Some(json), Some(held)) = (self.json(value), self.life.change()) {
            held.output = Some(json);
        }
        self
    }

    /// One entry of metadata; the same key again replaces it.
    pub fn set_metadata(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> &mut Self {
        if self.life.identity().is_some()
            && let Ok(json) = serde_json::value::to_raw_value(value)
            && let Some(held) = self.life.change()
            && let Value::Members(members) =
                held.metadata.get_or_insert_with(|| Value::Members(Vec::new()))
        {
            members.retain(|(existing, _)| existing != key);
            members.push((key.to_owned(), json));
        }
        self
    }

    /// How it ended, if that is not simply well.
    pub fn set_status(&mut self, status: SpanStatus, description: Option<&str>) -> &mut Self {
        self.life.force(status);
        if let Some(held) = self.life.change() {
            held.describe(description.map(|text| Value::Text(text.into())));
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
        self.life.identity().map(|own| own.place.trace_id)
    }

    /// Its id; `None` when nothing is recorded.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        self.life.identity().map(|own| own.place.span_id)
    }

    fn json(&self, value: &(impl Serialize + ?Sized)) -> Option<Value> {
        self.life.identity()?;
        serde_json::to_vec(value).ok().map(Value::Json)
    }
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        if let Some(span_id) = self.span_id() {
            // By identity: guards may be dropped in any order.
            OPEN.with_borrow_mut(|open| open.retain(|own| own.span_id != span_id));
        }
        if std::thread::panicking() && self.life.status == SpanStatus::Ok {
            self.set_status(SpanStatus::Error, Some("the thread panicked"));
        }
        let Some(ended) = self.life.end() else { return };
        if let Some(recorder) = ended.recorder() {
            let mut writer = Writer { pen: Pen::new(recorder.limits) };
            ended.record(&mut writer, recorder, Cow::Borrowed(self.life.name.as_text()));
        }
    }
}

impl Value {
    fn as_text(&self) -> &SmolStr {
        static EMPTY: SmolStr = SmolStr::new_static("");
        match self {
            Self::Text(text) => text,
            Self::Json(_) | Self::Members(_) => &EMPTY,
        }
    }
}

impl Object for Value {
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// Copies what was serialised into the record.
struct Writer {
    pen: Pen,
}

/// A thread's open spans are a stack of their places: guards are no entries of a variable.
#[derive(Clone, Copy)]
struct Stack;

impl Context for Stack {
    type Object = Value;

    fn current(self) -> Option<Value> {
        None
    }

    fn set(self, _entry: Option<&Value>) -> Option<Value> {
        None
    }

    fn reset(self, _token: &Value) -> bool {
        false
    }

    fn node<'o>(self, _entry: &'o Value) -> Option<&'o Node<Value>>
    where
        Self: 'o,
    {
        None
    }

    fn hold(self, object: &Value) -> Value {
        object.clone()
    }

    fn text<'o>(self, value: &'o Value) -> Cow<'o, str>
    where
        Self: 'o,
    {
        Cow::Borrowed(value.as_text())
    }
}

impl Host for Writer {
    type Object = Value;
    type Context = Stack;

    fn context(&self) -> Stack {
        Stack
    }

    fn pen(&mut self) -> &mut Pen {
        &mut self.pen
    }

    fn value(&mut self, path: &[&'static str], value: &Value) {
        match value {
            Value::Text(text) => self.pen.text(text),
            Value::Json(json) if self.pen.is_full_with(json.len()) => {
                self.pen.marker("<span too large>");
            }
            Value::Json(json) => self.pen.raw(json),
            Value::Members(_) => {
                self.pen.raw(b"{");
                self.members(path.first().copied().unwrap_or_default(), value, None, &mut true);
                self.pen.raw(b"}");
            }
        }
    }

    fn members(
        &mut self,
        _path: &'static str,
        mapping: &Value,
        tells: Option<fn(&str) -> bool>,
        is_first: &mut bool,
    ) {
        let Value::Members(members) = mapping else { return };
        for (key, value) in members.iter().filter(|(key, _)| tells.is_none_or(|tells| tells(key))) {
            self.pen.comma(is_first);
            self.pen.text(key);
            self.pen.raw(b":");
            self.pen.raw(value.get().as_bytes());
        }
    }

    fn whole(&self, _value: &Value) -> Option<i64> {
        None
    }

    fn truth(&self, _value: &Value) -> Option<bool> {
        None
    }

    fn describe(&mut self, value: &Value, _with_stack: bool) -> Described {
        Described { kind: "error".to_owned(), message: value.as_text().to_string(), stack: None }
    }

    fn redact(&mut self, _path: &[&'static str], _text: &str) -> Option<String> {
        None
    }
}
