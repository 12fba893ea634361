//! Where we are: which span or conversation is the innermost, whatever the language keeps it in.
//!
//! A language has one variable that follows its threads and tasks (a [`Context`]). It holds the innermost
//! entry; each entry has a [`Node`] that knows the entry it replaced. Entries are taken out by identity,
//! so that code which closes things in another context or in another order gets no error, at worst
//! another parent. The token of an entry is the proof that we are in the context it was put into, and not
//! in a copy: the variable can be reset by it only there. So an entry that is over is passed over where it
//! was put, and stays the parent in the contexts that were copied from there.

mod node;

use std::borrow::Cow;

use staso_model::SpanStatus;

pub use self::node::Node;
use self::node::{State, What};
use crate::annotation::Annotation;
use crate::host::{Host, Object};
use crate::life::{Ended, Identity, Life, Phase, Place, ToldHead};
use crate::record::Around;
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
        let at_most = own.recorder.limits.span_bytes;
        drop(node.change(|held| held.record(raised, told, time_ns, at_most)));
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
