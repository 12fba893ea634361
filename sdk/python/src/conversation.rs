//! `Conversation`: a block whose spans share a conversation, a user, or a parent from elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use staso_sdk::record::SpanContext;

use crate::context::{self, Parent, Scope};
use crate::ready::Ready;
use crate::recorder;

/// A context manager, sync and async, that stands around spans without being one.
#[pyclass(frozen, module = "staso", name = "Conversation")]
pub(crate) struct Conversation {
    session_id: Option<String>,
    user_id: Option<String>,
    remote: Option<Parent>,
    entered: Mutex<Vec<Py<Scope>>>,
}

impl Conversation {
    fn enter(&self, py: Python<'_>) {
        let Some(recorder) = recorder::active() else { return };
        let previous = context::skip_ended(context::current(py));
        let (_, outside) = context::surroundings(previous.as_ref());
        let outside = outside.unwrap_or_else(|| Arc::clone(&recorder.context));
        let mut inside = SpanContext::clone(&outside);
        inside.session_id = self.session_id.clone().or(inside.session_id);
        inside.user_id = self.user_id.clone().or(inside.user_id);
        let scope = Scope {
            remote: self.remote.clone(),
            context: Some(Arc::new(inside)),
            previous: previous.map(Bound::unbind),
        };
        if let Ok(scope) = Bound::new(py, scope) {
            context::set_current(py, Some(scope.as_any()));
            let mut entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
            entered.push(scope.unbind());
        }
    }

    fn exit(&self, py: Python<'_>) {
        let scope = self.entered.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(scope) = scope {
            let previous = scope.get().previous.as_ref().map(|entry| entry.bind(py).clone());
            context::leave(scope.bind(py).as_any(), previous.as_ref());
        }
    }
}

#[pymethods]
impl Conversation {
    /// `remote` is `(trace id, span id, is kept)` of a span in another process.
    #[new]
    #[pyo3(signature = (session_id, user_id, remote=None))]
    fn new(
        session_id: Option<String>,
        user_id: Option<String>,
        remote: Option<(String, String, bool)>,
    ) -> Self {
        let remote = remote.and_then(|remote| Parent::of_remote(&remote));
        Self { session_id, user_id, remote, entered: Mutex::new(Vec::new()) }
    }

    #[getter]
    fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    #[getter]
    fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.get().enter(slf.py());
        slf.clone()
    }

    #[pyo3(signature = (*_exc_info))]
    fn __exit__(&self, py: Python<'_>, _exc_info: &Bound<'_, pyo3::types::PyTuple>) -> bool {
        self.exit(py);
        false
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> Ready {
        slf.get().enter(slf.py());
        Ready::with(slf.clone().into_any().unbind())
    }

    #[pyo3(signature = (*_exc_info))]
    fn __aexit__(&self, py: Python<'_>, _exc_info: &Bound<'_, pyo3::types::PyTuple>) -> Ready {
        self.exit(py);
        Ready::with(py.None())
    }
}
