/* Formatting at its edges: unit changes, unknowns, amounts too small for cents, moments out of range. */
import { describe, expect, it } from "vitest";
import {
  formatBytes,
  formatCompact,
  formatCost,
  formatDuration,
  formatMoment,
  formatRelative,
  formatScore,
  formatShortMoment,
  nsToMs,
  oneLine,
} from "./format";

const plain = (text: string) => text.replaceAll(" ", " ");

describe("formatDuration", () => {
  it.each([
    [0, "0 ns"],
    [999, "999 ns"],
    [1000, "1.00 µs"],
    [999_499, "999 µs"],
    [999_500, "1.00 ms"],
    [1_234_567, "1.23 ms"],
    [12_345_678, "12.3 ms"],
    [999_600_000, "1.00 s"],
    [9_996_000_000, "10.0 s"],
    [59_960_000_000, "1 min"],
    [61_000_000_000, "1 min 1 s"],
    [3_600_000_000_000, "1 h"],
    [3_720_000_000_000, "1 h 2 min"],
    [90_000_000_000_000, "1 d 1 h"],
  ])("%d ns", (ns, text) => {
    expect(plain(formatDuration(ns))).toBe(text);
  });
  it("shows the unknown as unknown and keeps a negative sign", () => {
    expect(formatDuration(null)).toBe("–");
    expect(plain(formatDuration(-1500))).toBe("−1.50 µs");
    expect(plain(formatDuration("2500000000"))).toBe("2.50 s");
  });
});

describe("formatCost", () => {
  it.each([
    [null, "–"],
    ["0", "$0"],
    ["1", "<$0.000001"],
    ["1500", "$0.0000015"],
    ["123456", "$0.00012"],
    ["9940000", "$0.0099"],
    ["42000000", "$0.042"],
    ["1234000000", "$1.23"],
    ["12345000000000", "$12,345"],
  ])("%s", (nano, text) => {
    expect(formatCost(nano)).toBe(text);
  });
  it("says at least when parts are unknown", () => {
    expect(formatCost("42000000", true)).toBe("≥$0.042");
  });
});

describe("moments", () => {
  it("keeps the sub-millisecond part of nanoseconds", () => {
    expect(nsToMs("1700000000123456789")).toBeCloseTo(1700000000123.4568, 3);
  });
  it("writes UTC whatever the machine's zone is", () => {
    expect(formatMoment(0, "utc")).toBe("1970-01-01 00:00:00.000");
  });
  it("survives a moment no calendar knows", () => {
    expect(formatMoment(9e18, "utc")).toMatch(/^\+?\d+/);
  });
  it("leaves today out, then the year", () => {
    const now = Date.UTC(2026, 2, 4, 12);
    expect(formatShortMoment(Date.UTC(2026, 2, 4, 5, 6, 7), now, "utc")).toBe("05:06:07");
    expect(formatShortMoment(Date.UTC(2026, 2, 3, 5, 6, 7), now, "utc")).toBe("03-03 05:06:07");
    expect(formatShortMoment(Date.UTC(2025, 2, 3, 5, 6, 7), now, "utc")).toBe("2025-03-03 05:06:07");
  });
  it.each([
    [0, "just now"],
    [59_000, "59 s ago"],
    [61_000, "1 min ago"],
    [7_200_000, "2 h ago"],
    [86_400_000 * 3, "3 d ago"],
    [-60_000, "in 1 min"],
  ])("%d ms before now", (before, text) => {
    expect(plain(formatRelative(1e12 - before, 1e12))).toBe(text);
  });
});

it("counts, bytes, scores and one-liners", () => {
  expect(formatCompact(9999)).toBe("9,999");
  expect(formatCompact(12_345)).toBe("12.3K");
  expect(plain(formatBytes(999))).toBe("999 B");
  expect(plain(formatBytes(20_000_000))).toBe("20.0 MB");
  expect(formatScore(0.123456)).toBe("0.123");
  expect(formatScore(true)).toBe("yes");
  expect(oneLine("a\n  b\tc")).toBe("a b c");
  expect(oneLine("x".repeat(300), 10)).toBe(`${"x".repeat(9)}…`);
});
