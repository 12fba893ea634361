/* Previews are JSON cut anywhere; whatever the cut, a person reads words. */
import { expect, it } from "vitest";
import { readable } from "./preview";

it.each([
  ["plain words, {not json}", "plain words, {not json}"],
  ['"a \\"quoted\\" text\\nnext"', 'a "quoted" text next'],
  ['{"result":"Refunds are possible"}', "Refunds are possible"],
  ['{"result":"cut in the midd', "cut in the midd"],
  ['{"result":"cut at an escape\\', "cut at an escape"],
  ['{"a":1,"b":[true,null]}', "a: 1 · b: true · null"],
  ['{"result":{"x":1},"more":2}', "result: x: 1 · more: 2"],
  ['{"tier":"gold"}', "tier: gold"],
  ['{"question":"\\u043a\\u043b\\u044e\\u0447"}', "ключ"],
  ["[]", ""],
])("%s", (preview, text) => {
  expect(readable(preview)).toBe(text);
});
