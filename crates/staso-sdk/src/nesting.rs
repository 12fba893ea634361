//! Where we are: which span or conversation is the innermost, whatever the language keeps it in.
//!
//! A language has one variable that follows its threads and tasks (a [`Context`]). It holds the innermost
//! entry; each entry has a [`Node`] that knows the entry it replaced. Entries are taken out by identity,
//! so that code which closes things in another context or in another order gets no error, at worst
//! another parent. The token of an entry is the proof that we are in the context it was put into, and not
//! in a copy: the variable can be reset by it only there. So an entry that is over is passed over where it
//! was put, and stays the parent in the contexts that were copied from there.

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;

use lock_api::{Mutex, MutexGuard};
use staso_model::{SpanKind, SpanStatus};

use crate::annotation::Annotation;
use crate::exclusion::SetOnce;
use crate::held::Held;
use crate::host::{Host, Object};
use crate::life::{Ended, Identity, Life, Phase, Place, ToldHead};
use crate::record::{Around, SpanContext, Surroundings};
use crate::recorder::{self, Recorder};
use crate::report::Enqueued;

/// A language's variable, and its objects that are entries in it.
pub trait Context: Copy {
    /// What the language holds.
    type Object: Object + 'static;

    /// The innermost entry, as it stands.
    fn current(self) -> Option<Self::Object>;

    /// Makes `entry` the innermost one; answers the token of that.
    fn set(self, entry: Option<&Self::Object>) -> Option<Self::Object>;

    /// Puts back what stood there before the token's entry, once; false in any other context.
    fn reset(self, token: &Self::Object) -> bool;

    /// The node of an entry; `None` for an object that is no entry.
    fn node<'o>(self, entry: &'o Self::Object) -> Option<&'o Node<Self::Object>>
    where
        Self: 'o;

    /// The same object once more.
    fn hold(self, object: &Self::Object) -> Self::Object;

    /// An object as text: as it is, or as the language shows it.
    fn text<'o>(self, object: &'o Self::Object) -> Cow<'o, str>
    where
        Self: 'o;
}

/// A span or a conversation, with its place among the others. Its lock is held only for moves and copies:
/// no code of the program runs under it.
pub struct Node<O: Object + 'static> {
    /// Who a span is, once it has begun under a recorder.
    own: SetOnce<Identity>,
    state: Mutex<O::Lock, State<O>>,
}

/// What a node guards.
#[derive(Debug)]
pub struct State<O> {
    what: What<O>,
    /// The entry this one replaced.
    previous: Option<O>,
    /// Proves the context it was put into; gone when it ended there, in order.
    token: Option<O>,
}

#[derive(Debug)]
enum What<O> {
    Span(Life<O>),
    Scope { remote: Option<Place>, surroundings: Around, is_over: bool },
}

impl<O: Object + 'static> Node<O> {
    /// A span that has not begun.
    pub fn span(name: O, kind: SpanKind, held: Option<Box<Held<O>>>) -> Self {
        Self::new(What::Span(Life::new(name, kind, held)))
    }

    /// A block whose spans share a conversation, a user, or a parent from another process, set up for
    /// here; `None` where nothing records.
    pub fn scope<C: Context<Object = O>>(
        context: C,
        (session_id, user_id): (Option<&str>, Option<&str>),
        remote: Option<Place>,
    ) -> Option<Self> {
        let recorder = recorder::active()?;
        let (_, outside) = surroundings(context, innermost(context).as_ref());
        let outside = &outside.unwrap_or_else(|| recorder.around()).context;
        let inside = SpanContext {
            session_id: session_id.map(str::to_owned).or_else(|| outside.session_id.clone()),
            user_id: user_id.map(str::to_owned).or_else(|| outside.user_id.clone()),
            ..outside.clone()
        };
        let surroundings = Around::shared(Surroundings::new(inside, recorder.limits.value_bytes));
        Some(Self::new(What::Scope { remote, surroundings, is_over: false }))
    }

    fn new(what: What<O>) -> Self {
        let state = Mutex::new(State { what, previous: None, token: None });
        Self { own: SetOnce::new(), state }
    }

    /// Makes it a span that has not begun, for a language that uses its objects again.
    ///
    /// # Safety
    /// Nobody else can reach this node, in any thread, nor holds anything that it lent.
    #[inline]
    pub unsafe fn renew(&self, name: O, kind: SpanKind, held: Option<Box<Held<O>>>) {
        // SAFETY: by the promise above.
        unsafe { self.own.clear() };
        let what = What::Span(Life::new(name, kind, held));
        let before =
            std::mem::replace(&mut *self.lock(), State { what, previous: None, token: None });
        drop(before);
    }

    /// Who the span is, once it has begun under a recorder.
    #[inline]
    pub fn identity(&self) -> Option<&Identity> {
        self.own.get()
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, O::Lock, State<O>> {
        self.state.lock()
    }

    /// A span in one line, for people; `None` for a scope.
    pub fn shown<C: Context<Object = O>>(&self, context: C) -> Option<String> {
        self.life(|life| {
            let doing = match life.phase() {
                Phase::New => "not started",
                Phase::Open => "open",
                Phase::Ended => life.status.as_str(),
            };
            let own = self.identity().map(|own| own.place);
            let ids = own.map(|own| format!(" trace={} span={}", own.trace_id, own.span_id));
            let (name, ids) = (context.text(&life.name), ids.unwrap_or_default());
            format!("<staso.Span {name:?} {} {doing}{ids}>", life.kind)
        })
    }

    /// Looks at the span, where it is one.
    #[inline]
    pub fn life<T>(&self, look: impl FnOnce(&mut Life<O>) -> T) -> Option<T> {
        match &mut self.lock().what {
            What::Span(life) => Some(look(life)),
            What::Scope { .. } => None,
        }
    }

    /// Runs `change` on what a span that has not ended holds; what it returns (often an old value) is
    /// dropped by the caller, outside the lock.
    #[inline]
    pub fn change<T>(&self, change: impl FnOnce(&mut Held<O>) -> T) -> Option<T> {
        self.life(|life| life.change().map(change)).flatten()
    }

    /// Visits every object it holds, for a garbage collector; nothing while somebody works on it.
    pub fn visit<E>(&self, mut visit: impl FnMut(&O) -> Result<(), E>) -> Result<(), E> {
        let Some(state) = self.state.try_lock() else { return Ok(()) };
        if let What::Span(life) = &state.what {
            life.held().map_or(Ok(()), |held| held.objects().try_for_each(&mut visit))?;
        }
        state.previous.iter().chain(&state.token).try_for_each(visit)
    }

    /// Lets go of every object that can be part of a cycle.
    pub fn let_go(&self) {
        let mut state = self.lock();
        let held = match &mut state.what {
            What::Span(life) => life.let_go(),
            What::Scope { .. } => None,
        };
        let way_outwards = (state.previous.take(), state.token.take());
        drop(state);
        drop((held, way_outwards));
    }

    /// For an entry that is over and to be passed over here: the one outside it.
    #[expect(clippy::option_option, reason = "the entry outside may itself be none")]
    fn passed_over<C: Context<Object = O>>(&self, context: C) -> Option<Option<O>> {
        let mut token = {
            let mut state = self.lock();
            let is_over = match &state.what {
                What::Span(life) => life.phase() == Phase::Ended,
                What::Scope { is_over, .. } => *is_over,
            };
            if !is_over {
                return None;
            }
            state.token.take()?
        };
        let is_passed_over = is_home(context, &mut token);
        let mut state = self.lock();
        state.token = Some(token);
        is_passed_over.then(|| state.previous.as_ref().map(|entry| context.hold(entry)))
    }

    /// Takes the entry of this node out of the variable, or arranges that it is passed over.
    #[inline]
    fn leave<C: Context<Object = O>>(
        &self,
        context: C,
        entry: &O,
        token: Option<O>,
        previous: Option<O>,
    ) {
        if let Some(token) = take_out(context, entry, token, previous.as_ref()) {
            // Found again by those who come here later: they need to know the way outwards. Whoever
            // ended out of order keeps no other that did.
            let outside = skip_over(context, previous);
            let mut state = self.lock();
            (state.token, state.previous) = (Some(token), outside);
        }
    }
}

thread_local! {
    /// What is let go while something is let go already.
    static LETTING_GO: RefCell<Option<Vec<Box<dyn Any>>>> = const { RefCell::new(None) };
}

impl<O: Object + std::fmt::Debug> std::fmt::Debug for Node<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state.fmt(f)
    }
}

impl<O: Object + 'static> Drop for Node<O> {
    /// A chain of entries of which each is held by the next alone is let go one by one: a call within a
    /// call for each would overflow the stack.
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let mut next = (state.previous.take(), state.token.take());
        if next.0.is_none() && next.1.is_none() {
            return;
        }
        let is_inside = LETTING_GO.try_with(|list| match &mut *list.borrow_mut() {
            Some(list) => {
                list.push(Box::new((next.0.take(), next.1.take())));
                true
            }
            empty => {
                *empty = Some(Vec::new());
                false
            }
        });
        if is_inside.unwrap_or(true) {
            return;
        }
        drop(next);
        let pop = || LETTING_GO.with_borrow_mut(|list| list.as_mut().and_then(Vec::pop));
        while let Some(waiting) = pop() {
            drop(waiting);
        }
        LETTING_GO.take();
    }
}

/// Begins a span here and now. `host` is asked for only where a redaction has to see the span's head.
#[inline]
pub fn start<H: Host>(
    context: H::Context,
    entry: &H::Object,
    node: &Node<H::Object>,
    host: impl FnOnce(&'static Recorder) -> H,
) {
    let Some(recorder) = recorder::in_force() else {
        node.life(Life::begin_unrecorded);
        return;
    };
    let Outside { entry: outside, parent, around } = outside(context);
    let told = if recorder.is_redacting() {
        told_head(&mut host(recorder), node, recorder, around.as_ref())
    } else {
        None
    };
    let token = context.set(Some(entry));
    let mut state = node.lock();
    match &mut state.what {
        What::Span(life) if life.phase() == Phase::New => {
            let own = life.begin(context, recorder, parent, around, told);
            // SAFETY: by the one thread that holds the lock of a span that has not begun.
            unsafe { node.own.set(own) };
            (state.previous, state.token) = (outside, token);
            drop(state);
            if let Some(client) = recorder.client() {
                client.tell_open();
            }
        }
        // It is open already, or over: entering it once more changes nothing.
        _ => {
            drop(state);
            take_out(context, entry, token, outside.as_ref());
        }
    }
}

#[cold]
fn told_head<H: Host>(
    host: &mut H,
    node: &Node<H::Object>,
    recorder: &'static Recorder,
    around: Option<&Around>,
) -> Option<ToldHead> {
    let outside = around.cloned().unwrap_or_else(|| recorder.around());
    let (name, kind, template) = node.life(|life| {
        let template = life.held().and_then(|held| held.template.clone());
        (host.context().hold(&life.name), life.kind, template)
    })?;
    let limit = recorder.limits.value_bytes;
    let around = match template {
        Some(template) => template.surroundings(outside, limit),
        None => outside,
    };
    let name = host.context().text(&name).into_owned();
    Some(ToldHead::of(host, recorder, (Cow::Owned(name), kind), &around.context))
}

/// What a span that is opened here finds outside it.
struct Outside<O> {
    entry: Option<O>,
    parent: Option<Place>,
    around: Option<Around>,
}

/// As [`innermost`] and [`surroundings`], in one look where the innermost entry is an open span.
#[inline]
fn outside<C: Context>(context: C) -> Outside<C::Object> {
    let Some(found) = context.current() else {
        return Outside { entry: None, parent: None, around: None };
    };
    let open = context.node(&found).and_then(|node| {
        let is_open = node.life(|life| life.phase() == Phase::Open)?;
        node.identity().filter(|_| is_open).map(|own| (own.place, own.surroundings.clone()))
    });
    match open {
        Some((place, around)) => {
            Outside { entry: Some(found), parent: Some(place), around: Some(around) }
        }
        None => {
            let entry = innermost_from(context, found);
            let (parent, around) = surroundings(context, entry.as_ref());
            Outside { entry, parent, around }
        }
    }
}

/// Ends a span, `raised` being the exception that left its block and what it implies.
#[inline]
pub fn close<H: Host>(
    context: H::Context,
    entry: &H::Object,
    node: &Node<H::Object>,
    raised: Option<(H::Object, SpanStatus)>,
    host: impl FnOnce(&'static Recorder) -> H,
) -> Enqueued {
    let implied = raised.as_ref().map(|(_, implied)| *implied);
    let mut state = node.lock();
    let State { what: What::Span(life), previous, token } = &mut *state else {
        return Enqueued::ACCEPTED;
    };
    let own = node.identity();
    let Some(ending) = life.end(own, implied) else { return life.answer() };
    let (name, held, answer) = (context.hold(&life.name), life.let_go(), life.answer());
    let (previous, token) = (previous.take(), token.take());
    drop(state);
    // What nothing records was never put into the context.
    let Some(own) = own else { return answer };
    let parent = raised.as_ref().and_then(|_| span_at(context, previous.as_ref()));
    node.leave(context, entry, token, previous);
    let recorder = own.recorder_at_end();
    let answer = if held.is_none() && raised.is_none() && !recorder.is_redacting() {
        own.record_plain(recorder, ending, context.text(&name))
    } else {
        let (mut ended, mut host) = (Ended { identity: own, ending, held }, host(recorder));
        if let Some((raised, _)) = raised {
            ended.leaves_with(&mut host, &raised);
            if let Some(parent) = parent.as_ref().and_then(|parent| context.node(parent)) {
                drop(parent.change(|held| held.child_told(raised)));
            }
        }
        ended.record(&mut host, recorder, context.text(&name))
    };
    if answer != Enqueued::ACCEPTED {
        node.life(|life| life.settle(answer));
    }
    answer
}

/// The program records an exception on a span itself: it ends in error, unless the program says more.
pub fn record_exception<H: Host>(
    node: &Node<H::Object>,
    raised: H::Object,
    host: impl FnOnce(&'static Recorder) -> H,
) {
    let is_told = node.change(|held| held.has_told(&raised));
    if let (Some(own), Some(is_told)) = (node.identity(), is_told) {
        let told = host(own.recorder).describe(&raised, !is_told);
        let time_ns = own.recorder.now_ns(&own.place.clock);
        drop(node.change(|held| held.record(raised, told, time_ns)));
    }
    node.life(|life| life.force(SpanStatus::Error));
}

/// Annotates a span. While it is open, annotations wait: they are recorded after the span they speak of.
/// False for a span that nothing records.
pub fn annotate<H: Host>(
    node: &Node<H::Object>,
    annotation: Annotation<H::Object>,
    host: impl FnOnce(&'static Recorder) -> H,
) -> bool {
    let Some(Identity { recorder, place, .. }) = node.identity() else { return false };
    let mut annotation = Some(annotation);
    node.change(|held| held.annotations.extend(annotation.take()));
    if let Some(late) = annotation {
        late.record(&mut host(recorder), recorder, &place.trace_id, Some(&place.span_id));
    }
    true
}

/// Puts a scope's entry into the variable.
pub fn enter<C: Context>(context: C, entry: &C::Object, node: &Node<C::Object>) {
    let outside = innermost(context);
    let token = context.set(Some(entry));
    let mut state = node.lock();
    (state.previous, state.token) = (outside, token);
}

/// Takes a scope's entry out.
pub fn exit<C: Context>(context: C, entry: &C::Object, node: &Node<C::Object>) {
    let (token, previous) = {
        let mut state = node.lock();
        if let What::Scope { is_over, .. } = &mut state.what {
            *is_over = true;
        }
        (state.token.take(), state.previous.take())
    };
    node.leave(context, entry, token, previous);
}

/// The innermost entry that new spans hang under; what is passed over on the way is taken out.
#[inline]
pub fn innermost<C: Context>(context: C) -> Option<C::Object> {
    innermost_from(context, context.current()?)
}

fn innermost_from<C: Context>(context: C, found: C::Object) -> Option<C::Object> {
    let address = found.address();
    let kept = skip_over(context, Some(found));
    if kept.as_ref().map(Object::address) != Some(address) {
        context.set(kept.as_ref());
    }
    kept
}

/// The span or remote parent that a span opened at `entry` hangs under, and what it belongs to.
#[inline]
pub fn surroundings<C: Context>(
    context: C,
    entry: Option<&C::Object>,
) -> (Option<Place>, Option<Around>) {
    let mut inner = None;
    let mut entry = entry.map(|entry| context.hold(entry));
    while let Some(node) = entry.as_ref().and_then(|entry| context.node(entry)) {
        let state = node.lock();
        let previous = match &state.what {
            What::Span(_) => {
                let own = node.identity();
                let (place, around) = own.map(|own| (own.place, own.surroundings.clone())).unzip();
                return (place, inner.or(around));
            }
            What::Scope { remote, surroundings, .. } => {
                inner.get_or_insert_with(|| surroundings.clone());
                if remote.is_some() {
                    return (*remote, inner);
                }
                state.previous.as_ref().map(|entry| context.hold(entry))
            }
        };
        drop(state);
        entry = skip_over(context, previous);
    }
    (None, inner)
}

/// The first span from `entry` on outwards.
pub fn span_at<C: Context>(context: C, entry: Option<&C::Object>) -> Option<C::Object> {
    let mut entry = entry.map(|entry| context.hold(entry));
    while let Some(found) = entry {
        let state = context.node(&found)?.lock();
        let What::Scope { .. } = state.what else {
            drop(state);
            return Some(found);
        };
        let previous = state.previous.as_ref().map(|entry| context.hold(entry));
        drop(state);
        entry = skip_over(context, previous);
    }
    None
}

/// The first entry, from `entry` on outwards, that is not over and to be passed over here.
#[inline]
fn skip_over<C: Context>(context: C, mut entry: Option<C::Object>) -> Option<C::Object> {
    while let Some(found) = &entry {
        let passed_over = context.node(found).and_then(|node| node.passed_over(context));
        let Some(previous) = passed_over else { return entry };
        entry = previous;
    }
    None
}

/// Takes `entry` out, if it is the innermost one. Answers its token where others may still find it here:
/// it was not the innermost, or this is not its own context.
#[inline]
fn take_out<C: Context>(
    context: C,
    entry: &C::Object,
    token: Option<C::Object>,
    previous: Option<&C::Object>,
) -> Option<C::Object> {
    if context.current().is_none_or(|innermost| innermost.address() != entry.address()) {
        return token.map(|mut token| {
            is_home(context, &mut token);
            token
        });
    }
    let token = token.filter(|token| !context.reset(token));
    let outside = skip_over(context, previous.map(|entry| context.hold(entry)));
    let is_as_before = outside.as_ref().map(Object::address) == previous.map(Object::address);
    if token.is_some() || !is_as_before {
        context.set(outside.as_ref());
    }
    token
}

/// Whether we are in the context of this token. A token serves once: what takes its place is put there, and
/// holds on to no entry, as the first one does to the entry outside.
fn is_home<C: Context>(context: C, token: &mut C::Object) -> bool {
    let entry = context.current();
    context.reset(token) && {
        context.set(None);
        if let Some(fresh) = context.set(entry.as_ref()) {
            *token = fresh;
        }
        true
    }
}
