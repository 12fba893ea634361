//! The recorder: what the hot path needs to know of the client in force.
//!
//! The recorder in force is one pointer. A recorder is made by each `init` and never freed, because
//! spans opened under it may end at any later time; there are as many as a program calls `init`.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use staso_journal::{RecordKind, Stamp};
use staso_model::{ProcessId, SpanId, TraceId};

use crate::client::Client;
use crate::clock::TraceClock;
use crate::config::{CapturePolicy, Config};
use crate::ids;
use crate::life::Place;
use crate::pen::Limits;
use crate::record::{Around, Entry, SpanContext, Surroundings, stamp};
use crate::report::{DeliveryReport, Enqueued, FailureKind, Stats};

static ACTIVE: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// Longer surroundings do not fit into the head of a journal's segment.
const HOME_MAX_BYTES: usize = 4 << 10;

/// Takes one record in place of a client, for a user's own tests; false when it could not.
pub type List = dyn Fn(RecordKind, &TraceId, &[u8]) -> bool + Send + Sync;

enum Target {
    /// To the journal and the server.
    Client(Client),
    /// To somebody's list, with what its records say besides themselves.
    List(Box<List>, Stamp),
}

/// A client in force, and what its spans share.
pub struct Recorder {
    target: Target,
    /// The bounds of one record.
    pub limits: Limits,
    /// Which content is recorded.
    pub capture: CapturePolicy,
    /// The agent and conversation of spans that are in no other.
    pub surroundings: Surroundings,
    /// Whether the client says for its spans that they are in those.
    says_home: bool,
    redactions_failed: AtomicU64,
    annotations_left_out: AtomicU64,
    /// Spans that ended in a forked child of the process that began them.
    ended_in_child: AtomicU64,
    sample_rate: f64,
    /// The binding's redaction; its presence is what the engine looks at.
    redaction: Option<Box<dyn Any + Send + Sync>>,
    /// Repeatable ids and times, for tests that compare whole records.
    fixed: Option<Fixed>,
    /// Items of a JSON object for the attributes of root spans, once they are found out. What
    /// replaces them is leaked as the recorder is: a root span may be reading them.
    root_attributes: AtomicPtr<Box<[u8]>>,
    /// The span of another process that the first root hangs under; taken once.
    first_parent: Mutex<Option<Place>>,
    awaits_first_root: AtomicBool,
}

/// Ids that count up and a clock that advances by one millisecond a reading.
struct Fixed {
    next_id: AtomicU64,
    now_ns: AtomicI64,
}

impl Recorder {
    /// Starts a client by these settings and a recorder for it. Every value passes the binding's redaction,
    /// where there is one; it is handed back by [`Recorder::redaction`].
    #[must_use]
    pub fn start(config: &Config, redaction: Option<impl Any + Send + Sync>) -> Self {
        let limits =
            Limits { value_bytes: config.max_value_bytes, span_bytes: config.max_span_bytes };
        let context = SpanContext {
            agent_name: config.agent_name.clone(),
            agent_id: config.agent_name.as_deref().map(ids::agent_id),
            agent_version: config.agent_version.clone(),
            session_id: config.session_id.clone(),
            user_id: None,
        };
        let surroundings = Surroundings::new(context, limits.value_bytes);
        // What has to pass a redaction is told by each span; so is what is too long for the head of a file.
        let home = surroundings.json();
        let says_home = redaction.is_none() && home.len() <= HOME_MAX_BYTES;
        let client = Client::start_at(config.clone(), if says_home { home } else { b"" });
        let target = Target::Client(client);
        let made = Self::new(target, limits, config.capture, surroundings, config.sample_rate);
        Self { says_home, ..made }.with_redaction(redaction)
    }

    /// A recorder that hands every record to `list`.
    #[must_use]
    pub fn to_list(list: Box<List>) -> Self {
        let process = stamp(ProcessId::NIL, 1.0, CapturePolicy::ALL);
        let stamp = Stamp { process, home: String::new() };
        let limits = Limits { value_bytes: 1 << 20, span_bytes: 16 << 20 };
        let target = Target::List(list, stamp);
        Self::new(target, limits, CapturePolicy::ALL, Surroundings::default(), 1.0)
    }

    fn new(
        target: Target,
        limits: Limits,
        capture: CapturePolicy,
        surroundings: Surroundings,
        sample_rate: f64,
    ) -> Self {
        Self {
            target,
            limits,
            capture,
            surroundings,
            says_home: false,
            redactions_failed: AtomicU64::new(0),
            annotations_left_out: AtomicU64::new(0),
            ended_in_child: AtomicU64::new(0),
            sample_rate,
            redaction: None,
            fixed: None,
            root_attributes: AtomicPtr::new(std::ptr::null_mut()),
            first_parent: Mutex::new(None),
            awaits_first_root: AtomicBool::new(false),
        }
    }

    /// Repeatable ids, and a clock that starts at `start_ns` and moves by a millisecond a reading.
    #[must_use]
    pub fn with_fixed_clock(mut self, start_ns: Option<i64>) -> Self {
        self.fixed = start_ns
            .map(|start_ns| Fixed { next_id: AtomicU64::new(1), now_ns: AtomicI64::new(start_ns) });
        self
    }

    /// Every value passes the binding's redaction, which is handed back by [`Recorder::redaction`].
    #[must_use]
    pub fn with_redaction(mut self, redaction: Option<impl Any + Send + Sync>) -> Self {
        self.redaction = redaction.map(|redaction| Box::new(redaction) as _);
        self
    }

    /// Lets the first root of this process hang under a span of another one.
    #[must_use]
    pub fn with_first_parent(mut self, parent: Option<Place>) -> Self {
        self.awaits_first_root = AtomicBool::new(parent.is_some());
        self.first_parent = Mutex::new(parent);
        self
    }

    /// Puts this recorder in force.
    pub fn install(self) -> &'static Self {
        crate::pen::Call::allow();
        let kept: &'static Self = Box::leak(Box::new(self));
        ACTIVE.store(std::ptr::from_ref(kept).cast_mut(), Ordering::Release);
        kept
    }

    /// The engine's client, where there is one.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        match &self.target {
            Target::Client(client) => Some(client),
            Target::List(..) => None,
        }
    }

    /// The redaction that was given, where it is of this type.
    #[must_use]
    pub fn redaction<T: 'static>(&self) -> Option<&T> {
        self.redaction.as_ref()?.downcast_ref()
    }

    /// The surroundings of spans that are in no others.
    #[inline]
    pub(crate) fn around(&'static self) -> Around {
        Around::Recorder(&self.surroundings)
    }

    /// Whether the client says these surroundings itself.
    #[inline]
    pub(crate) fn is_home(&self, around: &Around) -> bool {
        let own = matches!(around, Around::Recorder(own) if std::ptr::eq(*own, &raw const self.surroundings));
        own && self.says_home
    }

    /// Whether every value passes a redaction.
    #[inline]
    #[must_use]
    pub fn is_redacting(&self) -> bool {
        self.redaction.is_some()
    }

    /// Whether what passed the redaction of `other` may go to this one as it is.
    pub(crate) fn trusts(&self, other: &Self) -> bool {
        !self.is_redacting() || std::ptr::eq(self, other)
    }

    /// Where a span opened under this one goes at its end: after another `init`, the one in force.
    pub(crate) fn or_successor(&'static self) -> &'static Self {
        if self.client().is_none_or(Client::is_open) {
            return self;
        }
        active().unwrap_or(self)
    }

    /// Hands over one record.
    #[inline]
    pub fn append(&self, entry: &Entry<'_>) -> Enqueued {
        match &self.target {
            Target::Client(client) => client.append(entry),
            Target::List(list, stamp) => {
                let mut whole = Vec::new();
                entry.to_record().write_json(&mut whole, stamp);
                match list(entry.kind, entry.trace_id, &whole) {
                    true => Enqueued::ACCEPTED,
                    false => Enqueued::refused(FailureKind::QueueFull),
                }
            }
        }
    }

    /// Counts a value that the redaction could not decide.
    pub fn fail_redaction(&self) {
        if self.redactions_failed.fetch_add(1, Ordering::Relaxed) == 0 {
            crate::redaction::say_failed();
        }
    }

    /// Counts an annotation that says nothing: its number is not finite.
    pub fn leave_out_annotation(&self) {
        self.annotations_left_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refuse_in_child(&self) -> Enqueued {
        self.ended_in_child.fetch_add(1, Ordering::Relaxed);
        Enqueued::refused(FailureKind::Shutdown)
    }

    /// Every counter since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.client().map(Client::stats).unwrap_or_default();
        for (name, counter) in [
            ("redactions_failed", &self.redactions_failed),
            ("annotations_left_out", &self.annotations_left_out),
            ("ended_in_child", &self.ended_in_child),
        ] {
            stats.0.insert(name, counter.load(Ordering::Relaxed));
        }
        stats
    }

    /// The first span of a trace of its own: its ids, whether it is kept, and its clock, started at `mono_ns`.
    #[inline]
    pub(crate) fn new_trace(&self, mono_ns: u64) -> Place {
        let (trace_id, span_id) = match &self.fixed {
            None => ids::trace_and_span_id(),
            Some(fixed) => {
                let trace_id = TraceId(u128::from(fixed.id()).to_be_bytes());
                (trace_id, SpanId::from_w3c(fixed.id().to_be_bytes()))
            }
        };
        let is_kept = crate::sampling::is_kept(&trace_id, self.sample_rate);
        let clock = TraceClock::start_at(mono_ns);
        Place { trace_id, span_id, clock, is_kept }
    }

    /// A new span id.
    #[inline]
    pub(crate) fn span_id(&self) -> SpanId {
        match &self.fixed {
            None => ids::span_id(),
            Some(fixed) => SpanId::from_w3c(fixed.id().to_be_bytes()),
        }
    }

    /// Now, on the clock of a trace.
    #[inline]
    #[must_use]
    pub fn now_ns(&self, clock: &TraceClock) -> i64 {
        match &self.fixed {
            None => clock.now_ns(),
            Some(fixed) => fixed.now_ns.fetch_add(1_000_000, Ordering::Relaxed),
        }
    }

    /// A reading of the monotonic clock, on the clock of a trace.
    #[inline]
    pub(crate) fn at_ns(&self, clock: &TraceClock, mono_ns: u64) -> i64 {
        match &self.fixed {
            None => clock.at(mono_ns),
            Some(_) => self.now_ns(clock),
        }
    }

    /// The remote parent, for the first root that asks.
    #[inline]
    pub(crate) fn first_parent(&self) -> Option<Place> {
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
    pub fn set_root_attributes(&self, items: &[u8]) {
        let kept = Box::into_raw(Box::new(Box::from(items)));
        self.root_attributes.store(kept, Ordering::Release);
    }
}

impl Fixed {
    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("client", &self.client()).finish_non_exhaustive()
    }
}

/// The recorder in force; `None` before `init`, after `shutdown` and where recording is off.
#[inline]
#[must_use]
pub fn active() -> Option<&'static Recorder> {
    // SAFETY: the pointer is null or comes from `install`, which never frees what it points to.
    unsafe { ACTIVE.load(Ordering::Acquire).as_ref() }
}

/// The recorder that a span begun here and now belongs to: the one in force, but none inside the writing
/// of a record.
#[inline]
#[must_use]
pub fn in_force() -> Option<&'static Recorder> {
    active().filter(|_| !crate::pen::is_writing())
}

/// Takes the recorder out of force if it is still this one.
pub fn retire(recorder: &'static Recorder) {
    reinstate(recorder, None);
}

/// Ships what `recorder` took before this call. `at_exit` is for a client that ends, which stops recording and
/// goes out of force: at the program's exit it waits only while requests make progress.
pub fn report(
    recorder: Option<&'static Recorder>,
    timeout: Duration,
    at_exit: Option<bool>,
) -> DeliveryReport {
    let Some(client) = recorder.and_then(Recorder::client) else {
        return DeliveryReport::disabled();
    };
    if at_exit.is_some() {
        recorder.inspect(|recorder| retire(recorder));
    }
    match at_exit {
        None => client.flush(timeout),
        Some(false) => client.shutdown(timeout),
        Some(true) => client.shutdown_at_exit(timeout),
    }
}

/// Puts back the recorder that `own` stood in for, or none, if `own` is still in force.
pub fn reinstate(own: &'static Recorder, before: Option<&'static Recorder>) {
    let this = std::ptr::from_ref(own).cast_mut();
    let before = before.map_or(std::ptr::null_mut(), |kept| std::ptr::from_ref(kept).cast_mut());
    let _ = ACTIVE.compare_exchange(this, before, Ordering::AcqRel, Ordering::Relaxed);
}

/// Puts `own` back into force; answers what stood in its place.
pub fn resume(own: &'static Recorder) -> Option<&'static Recorder> {
    let others = ACTIVE.swap(std::ptr::from_ref(own).cast_mut(), Ordering::AcqRel);
    // SAFETY: as in `active`.
    unsafe { others.as_ref() }
}

/// Takes whatever is in force out of force.
pub fn uninstall() {
    ACTIVE.store(std::ptr::null_mut(), Ordering::Release);
}
