/* The axis: every span fits, ticks are round and few, and odd input cannot produce NaN. */
import { describe, expect, it } from "vitest";
import { extentOf, niceStep, rangeOf, tickLabel, ticks } from "./timeScale";

describe("rangeOf", () => {
  it("covers a child that starts before its parent and ends after it", () => {
    expect(rangeOf({ start_offset_ns: [0, -50, 90], duration_ns: [100, 10, 40] }, null)).toEqual({
      start: -50,
      end: 130,
    });
  });
  it("lets an open span reach to now, and never shrinks below what ended", () => {
    expect(rangeOf({ start_offset_ns: [0], duration_ns: [null] }, 500)).toEqual({ start: 0, end: 500 });
    expect(rangeOf({ start_offset_ns: [0], duration_ns: [900] }, 500)).toEqual({ start: 0, end: 900 });
  });
  it("is never empty", () => {
    expect(rangeOf({ start_offset_ns: [], duration_ns: [] }, null)).toEqual({ start: 0, end: 1 });
  });
});

describe("extentOf", () => {
  const range = { start: 0, end: 1000 };
  it("gives fractions", () => {
    expect(extentOf(range, 250, 500)).toEqual({ left: 0.25, width: 0.5 });
  });
  it("clips what is outside", () => {
    expect(extentOf(range, -100, 50)).toEqual({ left: 0, width: 0 });
    expect(extentOf(range, 900, 5000).width).toBeCloseTo(0.1);
  });
  it("takes a negative or broken length as none", () => {
    expect(extentOf(range, 100, -5)).toEqual({ left: 0.1, width: 0 });
    expect(extentOf(range, Number.NaN, 5)).toEqual({ left: 0, width: 0 });
  });
});

describe("ticks", () => {
  it.each([
    [1000, 5, 200],
    [1e6, 4, 500_000],
    [7e9, 5, 2e9],
    [3600e9, 6, 600e9],
    [86_400e9 * 30, 5, 86_400e9 * 6],
  ])("a range of %d ns in at most %d steps", (length, most, step) => {
    expect(niceStep(length, most)).toBe(step);
  });
  it("stays inside the range and near the count asked for", () => {
    for (const length of [1, 3, 17, 999, 12_345, 9.9e7, 4.2e9, 7.7e12, 3e15]) {
      const got = ticks({ start: 0, end: length }, 6);
      expect(got.length).toBeGreaterThan(0);
      expect(got.length).toBeLessThanOrEqual(8);
      expect(Math.max(...got)).toBeLessThanOrEqual(length);
    }
  });
  it("labels in one unit", () => {
    expect(tickLabel(0, 1e6)).toBe("0");
    expect(tickLabel(250e6, 50e6)).toBe("250 ms");
    expect(tickLabel(1500e6, 500e6)).toBe("1.5 s");
    expect(tickLabel(2e9, 1e9)).toBe("2 s");
    expect(tickLabel(5400e9, 1800e9)).toBe("1 h 30 min");
  });
});
