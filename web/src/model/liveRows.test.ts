/* News in a list that is being read: in place, waiting, bounded. */
import { describe, expect, it } from "vitest";
import type { TraceRow } from "@/api/types";
import { arrivals, insertRows, patchPage, WAITING_LIMIT, withWaiting } from "./liveRows";

const row = (trace_id: string, start: number, more: Partial<TraceRow> = {}): TraceRow =>
  ({ trace_id, start_ns: String(start), ...more }) as TraceRow;
const news = (rows: TraceRow[], deleted: string[] = []) => ({ rows, deleted: new Set(deleted) });

describe("patchPage", () => {
  const page = [row("a", 3), row("b", 2)];
  it("replaces in place and keeps the order", () => {
    const next = patchPage(page, news([row("b", 2, { span_count: 9 })]));
    expect(next.map((r) => r.trace_id)).toEqual(["a", "b"]);
    expect(next[1]?.span_count).toBe(9);
    expect(next[0]).toBe(page[0]);
  });
  it("drops deleted rows", () => {
    expect(patchPage(page, news([], ["a"])).map((r) => r.trace_id)).toEqual(["b"]);
  });
  it("is the same object when nothing changed", () => {
    expect(patchPage(page, news([row("z", 9)]))).toBe(page);
  });
});

it("counts as arrived what belongs among the loaded rows", () => {
  const got = arrivals(
    news([row("new", 10), row("old", 1), row("a", 5), row("middle", 6)]),
    new Set(["a"]),
    "5",
  );
  expect(got.map((r) => r.trace_id)).toEqual(["new", "middle"]);
  expect(arrivals(news([row("first", 1)]), new Set(), null)).toHaveLength(1);
});

describe("insertRows", () => {
  const pages = [
    [row("a", 9), row("b", 7)],
    [row("c", 5), row("d", 3)],
  ];
  const ids = (next: TraceRow[][]) => next.map((page) => page.map((r) => r.trace_id).join(""));
  it("puts each where its start belongs", () => {
    expect(ids(insertRows(pages, [row("x", 10), row("y", 6), row("z", 4), row("w", 1)]))).toEqual([
      "xab",
      "yczdw",
    ]);
  });
  it("adds nothing twice and works on an empty list", () => {
    expect(ids(insertRows(pages, [row("a", 9)]))).toEqual(["ab", "cd"]);
    expect(ids(insertRows([], [row("a", 9), row("a", 9)]))).toEqual(["a"]);
  });
});

it("compares nanoseconds beyond what a double holds", () => {
  const a = row("a", 0, { start_ns: "1700000000000000001" });
  const b = row("b", 0, { start_ns: "1700000000000000002" });
  expect(withWaiting([], news([]), [a, b]).map((r) => r.trace_id)).toEqual(["b", "a"]);
});

it("keeps one entry per trace and a bound", () => {
  const many = Array.from({ length: WAITING_LIMIT + 50 }, (_, i) => row(`t${i}`, i));
  const pile = withWaiting([], news([]), [...many, ...many]);
  expect(pile).toHaveLength(WAITING_LIMIT);
  expect(pile[0]?.trace_id).toBe(`t${WAITING_LIMIT + 49}`);
  expect(withWaiting(pile, news([], [pile[0]?.trace_id ?? ""]), [])).toHaveLength(WAITING_LIMIT - 1);
});
