/* Frames from the two languages, and the frame a person wants to see first. */
import { expect, it } from "vitest";
import { framesOf, originOf } from "./stack";

const PYTHON = `Traceback (most recent call last):
  File "/app/agent.py", line 40, in run
    charge(card)
  File "/app/billing.py", line 12, in charge
    client.post(url)
  File "/usr/lib/python3.11/site-packages/http.py", line 900, in post
    raise Timeout()
http.Timeout: no answer`;

it("reads Python frames and names the innermost own one", () => {
  expect(framesOf(PYTHON)).toHaveLength(3);
  expect(originOf(PYTHON)).toEqual({ file: "/app/billing.py", line: 12, name: "charge" });
});

it("reads JavaScript frames, innermost last", () => {
  const stack = "Error: x\n    at inner (/app/a.js:3:5)\n    at /app/b.js:9:1";
  expect(framesOf(stack)).toEqual([
    { file: "/app/b.js", line: 9, name: null },
    { file: "/app/a.js", line: 3, name: "inner" },
  ]);
});

it("has nothing to say about other text", () => {
  expect(originOf("it broke")).toBeNull();
  expect(originOf("x".repeat(3_000_000))).toBeNull();
});
