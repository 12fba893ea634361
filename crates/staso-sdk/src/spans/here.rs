//! Where a Rust program is: each thread has a context, and so has each piece of work that moves between
//! threads. The engine's nesting keeps the entries; here is the variable they stand in.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::nesting::{Context, Node};
use crate::spans::value::Value;

/// A context: its number, and the innermost entry in it.
#[derive(Debug)]
pub(crate) struct Here {
    /// 0 until something is put into it.
    id: u64,
    current: Option<Arc<Node<Value>>>,
}

thread_local! {
    static HERE: RefCell<Here> = const { RefCell::new(Here { id: 0, current: None }) };
}

impl Here {
    /// A context of its own in which `current` is the innermost entry.
    pub(crate) fn at(current: Option<Value>) -> Self {
        Self { id: 0, current: current.and_then(Value::into_entry) }
    }

    /// A context of its own that begins as a copy of the thread's.
    pub(crate) fn copied() -> Self {
        Self::at(Thread.current())
    }

    /// Runs `work` with this context in the place of the thread's, which comes back even by a panic.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let _back = Swapped::new(self);
        work()
    }

    fn id(&mut self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if self.id == 0 {
            self.id = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        self.id
    }
}

/// A context that stands in for the thread's until this is dropped.
struct Swapped<'h>(&'h mut Here);

impl<'h> Swapped<'h> {
    fn new(here: &'h mut Here) -> Self {
        swap(here);
        Self(here)
    }
}

impl Drop for Swapped<'_> {
    fn drop(&mut self) {
        swap(self.0);
    }
}

fn swap(here: &mut Here) {
    // A thread that is ending has no context any more.
    let _ = HERE.try_with(|own| std::mem::swap(&mut *own.borrow_mut(), here));
}

/// Makes `entry` the innermost one without remembering the way back; answers what stood there.
#[cfg(feature = "tracing")]
pub(crate) fn replace(entry: Option<Value>) -> Option<Value> {
    let entry = entry.and_then(Value::into_entry);
    let replaced = HERE.try_with(|own| std::mem::replace(&mut own.borrow_mut().current, entry));
    replaced.ok().flatten().map(Value::Entry)
}

/// The context of this thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thread;

impl Context for Thread {
    type Object = Value;

    #[inline]
    fn current(self) -> Option<Value> {
        let current = HERE.try_with(|own| own.borrow().current.clone());
        current.ok().flatten().map(Value::Entry)
    }

    /// Without counting the entry once more, only to forget it.
    #[inline]
    fn is_current(self, entry: &Value) -> bool {
        let is_it = |own: &RefCell<Here>| match (&own.borrow().current, entry.entry()) {
            (Some(current), Some(entry)) => Arc::ptr_eq(current, entry),
            _ => false,
        };
        HERE.try_with(is_it).unwrap_or(false)
    }

    #[inline]
    fn set(self, entry: Option<&Value>) -> Option<Value> {
        let entry = entry.and_then(Value::entry).cloned();
        let token = HERE.try_with(|own| {
            let mut own = own.borrow_mut();
            let before = std::mem::replace(&mut own.current, entry);
            Value::Token { made_in: own.id(), before }
        });
        token.ok()
    }

    #[inline]
    fn reset(self, token: &Value) -> bool {
        let Value::Token { made_in, before } = token else { return false };
        let replaced = HERE.try_with(|own| {
            let mut own = own.borrow_mut();
            (own.id == *made_in).then(|| std::mem::replace(&mut own.current, before.clone()))
        });
        replaced.is_ok_and(|replaced| replaced.is_some())
    }

    #[inline]
    fn node<'o>(self, entry: &'o Value) -> Option<&'o Node<Value>>
    where
        Self: 'o,
    {
        entry.entry().map(|node| &**node)
    }

    #[inline]
    fn hold(self, object: &Value) -> Value {
        object.clone()
    }

    fn text<'o>(self, value: &'o Value) -> Cow<'o, str>
    where
        Self: 'o,
    {
        Cow::Borrowed(value.as_text())
    }
}
