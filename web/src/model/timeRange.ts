/*
 * The list's time window as the URL keeps it: `from` and `to` are Unix nanoseconds as text, or `from` is a look-back such as
 * `-1h` that means "until now" and stays true when the link is opened tomorrow.
 */
import { formatMoment, nsToMs, type Zone } from "./format";

export interface TimeWindow {
  from?: string | undefined;
  to?: string | undefined;
}

export const LOOK_BACKS: { from: string | undefined; label: string; short: string }[] = [
  { from: undefined, label: "All time", short: "All time" },
  { from: "-15m", label: "Last 15 minutes", short: "15 min" },
  { from: "-1h", label: "Last hour", short: "1 h" },
  { from: "-24h", label: "Last 24 hours", short: "24 h" },
  { from: "-7d", label: "Last 7 days", short: "7 d" },
  { from: "-30d", label: "Last 30 days", short: "30 d" },
];

const UNIT_MS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

function lookBackMs(text: string): number | null {
  const match = /^-(\d{1,6})([mhd])$/.exec(text);
  return match ? Number(match[1]) * (UNIT_MS[match[2] ?? ""] ?? 0) : null;
}

/** What a URL may hold; anything else is dropped rather than sent to the server. */
export function cleanBound(text: unknown): string | undefined {
  if (typeof text !== "string") return undefined;
  return lookBackMs(text) !== null || /^-?\d{1,19}$/.test(text) ? text : undefined;
}

/** Absolute bounds for a request made at `nowMs`, as nanosecond text. */
export function resolveWindow(window: TimeWindow, nowMs: number): { from?: string; to?: string } {
  const out: { from?: string; to?: string } = {};
  if (window.from) {
    const back = lookBackMs(window.from);
    out.from = back === null ? window.from : msToNs(nowMs - back);
  }
  if (window.to && lookBackMs(window.to) === null) out.to = window.to;
  return out;
}

export function msToNs(ms: number): string {
  return (BigInt(Math.floor(ms)) * 1_000_000n).toString();
}

export function windowLabel(window: TimeWindow, zone: Zone): string {
  const known = LOOK_BACKS.find((choice) => choice.from === window.from);
  if (known && !window.to) return known.short;
  if (window.from && lookBackMs(window.from) !== null) return `Last ${window.from.slice(1)}`;
  const moment = (ns: string) => formatMoment(nsToMs(ns), zone).slice(0, 16);
  if (window.from && window.to) return `${moment(window.from)} – ${moment(window.to)}`;
  if (window.from) return `Since ${moment(window.from)}`;
  return window.to ? `Until ${moment(window.to)}` : "All time";
}

/** `datetime-local` text to nanoseconds in the chosen zone, and back. */
export function inputToNs(text: string, zone: Zone): string | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text)) return undefined;
  const ms = Date.parse(zone === "utc" ? `${text}Z` : text);
  return Number.isNaN(ms) ? undefined : msToNs(ms);
}

export function nsToInput(ns: string | undefined, zone: Zone): string {
  if (!ns || lookBackMs(ns) !== null) return "";
  return formatMoment(nsToMs(ns), zone).slice(0, 16).replace(" ", "T");
}
