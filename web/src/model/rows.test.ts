/* Rows out of columns, and how far an open span is drawn in each state. */
import { describe, expect, it } from "vitest";
import type { RunState, Skeleton } from "@/api/types";
import { countRows, matchesOf, openUntil, rowAt, rowOf, tickEvery } from "./rows";

const skeleton = (state: RunState, open_count: number): Skeleton =>
  ({
    trace: { state, open_count, received_ns: "3000000000" },
    base_ns: "1000000000",
    names: ["Plan", "search docs"],
    agents: ["billing"],
    models: [],
    span_id: ["a", "b"],
    name: [0, 1],
    agent: [0, -1],
    model: [-1, -1],
    duration_ns: [null, 5],
    open: [true, false],
    kind: ["agent", "tool"],
    depth: [0, 1],
    start_offset_ns: [0, 2],
    status: ["ok", "ok"],
    interrupted: [false, false],
    error: [false, false],
    missing_parent: [false, false],
    repaired: [false, false],
    tokens: [null, null],
    annotation_count: [0, 0],
  }) as unknown as Skeleton;

describe("openUntil", () => {
  it.each([
    ["running", 1, 4e9],
    ["unknown", 1, 4e9],
    ["stalled", 1, 2e9],
    ["interrupted", 0, null],
    ["done", 0, null],
  ] as const)("%s", (state, open, until) => {
    expect(openUntil(skeleton(state, open), 5000)).toBe(until);
  });
  it("never lies before the start, whatever the clocks say", () => {
    expect(openUntil(skeleton("running", 1), 0)).toBe(0);
  });
});

it("ticks only what moves", () => {
  expect(tickEvery(skeleton("running", 1))).toBeLessThan(200);
  expect(tickEvery(skeleton("stalled", 1))).toBeNull();
  expect(tickEvery(skeleton("running", 0))).toBeNull();
});

it("reads a row and finds by name and id", () => {
  const s = skeleton("done", 0);
  expect(rowAt(s, 0)).toMatchObject({
    name: "Plan",
    agent: "billing",
    model: null,
    duration: null,
    open: true,
  });
  expect(rowOf(s, "b")).toBe(1);
  expect(rowOf(s, undefined)).toBe(-1);
  expect(countRows(s, matchesOf(s, " SEARCH "))).toBe(1);
  expect(countRows(s, matchesOf(s, ""))).toBe(0);
});
