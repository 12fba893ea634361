/*
 * Numbers, durations, money and moments as a person reads them. Pure: the clock, the zone and the locale come from the
 * caller or from Intl. Nanoseconds travel as decimal text or bigint and become milliseconds only for display.
 */

export type Zone = "local" | "utc";

const NBSP = " ";
export const UNKNOWN = "–";

/** Milliseconds since the epoch of a nanosecond text; the fraction survives as far as a double carries it. */
export function nsToMs(ns: string): number {
  const value = BigInt(ns);
  return Number(value / 1_000_000n) + Number(value % 1_000_000n) / 1e6;
}

/** A duration in nanoseconds with three significant figures in the unit a person would choose. */
export function formatDuration(ns: number | string | null | undefined): string {
  if (ns === null || ns === undefined) return UNKNOWN;
  const value = typeof ns === "string" ? Number(ns) : ns;
  if (!Number.isFinite(value)) return UNKNOWN;
  if (value < 0) return `−${formatDuration(-value)}`;
  if (value < 999.5) return `${Math.round(value)}${NBSP}ns`;
  if (value < 999_500) return `${significant(value / 1e3)}${NBSP}µs`;
  if (value < 999_500_000) return `${significant(value / 1e6)}${NBSP}ms`;
  if (value < 59_950_000_000) return `${significant(value / 1e9)}${NBSP}s`;
  return longDuration(Math.round(value / 1e9));
}

function longDuration(seconds: number): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor((seconds % 86_400) / 3600), "h"],
    [Math.floor((seconds % 3600) / 60), "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  const shown = parts.slice(first, first + 2).filter(([n], i) => i === 0 || n > 0);
  return shown.map(([n, unit]) => `${n}${NBSP}${unit}`).join(" ");
}

function significant(value: number): string {
  if (value < 9.995) return value.toFixed(2);
  if (value < 99.95) return value.toFixed(1);
  return value.toFixed(0);
}

const grouped = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export function formatCount(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  return typeof value === "string" ? grouped.format(BigInt(value)) : grouped.format(value);
}

/** Whole below ten thousand, then 12.3K, 4.5M. */
export function formatCompact(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  return Math.abs(value) < 10_000 ? grouped.format(value) : compact.format(value);
}

/** Nano-dollars as dollars; small amounts keep two significant figures so that a cheap call is not shown as free. */
export function formatCost(nano: string | number | null | undefined, incomplete = false): string {
  if (nano === null || nano === undefined) return UNKNOWN;
  const dollars = Number(nano) / 1e9;
  const prefix = incomplete ? "≥" : "";
  return prefix + (dollars < 0 ? "−" : "") + dollarText(Math.abs(dollars));
}

function dollarText(dollars: number): string {
  if (dollars === 0) return "$0";
  if (dollars < 0.000001) return "<$0.000001";
  if (dollars < 0.01) return `$${Number(dollars.toPrecision(2)).toFixed(decimalsFor(dollars))}`;
  if (dollars < 1) return `$${dollars.toFixed(3)}`;
  if (dollars < 1000) return `$${dollars.toFixed(2)}`;
  return `$${grouped.format(Math.round(dollars))}`;
}

function decimalsFor(dollars: number): number {
  return Math.min(8, 1 - Math.floor(Math.log10(dollars)));
}

export function formatBytes(bytes: number | string): string {
  let value = Number(bytes);
  if (value < 1000) return `${value}${NBSP}B`;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    value /= 1000;
    if (value < 999.5 || unit === "TB") return `${significant(value)}${NBSP}${unit}`;
  }
  return `${value}${NBSP}B`;
}

/** How long before `nowMs` a moment was, in one unit; a moment ahead of the clock says so. */
export function formatRelative(ms: number, nowMs: number): string {
  const seconds = Math.round((nowMs - ms) / 1000);
  if (seconds < -2) return `in ${oneUnit(-seconds)}`;
  if (seconds < 3) return "just now";
  return `${oneUnit(seconds)} ago`;
}

function oneUnit(seconds: number): string {
  if (seconds < 60) return `${seconds}${NBSP}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${NBSP}min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}${NBSP}h`;
  if (seconds < 86_400 * 365) return `${Math.floor(seconds / 86_400)}${NBSP}d`;
  return `${Math.floor(seconds / (86_400 * 365))}${NBSP}y`;
}

/** ISO-like, because a list of moments must line up: 2026-03-04 05:06:07.089. */
export function formatMoment(ms: number, zone: Zone): string {
  return `${formatDay(ms, zone)} ${formatClock(ms, zone)}`;
}

export function formatDay(ms: number, zone: Zone): string {
  const d = shifted(ms, zone);
  return d.toISOString().slice(0, 10);
}

export function formatClock(ms: number, zone: Zone): string {
  return shifted(ms, zone).toISOString().slice(11, 23);
}

/** The day is left out when it is today. */
export function formatShortMoment(ms: number, nowMs: number, zone: Zone): string {
  const clock = formatClock(ms, zone).slice(0, 8);
  const day = formatDay(ms, zone);
  if (day === formatDay(nowMs, zone)) return clock;
  return day.slice(0, 4) === formatDay(nowMs, zone).slice(0, 4)
    ? `${day.slice(5)} ${clock}`
    : `${day} ${clock}`;
}

function shifted(ms: number, zone: Zone): Date {
  const safe = Math.min(Math.max(Math.floor(ms), -8.64e15 + 1e8), 8.64e15 - 1e8);
  if (zone === "utc") return new Date(safe);
  return new Date(safe - new Date(safe).getTimezoneOffset() * 60_000);
}

/** One line of text, white space folded, cut with an ellipsis. */
export function oneLine(text: string, limit = 200): string {
  const folded = text
    .slice(0, limit * 4)
    .replace(/\s+/g, " ")
    .trim();
  return folded.length > limit ? `${folded.slice(0, limit - 1)}…` : folded;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${formatCount(n)}${NBSP}${n === 1 ? one : many}`;
}

/** The value of an annotation as a chip shows it. */
export function formatScore(value: number | string | boolean): string {
  if (typeof value === "number") {
    return Number.isInteger(value) ? grouped.format(value) : String(Number(value.toPrecision(3)));
  }
  if (typeof value === "boolean") return value ? "yes" : "no";
  return value;
}
