/*
 * The waterfall's horizontal axis: which stretch of time is shown, where a span lies on it as fractions of the width, and
 * at which round offsets the ruler draws a tick. All times are nanosecond offsets from the trace's first start.
 */

export interface TimeRange {
  start: number;
  end: number;
}

interface Timed {
  start_offset_ns: number[];
  duration_ns: (number | null)[];
}

/** The stretch that holds every span; open spans reach to `nowOffset`. Never empty, so that a division is safe. */
export function rangeOf(columns: Timed, nowOffset: number | null): TimeRange {
  let start = 0;
  let end = 0;
  const n = columns.start_offset_ns.length;
  for (let i = 0; i < n; i++) {
    const from = columns.start_offset_ns[i] ?? 0;
    const to = from + (columns.duration_ns[i] ?? 0);
    if (from < start) start = from;
    if (to > end) end = to;
  }
  if (nowOffset !== null && nowOffset > end) end = nowOffset;
  return end > start ? { start, end } : { start, end: start + 1 };
}

export interface Extent {
  left: number;
  width: number;
}

/** Where a span lies, as fractions 0..1; what lies outside the range is clipped to its edge. */
export function extentOf(range: TimeRange, start: number, duration: number): Extent {
  const length = range.end - range.start;
  const left = clamp((start - range.start) / length);
  const right = clamp((start + Math.max(0, duration) - range.start) / length);
  return { left, width: right - left };
}

function clamp(value: number): number {
  return Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : 0;
}

const STEPS_SECONDS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400,
];

/** The smallest round step (1-2-5 below a minute, clock steps above) that gives at most `most` ticks. */
export function niceStep(length: number, most: number): number {
  const least = length / Math.max(1, most);
  if (least < 1e9) {
    const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-9)));
    const factor = [1, 2, 5, 10].find((f) => f * power >= least - least * 1e-9) ?? 10;
    return factor * power;
  }
  const seconds = least / 1e9;
  const known = STEPS_SECONDS.find((s) => s >= seconds);
  return (known ?? Math.ceil(seconds / 86_400) * 86_400) * 1e9;
}

/** Offsets of the ruler's ticks inside the range, first one at or after its start. */
export function ticks(range: TimeRange, most: number): number[] {
  const step = niceStep(range.end - range.start, most);
  const first = Math.ceil(range.start / step);
  const out: number[] = [];
  for (let k = first; k * step <= range.end && out.length <= most + 1; k++) out.push(k * step);
  return out;
}

/** A tick's text: the unit follows the step so that neighbours share it. */
export function tickLabel(offset: number, step: number): string {
  if (offset === 0) return "0";
  if (step >= 60e9) return clockLabel(offset);
  const [unit, size] =
    step >= 1e9 ? ["s", 1e9] : step >= 1e6 ? ["ms", 1e6] : step >= 1e3 ? ["µs", 1e3] : ["ns", 1];
  const scaled = Number((offset / (size as number)).toPrecision(6));
  return scaled >= 1000 && unit !== "s"
    ? `${Number((scaled / 1000).toPrecision(6))} ${{ ms: "s", µs: "ms", ns: "µs" }[unit as string]}`
    : `${scaled} ${unit}`;
}

function clockLabel(offset: number): string {
  const sign = offset < 0 ? "−" : "";
  const minutes = Math.round(Math.abs(offset) / 60e9);
  if (minutes < 60) return `${sign}${minutes} min`;
  const rest = minutes % 60;
  return `${sign}${Math.floor(minutes / 60)} h${rest ? ` ${rest} min` : ""}`;
}
