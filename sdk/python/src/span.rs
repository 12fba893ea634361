//! `Span`: one piece of work, its own context manager, sync and async.
//!
//! What identifies a span stays with it for ever, since children may refer to it; what the program
//! put into it ([`Payload`]) is held as Python objects until the end, so that changes made in
//! place are recorded, and let go then. The mutex is held only for moves and copies: no Python code
//! runs under it, so it is never contended under the interpreter's own lock nor held across a fork.

mod methods;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use staso_sdk::clock::{TraceClock, mono_ns};
use staso_sdk::record::{SpanContext, SpanHead};
use staso_sdk::{
    Enqueued, FailureKind, OpenToken, SpanId, SpanKind, SpanStatus, TraceId, process_generation,
};

use crate::annotation::Annotation;
use crate::client;
use crate::context::{self, Parent};
use crate::exception::{self, Event};
use crate::fields::{Field, Fields};
use crate::finish;
use crate::plan::Plan;
use crate::recorder::{self, Recorder};
use crate::value::GiveInterruptBack;

/// Where a span is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Open,
    Ended,
}

/// Who a span is: set when it starts, kept for ever.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_id: Option<SpanId>,
    pub(crate) clock: TraceClock,
    pub(crate) start_ns: i64,
    pub(crate) is_kept: bool,
    pub(crate) context: Arc<SpanContext>,
    generation: u32,
    thread: usize,
    task: Option<usize>,
}

impl Identity {
    /// Whether it is ended where it was started: in its thread, and in its task where that is known.
    fn is_of_here(&self, py: Python<'_>) -> bool {
        self.thread == context::thread_mark()
            && self.task.is_none_or(|task| task == context::task_mark(py))
    }
}

/// What the program put into a span.
#[derive(Default)]
pub(crate) struct Payload {
    pub(crate) metadata: Option<Py<PyDict>>,
    pub(crate) input: Option<Py<PyAny>>,
    pub(crate) output: Option<Py<PyAny>>,
    /// A decorated function's arguments, serialised when it was entered.
    pub(crate) captured: Option<Arc<[u8]>>,
    pub(crate) plan: Option<Py<Plan>>,
    /// The status the program asked for; the last word wins.
    pub(crate) forced: Option<SpanStatus>,
    /// What the program said went wrong, or (where that is about an `ok`) why all is well.
    pub(crate) description: Option<Py<PyAny>>,
    /// What the recorded exception says, where the program says nothing.
    pub(crate) exception_message: Option<String>,
    pub(crate) events: Vec<Event>,
    /// The exception recorded last, here or in a child: it is not told twice.
    pub(crate) recorded: Option<Py<PyAny>>,
    pub(crate) child_raised: Option<Py<PyAny>>,
    pub(crate) fields: Option<Box<Fields>>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) is_dropped: bool,
}

impl Payload {
    /// Whether the stack of `raised` is told already, in this span or in a child of it.
    pub(crate) fn has_told(&self, raised: &Bound<'_, PyAny>) -> bool {
        [&self.recorded, &self.child_raised]
            .into_iter()
            .any(|told| told.as_ref().is_some_and(|told| told.is(raised)))
    }
}

struct State {
    phase: Phase,
    name: Py<PyString>,
    kind: SpanKind,
    status: SpanStatus,
    recorder: Option<&'static Recorder>,
    identity: Option<Identity>,
    /// The entry this one replaced in the context variable.
    previous: Option<Py<PyAny>>,
    /// It was the innermost entry of its own context when it ended: who still finds it has a copy.
    ended_in_order: bool,
    token: Option<OpenToken>,
    payload: Payload,
    answer: Enqueued,
}

/// One piece of work: a context manager whose block is timed and recorded.
#[pyclass(frozen, weakref, module = "staso", name = "Span")]
pub(crate) struct Span {
    state: Mutex<State>,
}

impl Span {
    pub(crate) fn new(name: Py<PyString>, kind: SpanKind, payload: Payload) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::New,
                name,
                kind,
                status: SpanStatus::Ok,
                recorder: None,
                identity: None,
                previous: None,
                ended_in_order: false,
                token: None,
                payload,
                answer: Enqueued::refused(FailureKind::Disabled),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on the payload of a span that has not ended; what it returns (often an old
    /// value) is dropped by the caller, outside the lock.
    fn change<T>(&self, change: impl FnOnce(&mut Payload) -> T) -> Option<T> {
        let mut state = self.lock();
        (state.phase != Phase::Ended).then(|| change(&mut state.payload))
    }

    /// Begins the span here and now. `by_hand`: without a block that will end it in order.
    pub(crate) fn start(slf: &Bound<'_, Self>, by_hand: bool) {
        let _interrupt = GiveInterruptBack;
        let py = slf.py();
        let Some(recorder) = recorder::active() else {
            let mut state = slf.get().lock();
            if state.phase == Phase::New {
                state.phase = Phase::Open;
            }
            return;
        };
        let innermost = context::skip_ended(context::current(py));
        let (parent, surrounding) = context::surroundings(innermost.as_ref());
        let (own, name, kind, captured) = {
            let state = slf.get().lock();
            if state.phase != Phase::New {
                return;
            }
            let plan = state.payload.plan.as_ref().map(|plan| plan.clone_ref(py));
            (plan, state.name.clone_ref(py), state.kind, state.payload.captured.clone())
        };
        let surrounding = surrounding.unwrap_or_else(|| Arc::clone(&recorder.context));
        let context = match own {
            Some(plan) => plan.get().context(py, surrounding),
            None => surrounding,
        };
        let task = by_hand.then(|| context::task_mark(py));
        let mono = mono_ns();
        let identity = identify(recorder, parent, context, (mono, task));
        let client = recorder.client().filter(|_| identity.is_kept);
        let token = client.map(|client| {
            let head = SpanHead {
                trace_id: identity.trace_id,
                span_id: identity.span_id,
                parent_span_id: identity.parent_id,
                name: finish::public_name(recorder, name.bind(py), kind),
                kind,
                start_ns: identity.start_ns,
                context: finish::public_context(py, recorder, &identity.context),
                input: captured,
                attributes: None,
            };
            client.open_span(Arc::new(head), mono)
        });
        {
            let mut state = slf.get().lock();
            state.phase = Phase::Open;
            state.recorder = Some(recorder);
            state.previous = innermost.map(Bound::unbind);
            state.identity = Some(identity);
            state.token = token;
        }
        context::set_current(py, Some(slf.as_any()));
    }

    /// Ends the span, `raised` being the exception that left its block.
    pub(crate) fn close(slf: &Bound<'_, Self>, raised: Option<&Bound<'_, PyAny>>) -> Enqueued {
        let _interrupt = GiveInterruptBack;
        let py = slf.py();
        let this = slf.get();
        let (recorder, identity, mut payload, previous, token, end_ns, name, kind) = {
            let mut state = this.lock();
            if state.phase == Phase::Ended {
                return state.answer;
            }
            state.phase = Phase::Ended;
            let payload = std::mem::take(&mut state.payload);
            let (Some(recorder), Some(identity)) = (state.recorder, state.identity.clone()) else {
                let answer = state.answer;
                drop(state);
                drop(payload);
                return answer;
            };
            let end_ns = recorder.now_ns(&identity.clock);
            let previous = state.previous.as_ref().map(|entry| entry.bind(py).clone());
            let (name, kind) = (state.name.clone_ref(py), state.kind);
            (recorder, identity, payload, previous, state.token.take(), end_ns, name, kind)
        };
        let opened_under = recorder;
        let recorder = recorder.or_successor();
        let was_innermost = context::leave(slf.as_any(), previous.as_ref());
        let in_order = was_innermost && identity.is_of_here(py);
        this.leave_behind(py, in_order);
        let implied = raised.map(|raised| {
            let status = exception::leaving(recorder, &mut payload, raised, end_ns);
            exception::tell_parent(previous.as_ref(), raised);
            status
        });
        let status = payload.forced.or(implied).unwrap_or(SpanStatus::Ok);
        let answer = if identity.generation != process_generation() {
            Enqueued::refused(FailureKind::Shutdown)
        } else if identity.is_kept {
            finish::record(
                py,
                recorder,
                &identity,
                &mut payload,
                (name.bind(py), kind, status),
                end_ns,
            )
        } else {
            Enqueued::ACCEPTED
        };
        if let (Some(token), Some(client)) = (token, opened_under.client()) {
            client.close_span(token);
        }
        let mut state = this.lock();
        (state.status, state.answer) = (status, answer);
        drop(state);
        client::relay_messages(py);
        answer
    }

    /// Keeps what later look-ups need: in order, nothing; out of order, the way outwards.
    fn leave_behind(&self, py: Python<'_>, in_order: bool) {
        let task = if in_order { None } else { Some(context::task_mark(py)) };
        let mut state = self.lock();
        state.ended_in_order = in_order;
        let let_go = if in_order { state.previous.take() } else { None };
        if let Some(identity) = &mut state.identity {
            identity.task = identity.task.or(task);
        }
        drop(state);
        drop(let_go);
    }

    /// For an ended span that is to be passed over here: the entry outside it.
    #[expect(clippy::option_option, reason = "the entry outside may itself be none")]
    pub(crate) fn passed_over(&self, py: Python<'_>) -> Option<Option<Py<PyAny>>> {
        let state = self.lock();
        let identity = state.identity.as_ref()?;
        if state.phase != Phase::Ended || state.ended_in_order {
            return None;
        }
        let (thread, task) = (identity.thread, identity.task.unwrap_or(0));
        let previous = state.previous.as_ref().map(|entry| entry.clone_ref(py));
        drop(state);
        (thread == context::thread_mark() && task == context::task_mark(py)).then_some(previous)
    }

    /// What a span opened under this one takes over.
    pub(crate) fn as_parent(&self) -> (Option<Parent>, Option<Arc<SpanContext>>) {
        let state = self.lock();
        state.identity.as_ref().map_or((None, None), |own| {
            let parent = Parent {
                trace_id: own.trace_id,
                span_id: own.span_id,
                clock: own.clock,
                is_kept: own.is_kept,
            };
            (Some(parent), Some(Arc::clone(&own.context)))
        })
    }

    /// Remembers that a child recorded `raised` with its stack.
    pub(crate) fn child_raised(&self, raised: Py<PyAny>) {
        drop(self.change(|payload| payload.child_raised.replace(raised)));
    }

    fn identity_text(&self, text: impl FnOnce(&Identity) -> String) -> String {
        self.lock().identity.as_ref().map(text).unwrap_or_default()
    }

    fn field(&self, py: Python<'_>, field: Field) -> Option<Py<PyAny>> {
        self.lock().payload.fields.as_ref()?.get(py, field)
    }

    fn set_field(&self, value: Bound<'_, PyAny>, field: Field) {
        let value = (!value.is_none()).then(|| value.unbind());
        drop(self.change(|payload| payload.fields.get_or_insert_default().set(field, value)));
    }

    fn context_text(&self, py: Python<'_>, field: Field) -> Option<Py<PyAny>> {
        let own = self.field(py, field);
        own.or_else(|| {
            let context = Arc::clone(&self.lock().identity.as_ref()?.context);
            let text = PyString::new(py, field.of_context(&context)?);
            Some(text.into_any().unbind())
        })
    }

    fn force(&self, status: SpanStatus) {
        self.change(|payload| payload.forced = Some(status));
        self.lock().status = status;
    }

    fn describe(&self, description: Option<Bound<'_, PyAny>>) {
        let description = description.filter(|text| !text.is_none()).map(Bound::unbind);
        drop(self.change(|payload| std::mem::replace(&mut payload.description, description)));
    }
}

/// New ids and a start, under `parent` or as the root of a new trace.
fn identify(
    recorder: &'static Recorder,
    parent: Option<Parent>,
    context: Arc<SpanContext>,
    (mono, task): (u64, Option<usize>),
) -> Identity {
    let parent = parent.or_else(|| recorder.first_parent());
    let parent_id = parent.as_ref().map(|parent| parent.span_id);
    let parent = parent.unwrap_or_else(|| {
        let trace_id = recorder.trace_id();
        let is_kept = staso_sdk::sampling::is_kept(&trace_id, recorder.sample_rate);
        Parent { trace_id, span_id: SpanId::NIL, clock: TraceClock::start_at(mono), is_kept }
    });
    Identity {
        trace_id: parent.trace_id,
        span_id: recorder.span_id(),
        parent_id,
        clock: parent.clock,
        start_ns: recorder.at_ns(&parent.clock, mono),
        is_kept: parent.is_kept,
        context,
        generation: process_generation(),
        thread: context::thread_mark(),
        task,
    }
}
