/* The grammar in the browser: tokens, certain mistakes, and menus that rewrite one term and nothing else. */
import { describe, expect, it } from "vitest";
import {
  allOf,
  canonical,
  completions,
  fieldValues,
  problemOf,
  quote,
  toggleFieldValue,
  tokenize,
  withFieldValues,
} from "./filter";

describe("tokenize", () => {
  it("reads every form of the grammar", () => {
    const tokens = tokenize(
      'status:error,timeout cost>=0.1 -agent:billing (NOT kind:llm OR "two words") refund',
    );
    expect(tokens.map((t) => t.type)).toEqual([
      "term",
      "term",
      "not",
      "term",
      "open",
      "not",
      "term",
      "or",
      "word",
      "close",
      "word",
    ]);
    expect(tokens[0]).toMatchObject({ field: "status", op: ":", values: ["error", "timeout"] });
    expect(tokens[1]).toMatchObject({ field: "cost", op: ">=", values: ["0.1"] });
    expect(tokens[8]).toMatchObject({ value: "two words" });
  });
  it("keeps commas, spaces, parentheses and escapes inside quotes", () => {
    expect(tokenize('name:"a, (b) \\"c\\"",d')[0]).toMatchObject({ values: ['a, (b) "c"', "d"] });
  });
  it("takes a dash inside a word as part of it", () => {
    expect(tokenize("name:embed-query - x")).toMatchObject([
      { values: ["embed-query"] },
      { value: "-" },
      { value: "x" },
    ]);
  });
  it("ends on anything", () => {
    for (const text of ['"', "((((", 'a:"', "-", ":", ">=", "\\", 'a:"\\', "🙂:🙂", "a:,,,"]) {
      expect(Array.isArray(tokenize(text))).toBe(true);
    }
  });
});

describe("problemOf", () => {
  it.each([
    ["status:error", null],
    ["metadata.tier:gold", null],
    ["https://example.org", "There is no field"],
    ["colour:red", "There is no field “colour”"],
    ["status:", "status: needs a value"],
    ['name:"open', "A quote is open"],
    ["(a", "A ( is open"],
    ["a)", "A ) has no ("],
    ["OR a", "OR needs"],
    ["a OR", "OR needs"],
  ])("%s", (text, start) => {
    const found = problemOf(text);
    if (start === null) expect(found).toBeNull();
    else expect(found?.message.startsWith(start)).toBe(true);
  });
});

describe("menus over the text", () => {
  it("adds, extends and removes a term", () => {
    expect(toggleFieldValue("", "status", "error")).toBe("status:error");
    expect(toggleFieldValue("status:error refund", "status", "timeout")).toBe("status:error,timeout refund");
    expect(toggleFieldValue("status:error refund", "status", "error")).toBe("refund");
  });
  it("does not touch a negated, grouped or compared term", () => {
    const text = "-status:ok (status:error) tokens>5";
    expect(fieldValues(text, "status")).toEqual([]);
    expect(toggleFieldValue(text, "status", "error")).toBe(`${text} status:error`);
  });
  it("wraps an OR so that its meaning survives", () => {
    expect(withFieldValues("a OR b", "kind", ["llm"])).toBe("(a OR b) kind:llm");
  });
  it("quotes what needs it, and reads it back", () => {
    for (const value of [
      "plain",
      "two words",
      'with "quotes"',
      "a,b",
      "(x)",
      "-minus",
      "a:b",
      "back\\slash",
      "ключ",
    ]) {
      expect(fieldValues(withFieldValues("", "agent", [value]), "agent")).toEqual([value]);
    }
    expect(quote("plain")).toBe("plain");
  });
});

it("joins conditions without changing either", () => {
  expect(allOf("", "trace:a,b")).toBe("trace:a,b");
  expect(allOf("x OR y", "trace:a")).toBe("(x OR y) trace:a");
});

it("has one canonical text", () => {
  expect(canonical("  a   ( b   OR  -c )  ")).toBe("a (b OR -c)");
  expect(canonical(canonical("-(a  b) x:y"))).toBe(canonical("-(a  b) x:y"));
});

it("completes the field before the caret", () => {
  expect(completions("sta", 3).map((c) => c.field)).toEqual(["status", "state"]);
  expect(completions("-ag x", 3)).toEqual([{ field: "agent", text: "-agent: x", caret: 7 }]);
  expect(completions('name:"sta', 9)).toEqual([]);
  expect(completions("status:e", 8)).toEqual([]);
  expect(completions("", 0).length).toBeGreaterThan(10);
});
