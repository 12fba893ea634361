//! `Scope`: what stands in the context variable for one entering of a conversation.

use pyo3::prelude::*;
use staso_sdk::Place;
use staso_sdk::nesting::{self, Node};

use crate::context::Interpreter;
use crate::value::Held;

/// A block whose spans share a conversation, a user, or a parent from another process.
#[pyclass(frozen, module = "staso._core")]
pub(crate) struct Scope {
    pub(crate) node: Node<Held>,
}

#[pymethods]
impl Scope {
    /// Begins a scope here; none where nothing records. `remote` is `(trace id, span id, is kept)` of a
    /// span in another process.
    #[staticmethod]
    fn enter<'py>(
        py: Python<'py>,
        session_id: Option<&str>,
        user_id: Option<&str>,
        remote: Option<(String, String, bool)>,
    ) -> PyResult<Option<Bound<'py, Self>>> {
        let context = Interpreter(py);
        let remote = remote.and_then(|remote| Place::of_remote(&remote));
        let scope = Node::scope(context, (session_id, user_id), remote);
        let enter = |node| {
            let scope = Bound::new(py, Self { node })?;
            nesting::enter(context, &Held::of(&scope), &scope.get().node);
            Ok(scope)
        };
        scope.map(enter).transpose()
    }

    /// Ends it, wherever and in whatever order.
    fn exit(slf: &Bound<'_, Self>) {
        nesting::exit(Interpreter(slf.py()), &Held::of(slf), &slf.get().node);
    }
}
