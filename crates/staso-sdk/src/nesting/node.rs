//! What stands in a language's variable: a span or a conversation, with its place among the others.

use std::any::Any;
use std::cell::RefCell;

use lock_api::{Mutex, MutexGuard};
use staso_model::SpanKind;

use super::{Context, innermost, is_home, skip_over, surroundings, take_out};
use crate::exclusion::SetOnce;
use crate::held::Held;
use crate::host::Object;
use crate::life::{Identity, Life, Phase, Place};
use crate::record::{Around, SpanContext, Surroundings};
use crate::recorder;

/// A span or a conversation, with its place among the others. Its lock is held only for moves and copies:
/// no code of the program runs under it.
pub struct Node<O: Object + 'static> {
    /// Who a span is, once it has begun under a recorder.
    pub(super) own: SetOnce<Identity>,
    state: Mutex<O::Lock, State<O>>,
}

/// What a node guards.
#[derive(Debug)]
pub(super) struct State<O> {
    pub(super) what: What<O>,
    /// The entry this one replaced.
    pub(super) previous: Option<O>,
    /// Proves the context it was put into; gone when it ended there, in order.
    pub(super) token: Option<O>,
}

#[derive(Debug)]
pub(super) enum What<O> {
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
        let mut state = self.lock();
        let outside = (state.previous.take(), state.token.take());
        // Field by field: a state that is made elsewhere and moved here is written twice.
        let before = match &mut state.what {
            What::Span(life) => life.renew(name, kind, held),
            What::Scope { .. } => return,
        };
        drop(state);
        drop((before, outside));
    }

    /// As `renew`, where the borrow shows that nobody else can reach it.
    #[inline]
    pub(crate) fn renew_own(&mut self, name: O, kind: SpanKind, held: Option<Box<Held<O>>>) {
        // SAFETY: this is the only way to the node, and nothing that it lent outlives that.
        unsafe { self.own.clear() };
        let state = self.state.get_mut();
        let outside = (state.previous.take(), state.token.take());
        if let What::Span(life) = &mut state.what {
            drop((life.renew(name, kind, held), outside));
        } else {
            state.what = What::Span(Life::new(name, kind, held));
        }
    }

    /// Who the span is, once it has begun under a recorder.
    #[inline]
    pub fn identity(&self) -> Option<&Identity> {
        self.own.get()
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, O::Lock, State<O>> {
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
    pub(super) fn passed_over<C: Context<Object = O>>(&self, context: C) -> Option<Option<O>> {
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
    pub(super) fn leave<C: Context<Object = O>>(
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
