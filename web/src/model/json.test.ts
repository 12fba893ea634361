/* JSON as rows: lazy branches, sliced arrays, digits that survive, keys that look like paths. */
import { describe, expect, it } from "vitest";
import { defaultOpen, ExactNumber, flattenJson, parseJson, prettyJson, SLICE } from "./json";

const value = (text: string) => {
  const parsed = parseJson(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};

describe("parseJson", () => {
  it("keeps the digits of integers a double would round", () => {
    const got = value(
      '{"id": 12345678901234567890, "ok": 1234567890123456, "f": 0.12345678901234567}',
    ) as Record<string, unknown>;
    expect(got.id).toEqual(new ExactNumber("12345678901234567890"));
    expect(got.ok).toBe(1234567890123456);
    expect(got.f).toBeTypeOf("number");
    expect(prettyJson(got)).toContain('"id": 12345678901234567890,');
  });
  it("leaves digits inside strings and fractions alone", () => {
    expect(value('{"a": "12345678901234567890", "b\\"1234567890123456789": -0.1234567890123456}')).toEqual({
      a: "12345678901234567890",
      'b"1234567890123456789': -0.1234567890123456,
    });
  });
  it("says why a text is not JSON", () => {
    expect(parseJson("{oops").ok).toBe(false);
  });
});

describe("flattenJson", () => {
  it("walks only what is open", () => {
    const v = value('{"a": {"b": [1, 2]}, "c": null}');
    expect(flattenJson(v, new Set()).length).toBe(1);
    expect(flattenJson(v, new Set([""])).map((r) => r.label)).toEqual([null, "a", "c"]);
    expect(flattenJson(v, new Set(["", "/a", "/a/b"])).map((r) => r.depth)).toEqual([0, 1, 2, 3, 3, 1]);
  });
  it("gives keys with slashes and tildes paths of their own", () => {
    const v = value('{"a/b": {"c": 1}, "a": {"b": {"c": 2}}, "~": 3}');
    const rows = flattenJson(v, new Set(["", "/a~1b", "/a", "/a/b"]));
    expect(new Set(rows.map((r) => r.path)).size).toBe(rows.length);
  });
  it("slices long arrays, nested for very long ones", () => {
    const items = Array.from({ length: 250_000 }, (_, i) => i);
    const top = flattenJson(items, new Set([""]));
    expect(top.length).toBeLessThanOrEqual(SLICE + 1);
    const first = top[1];
    const opened = flattenJson(items, new Set(["", first?.path ?? ""]));
    expect(opened.length).toBe(top.length + SLICE);
    const inner = opened[2];
    expect(flattenJson(items, new Set(["", first?.path ?? "", inner?.path ?? ""]))[3]).toMatchObject({
      label: "0",
      value: 0,
    });
  });
});

describe("defaultOpen", () => {
  it("opens a small value whole and a large one only at its root", () => {
    expect(defaultOpen({ a: { b: 1 } })).toEqual(new Set(["", "/a"]));
    expect(defaultOpen(Array.from({ length: 1000 }, () => ({})))).toEqual(new Set([""]));
    expect(defaultOpen("text").size).toBe(0);
  });
});
