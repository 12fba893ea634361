//! What the engine asks of a language: to read the objects that a program put into a span.
//!
//! The engine knows when a span begins and ends, which of its parts may be told, and how the record
//! is put together; only the language knows how to read its own objects. A [`Host`] lives for one
//! record. Nothing in it may fail: where a value cannot be read, a marker is written instead.

use std::borrow::Cow;

use lock_api::RawMutex;

use crate::nesting::Context;
use crate::pen::{Pen, bounded};

/// Something the program put into a span, held without being looked at.
pub trait Object {
    /// What keeps two threads from working on one span at once: [`ThreadLock`](crate::ThreadLock), or
    /// [`InterpreterLock`](crate::InterpreterLock).
    type Lock: RawMutex;

    /// A number that tells it from every other living object.
    fn address(&self) -> usize;
}

/// An exception as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The name of its type.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// Where it was raised, where that was asked for and can be told.
    pub stack: Option<String>,
}

/// Reads objects for one record.
pub trait Host {
    /// What spans hold.
    type Object: Object + 'static;

    /// The language's variable for where we are.
    type Context: Context<Object = Self::Object>;

    /// The variable.
    fn context(&self) -> Self::Context;

    /// Where values are written.
    fn pen(&mut self) -> &mut Pen;

    /// Writes `object` as one JSON value; `path` is where it stands, for the redaction.
    fn value(&mut self, path: &[&'static str], object: &Self::Object);

    /// Writes what a decorated function answered as the member `result` of an object, without braces.
    fn result(&mut self, result: &Self::Object) {
        self.pen().raw(b"\"result\":");
        self.value(&["output", "result"], result);
    }

    /// Writes the members of a mapping whose keys `tells` lets through, without braces.
    fn members(
        &mut self,
        path: &'static str,
        mapping: &Self::Object,
        tells: Option<fn(&str) -> bool>,
        is_first: &mut bool,
    );

    /// `object` as a whole number of 64 bits, where it is one.
    fn whole(&self, object: &Self::Object) -> Option<i64>;

    /// `object` as yes or no.
    fn truth(&self, object: &Self::Object) -> Option<bool>;

    /// Tells an exception; its stack only `with_stack`.
    fn describe(&mut self, raised: &Self::Object, with_stack: bool) -> Described;

    /// What the program's redaction makes of a text at `path`; `None` where there is no redaction.
    fn redact(&mut self, path: &[&'static str], text: &str) -> Option<String>;

    /// A text as it may leave the program: redacted by the program and by the rules, then bounded.
    fn told<'t>(&mut self, path: &[&'static str], text: Cow<'t, str>) -> Cow<'t, str> {
        let text = self.redact(path, &text).map_or(text, Cow::Owned);
        let text = self.pen().kept(text);
        bounded(text, self.pen().limits.value_bytes)
    }
}
