//! Binds the arguments of a call to parameters, as Python does.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// Name, how Python binds it, and the default, or `...` where there is none.
pub type Parameter = (Py<PyString>, u8, Py<PyAny>);

// How Python binds a parameter, by the numbers of `inspect.Parameter.kind`.
const POSITIONAL_ONLY: u8 = 0;
const EITHER: u8 = 1;
const VAR_POSITIONAL: u8 = 2;
const KEYWORD_ONLY: u8 = 3;

/// The parameters of a function.
#[derive(Debug)]
pub struct Parameters {
    list: Vec<(Py<PyString>, u8, Option<Py<PyAny>>)>,
    /// What `key` made of each name.
    keys: Vec<Box<[u8]>>,
    skips_first: bool,
}

impl Parameters {
    /// `skips_first`: the first argument by position is for none of these. `key` makes of a name what `bind` is to
    /// hand over with it.
    #[must_use]
    pub fn new(
        py: Python<'_>,
        list: Vec<Parameter>,
        skips_first: bool,
        key: impl Fn(&str) -> Box<[u8]>,
    ) -> Self {
        let nothing = py.Ellipsis();
        let known = |(name, binding, default): Parameter| {
            (name, binding, Some(default).filter(|default| !default.is(&nothing)))
        };
        let keys = list.iter().map(|(name, ..)| key(&name.bind(py).to_string_lossy())).collect();
        Self { list: list.into_iter().map(known).collect(), keys, skips_first }
    }

    /// Hands every parameter that has a value to `each` with its key, then the keywords that are no parameter's
    /// where the function takes such. What does not fit is left out: the call itself raises for it.
    pub fn bind<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
        mut each: impl FnMut(Option<&[u8]>, &Bound<'py, PyAny>, &Bound<'py, PyAny>),
    ) {
        let py = args.py();
        let mut at = usize::from(self.skips_first);
        for ((name, binding, default), key) in self.list.iter().zip(&self.keys) {
            let name = name.bind(py);
            let value = match *binding {
                POSITIONAL_ONLY | EITHER if at < args.len() => {
                    at += 1;
                    args.get_item(at - 1).ok()
                }
                POSITIONAL_ONLY => None,
                EITHER | KEYWORD_ONLY => kwargs.get_item(name).ok().flatten(),
                VAR_POSITIONAL => {
                    let rest = args.get_slice(at, args.len());
                    at = args.len();
                    Some(rest.into_any())
                }
                _ => {
                    self.other_keywords(kwargs, &mut each);
                    continue;
                }
            };
            let default = default.as_ref().map(|default| default.bind(py));
            if let Some(value) = value.as_ref().or(default) {
                each(Some(key), name, value);
            }
        }
    }

    fn other_keywords<'py>(
        &self,
        kwargs: &Bound<'py, PyDict>,
        each: &mut impl FnMut(Option<&[u8]>, &Bound<'py, PyAny>, &Bound<'py, PyAny>),
    ) {
        for (key, value) in kwargs.iter() {
            let is_named = self.list.iter().any(|(name, binding, _)| {
                matches!(*binding, EITHER | KEYWORD_ONLY)
                    && name.bind(kwargs.py()).as_any().eq(&key).unwrap_or(false)
            });
            if !is_named {
                each(None, &key, &value);
            }
        }
    }
}
