//! `Span`: one piece of work, its own context manager, sync and async.
//!
//! The engine's [`Life`] knows what a span is; here are the Python objects it holds and its place in the
//! context variable. The mutex is held only for moves and copies: no Python code runs under it, so it is
//! never contended under the interpreter's own lock nor held across a fork.

mod methods;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyString;
use staso_sdk::record::Surroundings;
use staso_sdk::{
    Enqueued, Field, Identity, Life, Phase, Place, Recorder, SpanKind, SpanStatus, ToldHead, recorder,
};

use crate::context;
use crate::exception::implied_status;
use crate::objects;
use crate::value::{Held, Walker, name_text};

/// What the program put into a span.
pub(crate) type Payload = staso_sdk::Held<Held>;

struct State {
    life: Life<Held>,
    /// The entry this one replaced in the context variable.
    previous: Option<Py<PyAny>>,
    /// Proves the context it was put into; gone when it ended there, in order.
    token: Option<Py<PyAny>>,
}

/// One piece of work: a context manager whose block is timed and recorded.
#[pyclass(frozen, weakref, module = "staso", name = "Span")]
pub(crate) struct Span {
    state: Mutex<State>,
}

impl Span {
    #[inline]
    pub(crate) fn new(name: &Bound<'_, PyAny>, kind: SpanKind, payload: Option<Box<Payload>>) -> Self {
        let name = Held(name_text(name).into_any().unbind());
        let life = Life::new(name, kind, payload);
        Self { state: Mutex::new(State { life, previous: None, token: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on what a span that has not ended holds; what it returns (often an old value) is
    /// dropped by the caller, outside the lock.
    fn change<T>(&self, change: impl FnOnce(&mut Payload) -> T) -> Option<T> {
        self.lock().life.change().map(change)
    }

    /// Begins the span here and now.
    pub(crate) fn start(slf: &Bound<'_, Self>) {
        let (py, this) = (slf.py(), slf.get());
        let Some(recorder) = recorder::in_force() else { return this.lock().life.begin_unrecorded() };
        let innermost = context::innermost(py);
        let (parent, surroundings) = context::surroundings(innermost.as_ref());
        let name = this.name(py);
        let told = recorder.is_redacting().then(|| {
            let outside = surroundings.as_ref().unwrap_or(&recorder.surroundings);
            this.told_head(recorder, &name, outside)
        });
        let token = context::set(py, Some(slf.as_any())).map(Bound::unbind);
        let mut state = this.lock();
        if state.life.phase() == Phase::New {
            state.life.begin(recorder, parent, surroundings, name.to_string_lossy(), told);
            state.previous = innermost.map(Bound::unbind);
            state.token = token;
        } else {
            drop(state);
            context::leave(slf.as_any(), token, innermost.map(Bound::unbind).as_ref());
        }
    }

    #[cold]
    fn told_head(
        &self,
        recorder: &'static Recorder,
        name: &Bound<'_, PyString>,
        outside: &Arc<Surroundings>,
    ) -> ToldHead {
        let (kind, template) = {
            let state = self.lock();
            (state.life.kind, state.life.held().and_then(|held| held.template.clone()))
        };
        let limit = recorder.limits.value_bytes;
        let own = template.map(|template| template.surroundings(Arc::clone(outside), limit));
        let context = &own.as_ref().unwrap_or(outside).context;
        let mut walker = Walker::new(name.py(), recorder);
        ToldHead::of(&mut walker, recorder, (name.to_string_lossy(), kind), context)
    }

    /// Ends the span, `raised` being the exception that left its block.
    pub(crate) fn close(slf: &Bound<'_, Self>, raised: Option<&Bound<'_, PyAny>>) -> Enqueued {
        let (py, this) = (slf.py(), slf.get());
        let (mut ended, token, previous) = {
            let mut state = this.lock();
            let Some(ended) = state.life.end() else { return state.life.answer() };
            (ended, state.token.take(), state.previous.take())
        };
        let Some(recorder) = ended.recorder() else { return this.lock().life.answer() };
        let token = context::leave(slf.as_any(), token, previous.as_ref());
        let mut walker = Walker::new(py, recorder);
        if let Some(raised) = raised {
            ended.leaves_with(&mut walker, &Held::of(raised), implied_status(raised));
            let outside = previous.as_ref().map(|entry| entry.bind(py).clone());
            if let Some(outside) = context::span_at(outside) {
                drop(outside.get().change(|held| held.child_told(Held::of(raised))));
            }
        }
        let answer = ended.record(&mut walker, recorder, this.name(py).to_string_lossy());
        objects::relay_messages(py);
        // Whoever ended out of order keeps no other that did.
        let outside = token.as_ref().and_then(|_| context::outside(py, previous.as_ref()));
        let mut state = this.lock();
        state.life.settle(ended.status(), answer);
        if token.is_some() {
            // Found again by those who come here later: they need to know the way outwards.
            (state.token, state.previous) = (token, outside);
        }
        answer
    }

    /// For an ended span that is to be passed over here: the entry outside it.
    #[expect(clippy::option_option, reason = "the entry outside may itself be none")]
    pub(crate) fn passed_over(&self, py: Python<'_>) -> Option<Option<Py<PyAny>>> {
        let mut token = {
            let mut state = self.lock();
            if state.life.phase() != Phase::Ended {
                return None;
            }
            state.token.take()?
        };
        let is_passed_over = context::is_home(py, &mut token);
        let mut state = self.lock();
        state.token = Some(token);
        is_passed_over.then(|| state.previous.as_ref().map(|entry| entry.clone_ref(py)))
    }

    /// What a span opened under this one takes over.
    #[inline]
    pub(crate) fn as_parent(&self) -> (Option<Place>, Option<Arc<Surroundings>>) {
        let state = self.lock();
        let own = state.life.identity();
        own.map(|own| (own.place, Arc::clone(&own.surroundings))).unzip()
    }

    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        let name = self.lock().life.name.0.clone_ref(py).into_bound(py);
        name_text(&name)
    }

    fn identity<T>(&self, tell: impl FnOnce(&Identity) -> T) -> Option<T> {
        self.lock().life.identity().map(tell)
    }

    fn held(&self, py: Python<'_>, of: impl FnOnce(&Payload) -> Option<&Held>) -> Option<Py<PyAny>> {
        self.lock().life.held().and_then(of).map(|held| held.0.clone_ref(py))
    }

    fn field(&self, py: Python<'_>, field: Field) -> Option<Py<PyAny>> {
        let own = self.held(py, |held| held.field(field));
        own.or_else(|| {
            let surroundings = self.identity(|own| Arc::clone(&own.surroundings))?;
            let text = field.of_context(&surroundings.context)?;
            Some(PyString::new(py, text).into_any().unbind())
        })
    }

    fn set_field(&self, value: Bound<'_, PyAny>, field: Field) {
        drop(self.change(|held| held.set_field(field, Held::some(value))));
    }

    fn force(&self, status: SpanStatus) {
        self.lock().life.force(status);
    }

    fn describe(&self, description: Option<Bound<'_, PyAny>>) {
        drop(self.change(|held| held.describe(description.and_then(Held::some))));
    }
}
