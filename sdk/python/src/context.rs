//! The one context variable, as the engine's nesting asks for it.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyNone, PyString};
use staso_interpreter::Variable;
use staso_sdk::nesting::{Context, Node};

use crate::scope::Scope;
use crate::span::Span;
use crate::value::{Held, name_text};

/// The attached interpreter.
#[derive(Clone, Copy)]
pub(crate) struct Interpreter<'py>(pub(crate) Python<'py>);

impl Context for Interpreter<'_> {
    type Object = Held;

    #[inline]
    fn current(self) -> Option<Held> {
        Held::some(variable(self.0).ok()?.get(self.0).ok()?)
    }

    #[inline]
    fn set(self, entry: Option<&Held>) -> Option<Held> {
        let none = PyNone::get(self.0);
        let entry = entry.map_or(none.as_any(), |entry| entry.bind(self.0));
        variable(self.0).ok()?.set(entry).ok().map(Held::from)
    }

    #[inline]
    fn reset(self, token: &Held) -> bool {
        variable(self.0).is_ok_and(|variable| variable.reset(token.bind(self.0)))
    }

    #[inline]
    fn node<'o>(self, entry: &'o Held) -> Option<&'o Node<Held>>
    where
        Self: 'o,
    {
        let entry = entry.bind(self.0);
        if let Ok(span) = entry.cast::<Span>() {
            return Some(&span.get().node);
        }
        let scope = entry.cast::<Scope>().ok()?;
        Some(&scope.get().node)
    }

    #[inline]
    fn hold(self, object: &Held) -> Held {
        Held::of(object.bind(self.0))
    }

    #[inline]
    fn text<'o>(self, object: &'o Held) -> Cow<'o, str>
    where
        Self: 'o,
    {
        let object = object.bind(self.0);
        if let Ok(text) = object.cast::<PyString>() {
            return text.to_str().map_or_else(|_| text.to_string_lossy(), Cow::Borrowed);
        }
        Cow::Owned(name_text(object).to_string_lossy().into_owned())
    }
}

fn variable(py: Python<'_>) -> PyResult<&'static Variable> {
    static VARIABLE: PyOnceLock<Variable> = PyOnceLock::new();
    VARIABLE.get_or_try_init(py, || Variable::new(py, "staso_current"))
}
