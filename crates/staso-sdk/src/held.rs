//! What a program put into a span: held until the span ends, then let go.

use std::sync::Arc;

use staso_model::SpanStatus;

use crate::annotation::Annotation;
use crate::field::{Field, Fields};
use crate::host::{Described, Object};
use crate::nesting::Context;
use crate::recorder::Recorder;
use crate::template::Template;

/// The most exceptions that a span remembers of its own, and of its children.
const TOLD_KEPT: usize = 16;

/// What an event takes beside its text, in memory and in the record.
const EVENT_BYTES: usize = 128;

/// One recorded exception.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) time_ns: i64,
    pub(crate) told: Described,
}

/// Arguments as JSON, and the recorder whose policy and redaction they passed.
pub type Captured = (&'static Recorder, Arc<[u8]>);

/// What the program put into a span.
#[derive(Debug)]
pub struct Held<O> {
    /// A mapping.
    pub metadata: Option<O>,
    /// What went in.
    pub input: Option<O>,
    /// What came out.
    pub output: Option<O>,
    /// What a decorated function answered: that came out, where the program has not said what did.
    pub result: Option<O>,
    /// A decorated function's arguments, serialised when it was entered under this recorder.
    pub captured: Option<Captured>,
    /// What the decorator prepared.
    pub template: Option<Arc<Template<O>>>,
    /// What the program said went wrong, or (where that is about an `ok`) why all is well.
    pub description: Option<O>,
    /// What the recorded exception says, where the program says nothing.
    pub exception_message: Option<String>,
    /// Scores and labels given while the span is open.
    pub annotations: Vec<Annotation<O>>,
    /// The program discards the span.
    pub is_dropped: bool,
    pub(crate) fields: Option<Box<Fields<O>>>,
    /// The status the program asked for; the last word wins.
    pub(crate) forced: Option<SpanStatus>,
    pub(crate) events: Vec<Event>,
    /// Bytes of text in `events`.
    event_bytes: usize,
    /// Exceptions that were recorded when `events` held all that a record has room for.
    pub(crate) events_left_out: usize,
    /// The exceptions that the program recorded here: none is recorded twice.
    recorded: Vec<O>,
    /// Those whose stack is told in a child.
    told: Vec<O>,
}

impl<O> Default for Held<O> {
    fn default() -> Self {
        Self {
            metadata: None,
            input: None,
            output: None,
            result: None,
            captured: None,
            template: None,
            description: None,
            exception_message: None,
            annotations: Vec::new(),
            is_dropped: false,
            fields: None,
            forced: None,
            events: Vec::new(),
            event_bytes: 0,
            events_left_out: 0,
            recorded: Vec::new(),
            told: Vec::new(),
        }
    }
}

impl<O: Object> Held<O> {
    /// What a decorated function's span holds from the start: what the decorator prepared, and the
    /// arguments as JSON.
    #[must_use]
    pub fn planned(template: Arc<Template<O>>, captured: Option<Captured>) -> Box<Self> {
        // Made where it stays: what is put together elsewhere and moved is written twice.
        let mut held = Box::<Self>::default();
        (held.template, held.captured) = (Some(template), captured);
        held
    }

    /// What was assigned to a field.
    pub fn field(&self, field: Field) -> Option<&O> {
        self.fields.as_ref()?.get(field)
    }

    /// Keeps what is assigned to a field; answers what it replaces.
    pub fn set_field(&mut self, field: Field, value: Option<O>) -> Option<O> {
        self.fields.get_or_insert_default().set(field, value)
    }

    /// Sets the model; the first time, it is also the model that was asked for. Answers what is replaced.
    pub fn set_model<C: Context<Object = O>>(
        &mut self,
        context: C,
        model: Option<O>,
    ) -> [Option<O>; 2] {
        let is_first = self.field(Field::RequestedModel).is_none();
        let asked = model.as_ref().filter(|_| is_first).map(|model| context.hold(model));
        let before = asked.and_then(|asked| self.set_field(Field::RequestedModel, Some(asked)));
        [before, self.set_field(Field::Model, model)]
    }

    /// Sets what went in, which the arguments make way for; answers what it replaces.
    pub fn set_input(&mut self, value: O) -> (Option<O>, Option<Captured>) {
        (self.input.replace(value), self.captured.take())
    }

    /// Sets what came out; answers what it replaces.
    pub fn set_output(&mut self, value: O) -> Option<O> {
        self.output.replace(value)
    }

    /// Sets why; answers what it replaces.
    pub fn describe(&mut self, description: Option<O>) -> Option<O> {
        std::mem::replace(&mut self.description, description)
    }

    /// Whether the stack of `raised` is told already, in this span or in a child of it.
    pub fn has_told(&self, raised: &O) -> bool {
        is_among(&self.told, raised) || is_among(&self.recorded, raised)
    }

    /// Remembers that a child told the stack of `raised`; answers what is forgotten for it.
    pub fn child_told(&mut self, raised: O) -> Option<O> {
        remember(&mut self.told, raised)
    }

    /// The program records an exception itself: it is what went wrong. Answers what is forgotten for it.
    /// No more is held than `at_most` bytes of text, which a record would not hold either.
    pub fn record(
        &mut self,
        raised: O,
        told: Described,
        time_ns: i64,
        at_most: usize,
    ) -> [Option<O>; 2] {
        self.exception_message = Some(told.message.clone());
        self.add(Event { time_ns, told }, at_most);
        [remember(&mut self.recorded, raised), self.description.take()]
    }

    /// An exception leaves the block: recorded, unless the program recorded that very one.
    pub(crate) fn leaves(
        &mut self,
        raised: &O,
        time_ns: i64,
        at_most: usize,
        describe: impl FnOnce(&O, bool) -> Described,
    ) {
        if is_among(&self.recorded, raised) {
            return;
        }
        let told = describe(raised, !self.has_told(raised));
        self.exception_message.get_or_insert_with(|| told.message.clone());
        self.add(Event { time_ns, told }, at_most);
    }

    fn add(&mut self, event: Event, at_most: usize) {
        let Described { kind, message, stack } = &event.told;
        let text = kind.len() + message.len() + stack.as_ref().map_or(0, String::len);
        let bytes = text + EVENT_BYTES;
        // The first is kept however long it is: it is cut when it is written.
        if self.events.is_empty() || self.event_bytes.saturating_add(bytes) <= at_most {
            self.event_bytes += bytes;
            self.events.push(event);
        } else {
            self.events_left_out += 1;
        }
    }

    /// Every object, for those who look for cycles.
    pub fn objects(&self) -> impl Iterator<Item = &O> {
        [&self.metadata, &self.input, &self.output, &self.result, &self.description]
            .into_iter()
            .flatten()
            .chain(&self.recorded)
            .chain(&self.told)
            .chain(self.fields.iter().flat_map(|fields| fields.iter()))
            .chain(self.annotations.iter().flat_map(Annotation::objects))
    }
}

fn is_among<O: Object>(known: &[O], raised: &O) -> bool {
    known.iter().any(|known| known.address() == raised.address())
}

fn remember<O>(known: &mut Vec<O>, raised: O) -> Option<O> {
    let forgotten = (known.len() >= TOLD_KEPT).then(|| known.remove(0));
    known.push(raised);
    forgotten
}
