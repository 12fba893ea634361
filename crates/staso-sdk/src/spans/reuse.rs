//! The node of a thread's last span, used again by its next one: to ask for memory, fill it and give it back costs more
//! than the rest of a small span.

use std::cell::Cell;
use std::sync::Arc;

use staso_model::SpanKind;

use crate::held::Held;
use crate::nesting::Node;
use crate::spans::value::Value;

thread_local! {
    static LAST: Cell<Option<Arc<Node<Value>>>> = const { Cell::new(None) };
}

/// A node of a span that has not begun.
#[inline]
pub(crate) fn node(
    name: Value,
    kind: SpanKind,
    held: Option<Box<Held<Value>>>,
) -> Arc<Node<Value>> {
    // A thread that is ending keeps none.
    if let Some(mut last) = LAST.try_with(Cell::take).ok().flatten()
        && let Some(node) = Arc::get_mut(&mut last)
    {
        node.renew_own(name, kind, held);
        return last;
    }
    Arc::new(Node::span(name, kind, held))
}

/// Keeps the node of a span that has ended, where nobody else has it.
#[inline]
pub(crate) fn keep(node: Arc<Node<Value>>) {
    if Arc::strong_count(&node) == 1 {
        let _ = LAST.try_with(|last| last.set(Some(node)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::Phase;

    #[test]
    fn a_node_is_used_again_where_nobody_else_has_it() {
        let new = || node(Value::text("span"), SpanKind::Chain, Some(Box::default()));
        let first = new();
        first.life(|life| life.end(None, None));
        let (handle, address) = (Arc::clone(&first), Arc::as_ptr(&first));
        keep(first);
        let second = new();
        assert_ne!(Arc::as_ptr(&second), address, "somebody has a handle on it");
        assert_eq!(handle.life(|life| life.phase()), Some(Phase::Ended));
        keep(handle);
        let third = new();
        assert_eq!(Arc::as_ptr(&third), address);
        assert_eq!(
            third.life(|life| (life.phase(), life.held().is_some())),
            Some((Phase::New, true))
        );
        let fourth = new();
        assert!(![Arc::as_ptr(&second), address].contains(&Arc::as_ptr(&fourth)));
    }
}
