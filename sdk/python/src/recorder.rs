//! What finished records are handed to: the engine's client, or the list of a test.
//!
//! The recorder in force is one pointer that the hot path loads. A recorder is made by each `init`
//! and never freed, because spans opened under it may end at any later time; there are as many as
//! a program calls `init`.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use staso_sdk::clock::TraceClock;
use staso_sdk::record::SpanContext;
use staso_sdk::{
    CapturePolicy, Client, Enqueued, FailureKind, ProcessId, RecordKind, SpanId, TraceId, ids,
};

use crate::context::Parent;
use crate::value::Limits;

static ACTIVE: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// Where records go.
pub(crate) enum Target {
    /// To the journal and the server.
    Engine(Client),
    /// To a Python callable `(kind, trace_id, json)`: a user's own tests.
    Callable(Py<PyAny>),
}

/// Everything the hot path needs to know of the client in force.
pub(crate) struct Recorder {
    pub(crate) target: Target,
    pub(crate) limits: Limits,
    pub(crate) redact: Option<Py<PyAny>>,
    pub(crate) capture: CapturePolicy,
    /// The agent and conversation of spans that are in no other.
    pub(crate) context: Arc<SpanContext>,
    pub(crate) sample_rate: f64,
    /// Repeatable ids and times, for tests that compare whole records.
    pub(crate) fixed: Option<Fixed>,
    /// Items of a JSON object for the attributes of root spans, once they are found out. What
    /// replaces them is leaked as the recorder is: a root span may be reading them.
    root_attributes: AtomicPtr<Box<[u8]>>,
    /// The span of another process that the first root hangs under; taken once.
    first_parent: Mutex<Option<Parent>>,
    awaits_first_root: AtomicBool,
    /// How many values the redaction could not decide.
    pub(crate) redactions_failed: AtomicU64,
}

/// Ids that count up and a clock that advances by one millisecond a reading.
pub(crate) struct Fixed {
    next_id: AtomicU64,
    now_ns: AtomicI64,
}

impl Fixed {
    /// Counting from the first id at `start_ns`.
    pub(crate) fn new(start_ns: i64) -> Self {
        Self { next_id: AtomicU64::new(1), now_ns: AtomicI64::new(start_ns) }
    }

    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

impl Recorder {
    /// A recorder with nothing found out yet.
    pub(crate) fn new(
        target: Target,
        limits: Limits,
        capture: CapturePolicy,
        context: SpanContext,
    ) -> Self {
        Self {
            target,
            limits,
            redact: None,
            capture,
            context: Arc::new(context),
            sample_rate: 1.0,
            fixed: None,
            root_attributes: AtomicPtr::new(std::ptr::null_mut()),
            first_parent: Mutex::new(None),
            awaits_first_root: AtomicBool::new(false),
            redactions_failed: AtomicU64::new(0),
        }
    }

    /// Puts this recorder in force.
    pub(crate) fn install(self) -> &'static Self {
        let kept: &'static Self = Box::leak(Box::new(self));
        ACTIVE.store(std::ptr::from_ref(kept).cast_mut(), Ordering::Release);
        kept
    }

    /// The engine's client, where there is one.
    pub(crate) fn client(&self) -> Option<&Client> {
        match &self.target {
            Target::Engine(client) => Some(client),
            Target::Callable(_) => None,
        }
    }

    /// Where a span opened under this one goes at its end: after another `init`, the one in force.
    pub(crate) fn or_successor(&'static self) -> &'static Self {
        let other = active().filter(|active| !std::ptr::eq(*active, self));
        other.filter(|_| self.client().is_some_and(|client| !client.is_open())).unwrap_or(self)
    }

    /// This run of this process.
    pub(crate) fn process_id(&self) -> ProcessId {
        self.client().map_or(ProcessId::NIL, Client::process_id)
    }

    /// Hands over one record.
    pub(crate) fn append(
        &self,
        py: Python<'_>,
        kind: RecordKind,
        trace_id: &TraceId,
        span_id: &SpanId,
        json: &[u8],
    ) -> Enqueued {
        match &self.target {
            Target::Engine(client) => client.append(kind, trace_id, span_id, json),
            Target::Callable(take) => {
                let kind = if kind == RecordKind::Annotation { "annotation" } else { "span" };
                let taken = take.call1(py, (kind, trace_id.to_uuid_text(), PyBytes::new(py, json)));
                taken.map_or(Enqueued::refused(FailureKind::QueueFull), |_| Enqueued::ACCEPTED)
            }
        }
    }

    /// A new trace id.
    pub(crate) fn trace_id(&self) -> TraceId {
        match &self.fixed {
            None => ids::trace_id(),
            Some(fixed) => TraceId(u128::from(fixed.id()).to_be_bytes()),
        }
    }

    /// A new span id.
    pub(crate) fn span_id(&self) -> SpanId {
        match &self.fixed {
            None => ids::span_id(),
            Some(fixed) => SpanId::from_w3c(fixed.id().to_be_bytes()),
        }
    }

    /// Now, on the clock of a trace.
    pub(crate) fn now_ns(&self, clock: &TraceClock) -> i64 {
        match &self.fixed {
            None => clock.now_ns(),
            Some(fixed) => fixed.now_ns.fetch_add(1_000_000, Ordering::Relaxed),
        }
    }

    /// A reading of the monotonic clock, on the clock of a trace.
    pub(crate) fn at_ns(&self, clock: &TraceClock, mono_ns: u64) -> i64 {
        match &self.fixed {
            None => clock.at(mono_ns),
            Some(_) => self.now_ns(clock),
        }
    }

    /// Lets the first root of this process hang under `remote`: trace id, span id, is kept.
    pub(crate) fn await_first_root(&mut self, remote: Option<(String, String, bool)>) {
        let parent = remote.and_then(|remote| Parent::of_remote(&remote));
        self.awaits_first_root = AtomicBool::new(parent.is_some());
        self.first_parent = Mutex::new(parent);
    }

    /// The remote parent, for the first root that asks.
    #[inline]
    pub(crate) fn first_parent(&self) -> Option<Parent> {
        if !self.awaits_first_root.load(Ordering::Relaxed) {
            return None;
        }
        self.awaits_first_root.store(false, Ordering::Relaxed);
        self.first_parent.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What root spans carry in addition to their own metadata.
    pub(crate) fn root_attributes(&self) -> &[u8] {
        // SAFETY: null, or a box that was leaked below and is never freed.
        let items = unsafe { self.root_attributes.load(Ordering::Acquire).as_ref() };
        items.map_or(&[], |items| items)
    }

    /// Sets the items that root spans carry, as the inside of a JSON object.
    pub(crate) fn set_root_attributes(&self, items: &[u8]) {
        let kept = Box::into_raw(Box::new(Box::from(items)));
        self.root_attributes.store(kept, Ordering::Release);
    }
}

/// The recorder in force; `None` before `init`, after `shutdown` and where recording is off.
#[inline]
pub(crate) fn active() -> Option<&'static Recorder> {
    // SAFETY: the pointer is null or comes from `install`, which never frees what it points to.
    unsafe { ACTIVE.load(Ordering::Acquire).as_ref() }
}

/// Takes the recorder out of force if it is still this one.
pub(crate) fn retire(recorder: &'static Recorder) {
    let this = std::ptr::from_ref(recorder).cast_mut();
    let _ =
        ACTIVE.compare_exchange(this, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
}

/// Puts back a recorder that another one stood in for.
pub(crate) fn reinstate(recorder: Option<&'static Recorder>) {
    let pointer = recorder.map_or(std::ptr::null_mut(), |kept| std::ptr::from_ref(kept).cast_mut());
    ACTIVE.store(pointer, Ordering::Release);
}
