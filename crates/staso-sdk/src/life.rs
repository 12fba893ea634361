//! The life of a span, whatever language its objects are of: new, open, ended.
//!
//! What identifies a span stays with it for ever, since children may refer to it; what the program put
//! into it ([`Held`]) is kept until the end, so that changes made in place are recorded, and let go
//! then. A binding keeps a [`Life`] behind a lock that is held only for moves and copies: nothing here
//! calls the program.

use std::borrow::Cow;
use std::sync::Arc;

use smol_str::SmolStr;
use staso_model::{SpanId, SpanKind, SpanStatus, TraceId};

use crate::clock::{TraceClock, mono_ns};
use crate::fork::process_generation;
use crate::held::Held;
use crate::host::Object;
use crate::nesting::Context;
use crate::open::OpenToken;
use crate::record::{Around, SpanHead};
use crate::recorder::Recorder;
use crate::report::{Enqueued, FailureKind};

/// Where a span is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Made, not begun.
    New,
    /// Begun.
    Open,
    /// Over.
    Ended,
}

/// What a new span takes over from where it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The trace.
    pub trace_id: TraceId,
    /// The span it hangs under.
    pub span_id: SpanId,
    /// The clock of the trace in this process.
    pub clock: TraceClock,
    /// Whether the trace was chosen to be kept.
    pub is_kept: bool,
}

impl Place {
    /// A span of another process by its ids as text and whether its trace is kept; `None` where they are
    /// no ids.
    #[must_use]
    pub fn of_remote((trace_id, span_id, is_kept): &(String, String, bool)) -> Option<Self> {
        let (trace_id, span_id) = (trace_id.parse().ok()?, span_id.parse().ok()?);
        Some(Self { trace_id, span_id, clock: TraceClock::start(), is_kept: *is_kept })
    }
}

impl Place {
    /// The ids as W3C Trace Context writes them: 32 and 16 hex digits.
    #[must_use]
    pub fn to_w3c(&self) -> (String, String) {
        let low = u64::from_be_bytes(self.span_id.low());
        (self.trace_id.to_string(), format!("{low:016x}"))
    }
}

/// Who a span is: set when it begins, kept for ever, never changed.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its own place, which its children take over.
    pub place: Place,
    /// The span it hangs under; `None` for a root.
    pub parent_id: Option<SpanId>,
    /// When it began, Unix nanoseconds.
    pub start_ns: i64,
    /// Agent, conversation and user.
    pub surroundings: Around,
    /// Where its record goes.
    pub recorder: &'static Recorder,
    pub(crate) generation: u32,
    pub(crate) token: OpenToken,
}

/// What may be told of a span that begins, after a redaction; without one nothing differs.
#[derive(Debug)]
pub struct ToldHead {
    /// Its name.
    pub name: SmolStr,
    /// Agent, conversation and user.
    pub surroundings: Around,
}

/// A span.
#[derive(Debug)]
pub struct Life<O> {
    /// Its name, as the program gave it.
    pub name: O,
    /// What sort of work it is.
    pub kind: SpanKind,
    /// How it stands, or ended.
    pub status: SpanStatus,
    phase: Phase,
    held: Option<Box<Held<O>>>,
    answer: Enqueued,
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// What it was.
    pub kind: SpanKind,
    /// As the program said, else as the exception implies, else well.
    pub status: SpanStatus,
    /// When, Unix nanoseconds; 0 where nothing recorded it.
    pub end_ns: i64,
}

/// A span that has just ended, to be recorded.
#[derive(Debug)]
pub struct Ended<'i, O> {
    /// Who it was.
    pub identity: &'i Identity,
    /// How it ended.
    pub ending: Ending,
    /// What the program put into it.
    pub held: Option<Box<Held<O>>>,
}

impl<O: Object> Life<O> {
    /// A span that has not begun.
    pub fn new(name: O, kind: SpanKind, held: Option<Box<Held<O>>>) -> Self {
        let answer = Enqueued::refused(FailureKind::Disabled);
        Self { name, kind, status: SpanStatus::Ok, phase: Phase::New, held, answer }
    }

    /// Makes it a span that has not begun; answers what it held.
    #[inline]
    pub(crate) fn renew(
        &mut self,
        name: O,
        kind: SpanKind,
        held: Option<Box<Held<O>>>,
    ) -> (O, Option<Box<Held<O>>>) {
        (self.kind, self.status, self.phase) = (kind, SpanStatus::Ok, Phase::New);
        self.answer = Enqueued::refused(FailureKind::Disabled);
        (std::mem::replace(&mut self.name, name), std::mem::replace(&mut self.held, held))
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What came of handing over its record.
    pub fn answer(&self) -> Enqueued {
        self.answer
    }

    /// What is put into it; nothing once it has ended.
    pub fn held(&self) -> Option<&Held<O>> {
        self.held.as_deref()
    }

    /// What is put into it, to be changed; `None` once it has ended, when nothing is kept any more.
    pub fn change(&mut self) -> Option<&mut Held<O>> {
        (self.phase != Phase::Ended).then(|| &mut **self.held.get_or_insert_default())
    }

    /// Takes out everything it holds, without ending it.
    pub fn let_go(&mut self) -> Option<Box<Held<O>>> {
        self.held.take()
    }

    /// Forces a status; the last word of the program wins.
    pub fn force(&mut self, status: SpanStatus) {
        if let Some(held) = self.change() {
            held.forced = Some(status);
        }
        self.status = status;
    }

    /// Begins where nothing records.
    pub fn begin_unrecorded(&mut self) {
        if self.phase == Phase::New {
            self.phase = Phase::Open;
        }
    }

    /// Begins, under `parent` or as the root of a new trace; answers who it is now. `told` is what a
    /// redaction made of the head.
    #[inline]
    pub fn begin<C: Context<Object = O>>(
        &mut self,
        context: C,
        recorder: &'static Recorder,
        parent: Option<Place>,
        surroundings: Option<Around>,
        told: Option<ToldHead>,
    ) -> Identity {
        let template = self.held.as_ref().and_then(|held| held.template.as_ref());
        let outside = surroundings.unwrap_or_else(|| recorder.around());
        let surroundings = match template {
            Some(template) => template.surroundings(outside, recorder.limits.value_bytes),
            None => outside,
        };
        let start_mono_ns = mono_ns();
        let parent = parent.or_else(|| recorder.first_parent());
        let parent_id = parent.as_ref().map(|parent| parent.span_id);
        let place = match parent {
            Some(parent) => Place { span_id: recorder.span_id(), ..parent },
            None => recorder.new_trace(start_mono_ns),
        };
        let mut identity = Identity {
            place,
            parent_id,
            start_ns: recorder.at_ns(&place.clock, start_mono_ns),
            surroundings,
            recorder,
            generation: process_generation(),
            token: OpenToken::NONE,
        };
        if let Some(client) = recorder.client().filter(|_| place.is_kept) {
            let captured = self.held.as_ref().and_then(|held| held.captured.clone());
            let captured = captured.filter(|_| recorder.capture.tells_input(self.kind));
            let captured =
                captured.and_then(|(under, json)| recorder.trusts(under).then_some(json));
            let name = context.text(&self.name);
            let head =
                |head: &mut SpanHead| identity.write_head(head, name, self.kind, captured, told);
            identity.token = client.register_span(head, start_mono_ns);
        }
        self.phase = Phase::Open;
        identity
    }

    /// Ends it now. `own` is who it is, where something records it; `implied` is what an exception that
    /// leaves it means. `None` when it had ended before.
    #[inline]
    pub fn end(&mut self, own: Option<&Identity>, implied: Option<SpanStatus>) -> Option<Ending> {
        if self.phase == Phase::Ended {
            return None;
        }
        self.phase = Phase::Ended;
        let end_ns = match own {
            Some(own) => {
                self.answer = Enqueued::ACCEPTED;
                own.recorder.now_ns(&own.place.clock)
            }
            None => 0,
        };
        let forced = self.held.as_ref().and_then(|held| held.forced);
        self.status = forced.or(implied).unwrap_or(SpanStatus::Ok);
        Some(Ending { kind: self.kind, status: self.status, end_ns })
    }

    /// What became of the record, where it was not accepted.
    pub fn settle(&mut self, answer: Enqueued) {
        self.answer = answer;
    }
}

impl Identity {
    #[inline]
    fn write_head(
        &self,
        head: &mut SpanHead,
        name: Cow<'_, str>,
        kind: SpanKind,
        input: Option<Arc<[u8]>>,
        told: Option<ToldHead>,
    ) {
        (head.trace_id, head.span_id) = (self.place.trace_id, self.place.span_id);
        (head.parent_span_id, head.kind, head.start_ns) = (self.parent_id, kind, self.start_ns);
        head.input = input;
        if let Some(told) = told {
            (head.name, head.surroundings) = (told.name, told.surroundings);
        } else {
            let name = self.recorder.capture.told_name(name, kind);
            head.name = SmolStr::new(crate::pen::bounded(name, self.recorder.limits.value_bytes));
            head.surroundings = self.surroundings.clone();
        }
    }
}
