//! `Conversation`: a block whose spans share a conversation, a user, or a parent from elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use staso_sdk::record::{SpanContext, Surroundings};
use staso_sdk::{Place, recorder};

use crate::context::{self, Scope};
use crate::ready::Ready;

/// A context manager, sync and async, that stands around spans without being one.
#[pyclass(frozen, module = "staso", name = "Conversation")]
pub(crate) struct Conversation {
    #[pyo3(get)]
    session_id: Option<String>,
    #[pyo3(get)]
    user_id: Option<String>,
    remote: Option<Place>,
    entered: Mutex<Vec<(Py<Scope>, Option<Py<PyAny>>)>>,
}

impl Conversation {
    fn enter(&self, py: Python<'_>) {
        let Some(recorder) = recorder::active() else { return };
        let previous = context::innermost(py);
        let (_, outside) = context::surroundings(previous.as_ref());
        let outside = outside.unwrap_or_else(|| Arc::clone(&recorder.surroundings));
        let inside = SpanContext {
            session_id: self.session_id.clone().or_else(|| outside.context.session_id.clone()),
            user_id: self.user_id.clone().or_else(|| outside.context.user_id.clone()),
            ..outside.context.clone()
        };
        let scope = Scope {
            remote: self.remote,
            surroundings: Surroundings::new(inside, recorder.limits.value_bytes),
            previous: previous.map(Bound::unbind),
            left_behind: Mutex::default(),
        };
        if let Ok(scope) = Bound::new(py, scope) {
            let token = context::set(py, Some(scope.as_any())).map(Bound::unbind);
            let mut entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
            entered.push((scope.unbind(), token));
        }
    }

    fn exit(&self, py: Python<'_>) {
        let entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some((scope, token)) = entered {
            let this = scope.get();
            let token = context::leave(scope.bind(py).as_any(), token, this.previous.as_ref());
            *this.left_behind.lock().unwrap_or_else(PoisonError::into_inner) = token;
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
        let remote = remote.and_then(|(trace, span, is_kept)| Place::of_remote(&trace, &span, is_kept));
        Self { session_id, user_id, remote, entered: Mutex::new(Vec::new()) }
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.get().enter(slf.py());
        slf.clone()
    }

    #[pyo3(signature = (*_exc_info))]
    fn __exit__(&self, py: Python<'_>, _exc_info: &Bound<'_, PyTuple>) -> bool {
        self.exit(py);
        false
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> Ready {
        slf.get().enter(slf.py());
        Ready::with(slf.clone().into_any().unbind())
    }

    #[pyo3(signature = (*_exc_info))]
    fn __aexit__(&self, py: Python<'_>, _exc_info: &Bound<'_, PyTuple>) -> Ready {
        self.exit(py);
        Ready::with(py.None())
    }
}
