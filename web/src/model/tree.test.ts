/* Walking the columnar tree: collapse by subtree end, reveal by ancestors, search that wraps. */
import { describe, expect, it } from "vitest";
import {
  collapsible,
  descendantCount,
  hasChildren,
  moved,
  nextMatch,
  positionOf,
  revealed,
  visibleRows,
} from "./tree";

// a ─ b ─ c
//   │   └ d
//   └ e
// f
const shape = {
  span_id: ["a", "b", "c", "d", "e", "f"],
  parent: [-1, 0, 1, 1, 0, -1],
  subtree_end: [5, 4, 3, 4, 5, 6],
};
const shown = (...ids: string[]) => [...visibleRows(shape, new Set(ids))];

describe("visibleRows", () => {
  it("shows all when nothing is collapsed", () => {
    expect(shown()).toEqual([0, 1, 2, 3, 4, 5]);
  });
  it("jumps over a collapsed subtree, nested ones included", () => {
    expect(shown("b")).toEqual([0, 1, 4, 5]);
    expect(shown("a", "b")).toEqual([0, 5]);
  });
  it("takes a collapsed leaf as a leaf", () => {
    expect(shown("f")).toEqual([0, 1, 2, 3, 4, 5]);
  });
  it("always advances, even when subtree ends are wrong", () => {
    const broken = { span_id: ["a", "b"], parent: [-1, 0], subtree_end: [0, 0] };
    expect([...visibleRows(broken, new Set(["a"]))]).toEqual([0, 1]);
  });
  it("flattens 200,000 rows with every second one collapsed", () => {
    const n = 200_000;
    const wide = {
      span_id: Array.from({ length: n }, (_, i) => String(i)),
      parent: Array.from({ length: n }, (_, i) => (i % 2 ? i - 1 : -1)),
      subtree_end: Array.from({ length: n }, (_, i) => (i % 2 ? i + 1 : i + 2)),
    };
    const collapsed = new Set(Array.from({ length: n / 2 }, (_, i) => String(i * 2)));
    expect(visibleRows(wide, collapsed).length).toBe(n / 2);
  });
});

it("knows children and their number", () => {
  expect(hasChildren(shape, 1)).toBe(true);
  expect(hasChildren(shape, 5)).toBe(false);
  expect(descendantCount(shape, 0)).toBe(4);
  expect([...collapsible(shape)]).toEqual(["b"]);
});

it("finds a row's place among the visible, or that it is hidden", () => {
  const visible = visibleRows(shape, new Set(["b"]));
  expect(positionOf(visible, 4)).toBe(2);
  expect(positionOf(visible, 3)).toBe(-1);
});

it("reveals by opening every ancestor, and only those", () => {
  const collapsed = new Set(["a", "b", "f"]);
  expect([...revealed(shape, collapsed, 3)]).toEqual(["f"]);
  expect(revealed(shape, new Set(["f"]), 3)).toEqual(new Set(["f"]));
});

it("searches forward and wraps once", () => {
  expect(nextMatch(6, 2, (i) => i === 4)).toBe(4);
  expect(nextMatch(6, 4, (i) => i === 1)).toBe(1);
  expect(nextMatch(6, -1, (i) => i === 0)).toBe(0);
  expect(nextMatch(6, 2, () => false)).toBe(-1);
  expect(nextMatch(0, 0, () => true)).toBe(-1);
});

it("moves within bounds", () => {
  expect(moved(0, 5, "up", 10)).toBe(0);
  expect(moved(1, 5, "pageDown", 10)).toBe(4);
  expect(moved(4, 5, "first", 10)).toBe(0);
  expect(moved(0, 0, "down", 10)).toBe(-1);
});
