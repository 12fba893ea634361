/*
 * Which rows of a trace are shown, and how to walk them. The server sends spans in pre-order with the end of each subtree,
 * so hiding a collapsed subtree is a jump, a parent is a look-up, and nothing here builds a tree. Collapsed spans are
 * remembered by id: a live refetch moves rows but keeps ids.
 */

interface Shape {
  span_id: string[];
  parent: number[];
  subtree_end: number[];
}

/** Row indexes in display order, without what lies under a collapsed span. */
export function visibleRows(shape: Shape, collapsed: ReadonlySet<string>): Int32Array {
  const n = shape.span_id.length;
  const out = new Int32Array(n);
  let count = 0;
  let i = 0;
  while (i < n) {
    out[count++] = i;
    i = collapsed.size > 0 && collapsed.has(shape.span_id[i] ?? "") ? endOf(shape, i) : i + 1;
  }
  return out.subarray(0, count);
}

function endOf(shape: Shape, row: number): number {
  const end = shape.subtree_end[row] ?? row + 1;
  return end > row ? end : row + 1;
}

export function hasChildren(shape: Shape, row: number): boolean {
  return endOf(shape, row) > row + 1;
}

export function descendantCount(shape: Shape, row: number): number {
  return endOf(shape, row) - row - 1;
}

/** The position of a row among the visible ones, or -1 when it is hidden. `visible` ascends, so this is a binary search. */
export function positionOf(visible: Int32Array, row: number): number {
  let low = 0;
  let high = visible.length - 1;
  while (low <= high) {
    const mid = (low + high) >> 1;
    const at = visible[mid] ?? 0;
    if (at === row) return mid;
    if (at < row) low = mid + 1;
    else high = mid - 1;
  }
  return -1;
}

/** The set without the ancestors of `row`, so that the row is shown. The same set when nothing changes. */
export function revealed(shape: Shape, collapsed: ReadonlySet<string>, row: number): ReadonlySet<string> {
  const hidden: string[] = [];
  for (let at = shape.parent[row] ?? -1, steps = 0; at >= 0 && steps < 100_000; steps++) {
    const id = shape.span_id[at] ?? "";
    if (collapsed.has(id)) hidden.push(id);
    at = shape.parent[at] ?? -1;
  }
  if (hidden.length === 0) return collapsed;
  const next = new Set(collapsed);
  for (const id of hidden) next.delete(id);
  return next;
}

/** The first row after `from` (wrapping round) for which `wanted` is true; -1 when there is none. */
export function nextMatch(count: number, from: number, wanted: (row: number) => boolean): number {
  for (let step = 1; step <= count; step++) {
    const row = (from + step + count) % count;
    if (wanted(row)) return row;
  }
  return -1;
}

/** Every span that has children: what "collapse all" collapses, roots left open. */
export function collapsible(shape: Shape): Set<string> {
  const out = new Set<string>();
  for (let i = 0; i < shape.span_id.length; i++) {
    if ((shape.parent[i] ?? -1) >= 0 && hasChildren(shape, i)) out.add(shape.span_id[i] ?? "");
  }
  return out;
}

export type Move = "up" | "down" | "first" | "last" | "pageUp" | "pageDown";

/** The visible position a key leads to. */
export function moved(position: number, count: number, move: Move, page: number): number {
  if (count === 0) return -1;
  const last = count - 1;
  const target = {
    up: position - 1,
    down: position + 1,
    first: 0,
    last,
    pageUp: position - page,
    pageDown: position + page,
  }[move];
  return Math.min(last, Math.max(0, target));
}
