//! What a program put into a span: held until the span ends, then let go.

use std::sync::Arc;

use staso_model::SpanStatus;

use crate::annotation::Annotation;
use crate::field::{Field, Fields};
use crate::host::{Described, Object};
use crate::template::Template;

/// The most exceptions of children that a span remembers as told.
const TOLD_KEPT: usize = 16;

/// One recorded exception.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) time_ns: i64,
    pub(crate) told: Described,
}

/// What the program put into a span.
#[derive(Debug)]
pub struct Held<O> {
    /// A mapping.
    pub metadata: Option<O>,
    /// What went in.
    pub input: Option<O>,
    /// What came out.
    pub output: Option<O>,
    /// A decorated function's arguments, serialised when it was entered.
    pub captured: Option<Arc<[u8]>>,
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
    /// The exception that was recorded last, here: it is not recorded twice.
    recorded: Option<O>,
    /// Those whose stack is told, here or in a child.
    told: Vec<O>,
}

impl<O> Default for Held<O> {
    fn default() -> Self {
        Self {
            metadata: None,
            input: None,
            output: None,
            captured: None,
            template: None,
            description: None,
            exception_message: None,
            annotations: Vec::new(),
            is_dropped: false,
            fields: None,
            forced: None,
            events: Vec::new(),
            recorded: None,
            told: Vec::new(),
        }
    }
}

impl<O: Object> Held<O> {
    /// What a decorated function's span holds from the start: what the decorator prepared, and the
    /// arguments as JSON.
    #[must_use]
    pub fn planned(template: Arc<Template<O>>, captured: Option<Arc<[u8]>>) -> Self {
        Self { template: Some(template), captured, ..Self::default() }
    }

    /// What was assigned to a field.
    pub fn field(&self, field: Field) -> Option<&O> {
        self.fields.as_ref()?.get(field)
    }

    /// Keeps what is assigned to a field; answers what it replaces.
    pub fn set_field(&mut self, field: Field, value: Option<O>) -> Option<O> {
        self.fields.get_or_insert_default().set(field, value)
    }

    /// Sets what went in, which the arguments make way for; answers what it replaces.
    pub fn set_input(&mut self, value: O) -> (Option<O>, Option<Arc<[u8]>>) {
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
        self.told.iter().chain(&self.recorded).any(|told| told.address() == raised.address())
    }

    /// Remembers that a child told the stack of `raised`; answers what is forgotten for it.
    pub fn child_told(&mut self, raised: O) -> Option<O> {
        let forgotten = (self.told.len() >= TOLD_KEPT).then(|| self.told.remove(0));
        self.told.push(raised);
        forgotten
    }

    /// The program records an exception itself: it is what went wrong.
    pub fn record(&mut self, raised: O, told: Described, time_ns: i64) -> [Option<O>; 2] {
        self.exception_message = Some(told.message.clone());
        self.events.push(Event { time_ns, told });
        let recorded = self.recorded.replace(raised);
        let forgotten = recorded.and_then(|recorded| self.child_told(recorded));
        [forgotten, self.description.take()]
    }

    /// An exception leaves the block: recorded, unless it was the last that the program recorded.
    pub(crate) fn leaves(
        &mut self,
        raised: &O,
        time_ns: i64,
        describe: impl FnOnce(&O, bool) -> Described,
    ) {
        if self.recorded.as_ref().is_some_and(|recorded| recorded.address() == raised.address()) {
            return;
        }
        let told = describe(raised, !self.has_told(raised));
        self.exception_message.get_or_insert_with(|| told.message.clone());
        self.events.push(Event { time_ns, told });
    }

    /// Every object, for those who look for cycles.
    pub fn objects(&self) -> impl Iterator<Item = &O> {
        [&self.metadata, &self.input, &self.output, &self.description, &self.recorded]
            .into_iter()
            .flatten()
            .chain(&self.told)
            .chain(self.fields.iter().flat_map(|fields| fields.iter()))
            .chain(self.annotations.iter().flat_map(Annotation::objects))
    }
}
