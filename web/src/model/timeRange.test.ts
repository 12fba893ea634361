/* Time windows in the URL: look-backs resolve at request time, and nonsense never reaches the server. */
import { expect, it } from "vitest";
import { cleanBound, inputToNs, nsToInput, resolveWindow, windowLabel } from "./timeRange";

it("resolves a look-back against the clock and leaves absolute bounds alone", () => {
  expect(resolveWindow({ from: "-1h" }, 7_200_000)).toEqual({ from: "3600000000000" });
  expect(resolveWindow({ from: "5", to: "9" }, 0)).toEqual({ from: "5", to: "9" });
  expect(resolveWindow({}, 0)).toEqual({});
});

it("drops what is not a bound", () => {
  for (const bad of ["yesterday", "-1y", "", "1e9", 5, null, "-9999999999999999999h", "1".repeat(20)]) {
    expect(cleanBound(bad)).toBeUndefined();
  }
  expect(cleanBound("-7d")).toBe("-7d");
  expect(cleanBound("1700000000000000000")).toBe("1700000000000000000");
});

it("says the window in words", () => {
  expect(windowLabel({}, "utc")).toBe("All time");
  expect(windowLabel({ from: "-1h" }, "utc")).toBe("1 h");
  expect(windowLabel({ from: "-3h" }, "utc")).toBe("Last 3h");
  expect(windowLabel({ from: "0" }, "utc")).toBe("Since 1970-01-01 00:00");
});

it("reads and writes the date field", () => {
  const ns = inputToNs("2026-03-04T05:06", "utc");
  expect(ns).toBe("1772600760000000000");
  expect(nsToInput(ns, "utc")).toBe("2026-03-04T05:06");
  expect(nsToInput("-1h", "utc")).toBe("");
  expect(inputToNs("garbage", "utc")).toBeUndefined();
});
