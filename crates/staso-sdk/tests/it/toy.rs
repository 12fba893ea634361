//! A small language of its own, so that the engine's nesting and its records are tried without any real
//! interpreter: contexts that are copied, tokens that serve once and only where they were made, objects
//! that are counted references.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use staso_sdk::nesting::{self, Context, Node};
use staso_sdk::pen::Pen;
use staso_sdk::{
    Annotation, Described, Enqueued, Field, Held, Host, Object, Place, Recorder, SpanKind,
    SpanStatus, Template, ThreadLock,
};

thread_local! {
    /// How many objects of this thread's language live.
    static LIVING: Cell<usize> = const { Cell::new(0) };
}

/// A value of the language.
#[derive(Clone)]
pub(crate) struct Obj(Rc<Body>);

struct Body(Thing);

pub(crate) enum Thing {
    Text(String),
    Int(i64),
    Flag(bool),
    List(RefCell<Vec<Obj>>),
    Map(RefCell<Vec<(String, Obj)>>),
    Raised { kind: String, message: String },
    Entry(Box<Node<Obj>>),
    Token { made_in: usize, before: Option<Obj>, is_used: Cell<bool> },
}

impl Drop for Body {
    fn drop(&mut self) {
        LIVING.set(LIVING.get() - 1);
    }
}

impl Object for Obj {
    type Lock = ThreadLock;

    fn address(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }
}

/// How many objects live.
pub(crate) fn living() -> usize {
    LIVING.get()
}

pub(crate) fn object(thing: Thing) -> Obj {
    LIVING.set(LIVING.get() + 1);
    Obj(Rc::new(Body(thing)))
}

pub(crate) fn text(text: &str) -> Obj {
    object(Thing::Text(text.to_owned()))
}

pub(crate) fn int(number: i64) -> Obj {
    object(Thing::Int(number))
}

pub(crate) fn list(items: &[Obj]) -> Obj {
    object(Thing::List(RefCell::new(items.to_vec())))
}

pub(crate) fn map(members: &[(&str, Obj)]) -> Obj {
    let members = members.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    object(Thing::Map(RefCell::new(members.collect())))
}

pub(crate) fn raised(kind: &str, message: &str) -> Obj {
    object(Thing::Raised { kind: kind.to_owned(), message: message.to_owned() })
}

/// What a decorator of the language prepares; `agent` is a name and an id.
#[expect(
    clippy::arc_with_non_send_sync,
    reason = "the engine shares a template as languages with threads do"
)]
pub(crate) fn template(
    attributes: &[(&str, Obj)],
    agent: Option<(String, String)>,
) -> Arc<Template<Obj>> {
    Arc::new(Template::new(map(attributes), agent))
}

impl Obj {
    pub(crate) fn thing(&self) -> &Thing {
        &self.0.0
    }

    /// The node of a span or a scope.
    pub(crate) fn node(&self) -> &Node<Self> {
        let Thing::Entry(node) = self.thing() else { panic!("not an entry") };
        node
    }

    /// Adds to a list, as programs do while a span is open.
    pub(crate) fn push(&self, item: Self) {
        let Thing::List(items) = self.thing() else { panic!("not a list") };
        items.borrow_mut().push(item);
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Held<Self>)) {
        self.node().change(change).expect("an open span");
    }

    pub(crate) fn set(&self, field: Field, value: Self) {
        self.change(|held| drop(held.set_field(field, Some(value))));
    }
}

/// The contexts of one program. The first one is where it begins.
pub(crate) struct World {
    contexts: RefCell<Vec<Option<Obj>>>,
    here: Cell<usize>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { contexts: RefCell::new(vec![None]), here: Cell::new(0) }
    }

    pub(crate) fn toy(&self) -> Toy<'_> {
        Toy(self)
    }

    /// Runs `work` in a new copy of the current context, as a task does that is started here.
    pub(crate) fn in_copy<T>(&self, work: impl FnOnce() -> T) -> T {
        let copy = self.copy();
        self.inside(copy, work)
    }

    pub(crate) fn copy(&self) -> usize {
        let mut contexts = self.contexts.borrow_mut();
        let copied = contexts[self.here.get()].clone();
        contexts.push(copied);
        contexts.len() - 1
    }

    pub(crate) fn inside<T>(&self, context: usize, work: impl FnOnce() -> T) -> T {
        let before = self.here.replace(context);
        let result = work();
        self.here.set(before);
        result
    }

    pub(crate) fn new_span(name: &str, kind: SpanKind, held: Option<Box<Held<Obj>>>) -> Obj {
        let node = Node::span(text(name), kind, held);
        object(Thing::Entry(Box::new(node)))
    }

    pub(crate) fn open(&self, name: &str) -> Obj {
        self.open_as(name, SpanKind::Chain, None)
    }

    pub(crate) fn open_as(&self, name: &str, kind: SpanKind, held: Option<Box<Held<Obj>>>) -> Obj {
        let span = Self::new_span(name, kind, held);
        self.start(&span);
        span
    }

    /// A decorated function is entered.
    pub(crate) fn call(&self, name: &str, template: &Arc<Template<Obj>>, arguments: &str) -> Obj {
        let captured = staso_sdk::recorder::in_force().map(|r| (r, arguments.as_bytes().into()));
        let held = Held::planned(Arc::clone(template), captured);
        self.open_as(name, SpanKind::Tool, Some(held))
    }

    pub(crate) fn start(&self, span: &Obj) {
        nesting::start(self.toy(), span, span.node(), |recorder| self.host(recorder));
    }

    pub(crate) fn close(&self, span: &Obj) -> Enqueued {
        nesting::close(self.toy(), span, span.node(), None, |recorder| self.host(recorder))
    }

    /// An exception leaves the block of a span.
    pub(crate) fn leave_with(&self, span: &Obj, raised: &Obj, implied: SpanStatus) -> Enqueued {
        let raised = Some((raised.clone(), implied));
        nesting::close(self.toy(), span, span.node(), raised, |recorder| self.host(recorder))
    }

    pub(crate) fn record_exception(&self, span: &Obj, raised: &Obj) {
        nesting::record_exception(span.node(), raised.clone(), |recorder| self.host(recorder));
    }

    pub(crate) fn annotate(&self, span: &Obj, annotation: Annotation<Obj>) -> bool {
        nesting::annotate(span.node(), annotation, |recorder| self.host(recorder))
    }

    /// Enters a conversation, or the parent of another process; none where nothing records.
    pub(crate) fn enter(&self, session: Option<&str>, remote: Option<Place>) -> Option<Obj> {
        let node = Node::scope(self.toy(), (session, None), remote)?;
        let scope = object(Thing::Entry(Box::new(node)));
        nesting::enter(self.toy(), &scope, scope.node());
        Some(scope)
    }

    pub(crate) fn exit(&self, scope: &Obj) {
        nesting::exit(self.toy(), scope, scope.node());
    }

    /// The name of the innermost entry that is a span.
    pub(crate) fn current(&self) -> Option<String> {
        let innermost = nesting::innermost(self.toy());
        let span = nesting::span_at(self.toy(), innermost.as_ref())?;
        span.node().life(|life| self.toy().text(&life.name).into_owned())
    }

    /// Whether this context holds anything at all, over or not.
    pub(crate) fn is_empty_here(&self) -> bool {
        self.contexts.borrow()[self.here.get()].is_none()
    }

    pub(crate) fn host(&self, recorder: &'static Recorder) -> Writer<'_> {
        Writer { toy: self.toy(), pen: Pen::new(recorder.limits), recorder }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Toy<'w>(&'w World);

impl Context for Toy<'_> {
    type Object = Obj;

    fn current(self) -> Option<Obj> {
        self.0.contexts.borrow()[self.0.here.get()].clone()
    }

    fn set(self, entry: Option<&Obj>) -> Option<Obj> {
        let made_in = self.0.here.get();
        let before = {
            let mut contexts = self.0.contexts.borrow_mut();
            std::mem::replace(&mut contexts[made_in], entry.cloned())
        };
        Some(object(Thing::Token { made_in, before, is_used: Cell::new(false) }))
    }

    fn reset(self, token: &Obj) -> bool {
        let Thing::Token { made_in, before, is_used } = token.thing() else { return false };
        let is_good = *made_in == self.0.here.get() && !is_used.replace(true);
        if is_good {
            let replaced = {
                let mut contexts = self.0.contexts.borrow_mut();
                std::mem::replace(&mut contexts[*made_in], before.clone())
            };
            drop(replaced);
        }
        is_good
    }

    fn node<'o>(self, entry: &'o Obj) -> Option<&'o Node<Obj>>
    where
        Self: 'o,
    {
        if let Thing::Entry(node) = entry.thing() { Some(node) } else { None }
    }

    fn hold(self, object: &Obj) -> Obj {
        object.clone()
    }

    fn text<'o>(self, object: &'o Obj) -> Cow<'o, str>
    where
        Self: 'o,
    {
        match object.thing() {
            Thing::Text(text) => Cow::Borrowed(text),
            Thing::Int(number) => Cow::Owned(number.to_string()),
            _ => Cow::Borrowed("<thing>"),
        }
    }
}

/// A redaction of the language: what it makes of a text at a dotted path.
pub(crate) struct Redaction(pub(crate) fn(&str, &str) -> String);

/// Writes the language's objects.
pub(crate) struct Writer<'w> {
    toy: Toy<'w>,
    pen: Pen,
    recorder: &'static Recorder,
}

impl<'w> Host for Writer<'w> {
    type Object = Obj;
    type Context = Toy<'w>;

    fn context(&self) -> Toy<'w> {
        self.toy
    }

    fn pen(&mut self) -> &mut Pen {
        &mut self.pen
    }

    fn value(&mut self, path: &[&'static str], value: &Obj) {
        match value.thing() {
            Thing::Text(text) => match self.redact(path, text) {
                Some(redacted) => self.pen.text(&redacted),
                None => self.pen.text(text),
            },
            Thing::Int(number) => self.pen.int(*number),
            Thing::Flag(truth) => self.pen.boolean(*truth),
            Thing::List(items) if self.pen.enter(value.address()) => {
                self.pen.raw(b"[");
                let mut is_first = true;
                for item in items.borrow().iter() {
                    self.pen.comma(&mut is_first);
                    self.value(path, item);
                }
                self.pen.raw(b"]");
                self.pen.leave();
            }
            Thing::Map(_) if self.pen.enter(value.address()) => {
                self.pen.raw(b"{");
                self.members(path.first().copied().unwrap_or_default(), value, None, &mut true);
                self.pen.raw(b"}");
                self.pen.leave();
            }
            // Refused above: a marker stands there already.
            Thing::List(_) | Thing::Map(_) => {}
            _ => self.pen.marker("<thing>"),
        }
    }

    fn members(
        &mut self,
        path: &'static str,
        mapping: &Obj,
        tells: Option<fn(&str) -> bool>,
        is_first: &mut bool,
    ) {
        let Thing::Map(members) = mapping.thing() else { return };
        for (key, value) in members.borrow().iter() {
            if tells.is_none_or(|tells| tells(key)) {
                self.pen.comma(is_first);
                let key = self.told(&[path], Cow::Borrowed(key)).into_owned();
                self.pen.marker(&key);
                self.pen.raw(b":");
                self.value(&[path], value);
            }
        }
    }

    fn whole(&self, object: &Obj) -> Option<i64> {
        if let Thing::Int(number) = object.thing() { Some(*number) } else { None }
    }

    fn truth(&self, object: &Obj) -> Option<bool> {
        if let Thing::Flag(truth) = object.thing() { Some(*truth) } else { None }
    }

    fn describe(&mut self, raised: &Obj, with_stack: bool) -> Described {
        let Thing::Raised { kind, message } = raised.thing() else { panic!("not raised") };
        let stack = with_stack.then(|| format!("{kind}: {message}\n  at line 1"));
        Described { kind: kind.clone(), message: message.clone(), stack }
    }

    fn redact(&mut self, path: &[&'static str], text: &str) -> Option<String> {
        let redaction: &Redaction = self.recorder.redaction()?;
        Some((redaction.0)(&path.join("."), text))
    }
}
