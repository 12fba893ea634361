//! From a heap of spans to a tree in reading order.
//!
//! Spans come from strangers: parents may be missing, discarded, or their own descendants, and a
//! chain may be a hundred thousand deep. Nothing here recurses, and every step is linear.

use std::collections::{HashMap, HashSet};

use staso_model::{Span, SpanId};

use crate::row::{Place, TreeSpan};

/// Where a span hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    Root,
    /// Under one that has not arrived; `None` for a ring.
    Missing(Option<SpanId>),
    Under(usize),
}

/// The spans that were not dropped, pre-order, siblings by (start, id).
///
/// * A dropped span's children hang under its nearest ancestor that was not dropped.
/// * A span whose parent has not arrived stands as a root and says so; likewise every span that is
///   its own ancestor, so that the answer does not depend on where a cycle is entered.
#[must_use]
pub fn tree_order(mut spans: Vec<Span>) -> Vec<TreeSpan> {
    spans.sort_by_key(|span| (span.start_ns, span.span_id));
    let bridged = bridge_dropped(&parents(&spans), &spans);
    let named_by =
        |(hook, span): (&Hook, &Span)| target(*hook, &spans).filter(|id| *id != span.span_id);
    let named: Vec<_> = bridged.iter().zip(&spans).map(named_by).collect();
    let hooks = cut_cycles(&bridged);
    let children = children(&hooks, &spans);
    let order = pre_order(&children);
    assemble(spans, &hooks, &named, &order)
}

/// The span that a hook names, arrived or not.
fn target(hook: Hook, spans: &[Span]) -> Option<SpanId> {
    match hook {
        Hook::Root => None,
        Hook::Missing(id) => id,
        Hook::Under(parent) => Some(spans[parent].span_id),
    }
}

/// What a walk towards the root has to know of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its parent as sent.
    pub parent: Option<SpanId>,
    /// Whether it was dropped.
    pub dropped: bool,
}

impl Step {
    /// The step that a span is.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        Self { parent: span.parent_span_id, dropped: span.dropped }
    }
}

/// Where one span stands, found by walking towards the root instead of reading the whole trace;
/// `None` for a dropped one. `look` answers for any span of the trace; `None` is one that has
/// not arrived. What is said here is what [`tree_order`] would say.
///
/// # Errors
/// The first error of `look`.
pub fn place<E>(
    span: &Span,
    mut look: impl FnMut(SpanId) -> Result<Option<Step>, E>,
) -> Result<Option<Place>, E> {
    if span.dropped {
        return Ok(None);
    }
    // Every span passed that was not dropped, with its distance from the first.
    let mut passed = HashMap::from([(span.span_id, 0_u32)]);
    let mut found = nearest_kept(span.parent_span_id, &mut look)?;
    let parent_span_id = found.id().filter(|id| *id != span.span_id);
    loop {
        let above = u32::try_from(passed.len()).unwrap_or(u32::MAX);
        let (depth, is_lost) = match found {
            Above::Nothing => (above - 1, false),
            Above::Missing(_) => (above - 1, true),
            // A ring: each of its members is a root.
            Above::Kept(id, _) if passed.contains_key(&id) => (passed[&id], true),
            Above::Kept(id, next) => {
                passed.insert(id, above);
                found = nearest_kept(next, &mut look)?;
                continue;
            }
        };
        // Only who names the lost one stands as a root because of it.
        let missing_parent = is_lost && depth == 0;
        return Ok(Some(Place { parent_span_id, depth, missing_parent }));
    }
}

/// What stands above a span once dropped ones are passed over.
enum Above {
    Nothing,
    /// One that has not arrived; `None` for a ring of dropped ones.
    Missing(Option<SpanId>),
    /// A span that was not dropped, and its parent.
    Kept(SpanId, Option<SpanId>),
}

impl Above {
    fn id(&self) -> Option<SpanId> {
        match self {
            Self::Nothing => None,
            Self::Missing(id) => *id,
            Self::Kept(id, _) => Some(*id),
        }
    }
}

fn nearest_kept<E>(
    mut parent: Option<SpanId>,
    look: &mut impl FnMut(SpanId) -> Result<Option<Step>, E>,
) -> Result<Above, E> {
    let mut passed = HashSet::new();
    while let Some(id) = parent {
        match look(id)? {
            Some(step) if !step.dropped => return Ok(Above::Kept(id, step.parent)),
            // A ring of dropped ones leads nowhere.
            Some(step) if passed.insert(id) => parent = step.parent,
            Some(_) => return Ok(Above::Missing(None)),
            None => return Ok(Above::Missing(Some(id))),
        }
    }
    Ok(Above::Nothing)
}

/// Every span's parent as sent.
fn parents(spans: &[Span]) -> Vec<Hook> {
    let places: HashMap<_, _> = spans.iter().enumerate().map(|(i, s)| (s.span_id, i)).collect();
    let hook = |span: &Span| match span.parent_span_id {
        None => Hook::Root,
        Some(parent) => {
            places.get(&parent).map_or(Hook::Missing(Some(parent)), |i| Hook::Under(*i))
        }
    };
    spans.iter().map(hook).collect()
}

/// Lets every span point past dropped ones. Each dropped span is resolved once: a walk stops at
/// the first one already resolved, and writes its answer back along the way.
fn bridge_dropped(parents: &[Hook], spans: &[Span]) -> Vec<Hook> {
    let mut resolved: Vec<Option<Hook>> = vec![None; spans.len()];
    let mut walked = vec![false; spans.len()];
    let mut path = Vec::new();
    for start in 0..spans.len() {
        let mut at = start;
        let answer = loop {
            if let Some(known) = resolved[at] {
                break known;
            }
            if walked[at] {
                // Only dropped spans are walked through: a ring of them leads nowhere.
                break Hook::Missing(None);
            }
            walked[at] = true;
            path.push(at);
            match parents[at] {
                Hook::Under(parent) if spans[parent].dropped => at = parent,
                other => break other,
            }
        };
        path.drain(..).for_each(|i| resolved[i] = Some(answer));
    }
    resolved.into_iter().map(|hook| hook.unwrap_or(Hook::Missing(None))).collect()
}

/// Turns every member of a cycle into a root. Colours: 0 unseen, 1 on this walk, 2 done.
fn cut_cycles(hooks: &[Hook]) -> Vec<Hook> {
    let mut cut = hooks.to_vec();
    let mut colour = vec![0_u8; hooks.len()];
    let mut path = Vec::new();
    for start in 0..hooks.len() {
        let mut at = Some(start);
        while let Some(i) = at.filter(|i| colour[*i] == 0) {
            colour[i] = 1;
            path.push(i);
            at = if let Hook::Under(parent) = hooks[i] { Some(parent) } else { None };
        }
        if let Some(entry) = at.filter(|i| colour[*i] == 1) {
            let members = path.iter().rev().take_while(|i| **i != entry).chain([&entry]);
            members.for_each(|i| cut[*i] = Hook::Missing(None));
        }
        path.drain(..).for_each(|i| colour[i] = 2);
    }
    cut
}

/// Children by parent, the roots in the extra last place; all in (start, id) order because `spans`
/// is.
fn children(hooks: &[Hook], spans: &[Span]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); spans.len() + 1];
    for (i, span) in spans.iter().enumerate() {
        if !span.dropped {
            let under = if let Hook::Under(parent) = hooks[i] { parent } else { spans.len() };
            children[under].push(i);
        }
    }
    children
}

fn pre_order(children: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(children.len());
    let mut stack: Vec<usize> = children.last().into_iter().flatten().rev().copied().collect();
    while let Some(i) = stack.pop() {
        order.push(i);
        stack.extend(children[i].iter().rev());
    }
    order
}

fn assemble(
    spans: Vec<Span>,
    hooks: &[Hook],
    named: &[Option<SpanId>],
    order: &[usize],
) -> Vec<TreeSpan> {
    let mut slots: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
    let mut place = vec![0_u32; slots.len()];
    let mut tree: Vec<TreeSpan> = Vec::with_capacity(order.len());
    for &i in order {
        let Some(span) = slots[i].take() else { continue };
        let at = u32::try_from(tree.len()).unwrap_or(u32::MAX);
        let parent = if let Hook::Under(parent) = hooks[i] { Some(place[parent]) } else { None };
        let depth = parent.map_or(0, |parent| tree[parent as usize].depth + 1);
        place[i] = at;
        let missing_parent = matches!(hooks[i], Hook::Missing(_));
        let parent_span_id = named[i];
        let subtree_end = at + 1;
        tree.push(TreeSpan { span, parent_span_id, depth, parent, subtree_end, missing_parent });
    }
    // A child stands after its parent, so that one backward pass hands every end upwards.
    for i in (0..tree.len()).rev() {
        if let Some(parent) = tree[i].parent {
            let end = tree[i].subtree_end;
            let parent = &mut tree[parent as usize];
            parent.subtree_end = parent.subtree_end.max(end);
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use staso_model::{SpanId, TraceId};

    use super::*;

    fn span(id: u64, parent: u64, dropped: bool) -> Span {
        let id_of = |n: u64| SpanId::from_w3c(n.to_be_bytes());
        let mut span = Span::new("w", TraceId([1; 16]), id_of(id));
        span.parent_span_id = (parent > 0).then(|| id_of(parent));
        span.dropped = dropped;
        span
    }

    /// `id@depth`, with `!` for a missing parent, and `<id` for the parent it is shown with.
    fn shown(spans: Vec<Span>) -> String {
        every_place_is_as_in_the_tree(&spans);
        let show = |t: &TreeSpan| {
            let number = |id: SpanId| u64::from_be_bytes(id.low());
            let parent = t.parent_span_id.map(|id| format!("<{}", number(id))).unwrap_or_default();
            let mark = if t.missing_parent { "!" } else { "" };
            format!("{}@{}{mark}{parent}", number(t.span.span_id), t.depth)
        };
        tree_order(spans).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    fn every_place_is_as_in_the_tree(spans: &[Span]) {
        let look = |id| Ok::<_, ()>(spans.iter().find(|s| s.span_id == id).map(Step::of));
        let tree = tree_order(spans.to_vec());
        for span in spans {
            let found = place(span, look).unwrap();
            let wanted = tree.iter().find(|t| t.span.span_id == span.span_id).map(TreeSpan::place);
            assert_eq!(found, wanted, "{}", span.span_id);
        }
    }

    #[test]
    fn a_parent_stands_before_its_children() {
        let spans =
            vec![span(4, 2, false), span(3, 1, false), span(2, 1, false), span(1, 0, false)];
        let tree = tree_order(spans.clone());
        assert_eq!(shown(spans), "1@0 2@1<1 4@2<2 3@1<1");
        assert_eq!(tree.iter().map(|t| t.subtree_end).collect::<Vec<_>>(), [4, 3, 3, 4]);
        assert_eq!(tree[2].parent, Some(1));
    }

    #[test]
    fn dropped_spans_are_bridged() {
        assert_eq!(
            shown(vec![span(1, 0, false), span(2, 1, true), span(3, 2, false)]),
            "1@0 3@1<1"
        );
        assert_eq!(shown(vec![span(2, 0, true), span(3, 2, false)]), "3@0");
        assert_eq!(shown(vec![span(2, 9, true), span(3, 2, false)]), "3@0!<9");
        assert_eq!(shown(vec![span(2, 3, true), span(3, 2, true), span(4, 2, false)]), "4@0!");
    }

    #[test]
    fn cycles_become_roots_and_keep_their_branches() {
        let ring = vec![span(1, 2, false), span(2, 1, false), span(3, 2, false)];
        assert_eq!(shown(ring), "1@0!<2 2@0!<1 3@1<2");
        assert_eq!(shown(vec![span(1, 1, false)]), "1@0!");
        assert_eq!(shown(vec![span(1, 2, false), span(2, 1, true)]), "1@0!");
    }

    #[test]
    fn deep_chains_do_not_exhaust_the_stack() {
        const DEEP: u64 = 100_000;
        for dropped in [false, true] {
            let chain = (1..=DEEP).map(|i| span(i, i - 1, dropped && i > 1 && i < DEEP)).collect();
            let tree = tree_order(chain);
            assert_eq!(tree.last().unwrap().depth, if dropped { 1 } else { 99_999 });
            assert_eq!(tree[0].subtree_end as usize, tree.len());
        }
    }
}
