/*
 * How a list that is being read takes in news. Changed rows are replaced where they stand; new rows wait in a pile of
 * their own until the reader asks for them or is at the top anyway; nothing that is on the screen moves.
 */
import type { TraceRow } from "@/api/types";

/** Past this many waiting rows the list is read afresh instead: the pile must not grow without bound. */
export const WAITING_LIMIT = 500;

export interface News {
  rows: TraceRow[];
  deleted: ReadonlySet<string>;
}

/** Replaces changed rows in place and drops deleted ones. The same page object when nothing in it changed. */
export function patchPage(page: TraceRow[], news: News): TraceRow[] {
  const fresh = new Map(news.rows.map((row) => [row.trace_id, row]));
  let touched = false;
  const next: TraceRow[] = [];
  for (const row of page) {
    const replacement = fresh.get(row.trace_id);
    if (replacement || news.deleted.has(row.trace_id)) touched = true;
    if (!news.deleted.has(row.trace_id)) next.push(replacement ?? row);
  }
  return touched ? next : page;
}

/**
 * Rows that are not shown and belong among the loaded ones: no older than the oldest of them. Older ones come by scrolling.
 * `oldestLoadedNs` is null when the list is loaded to its end, so that everything belongs.
 */
export function arrivals(news: News, shown: ReadonlySet<string>, oldestLoadedNs: string | null): TraceRow[] {
  return news.rows.filter(
    (row) =>
      !shown.has(row.trace_id) && (oldestLoadedNs === null || BigInt(row.start_ns) >= BigInt(oldestLoadedNs)),
  );
}

/** The pages with rows put where their start belongs, newest first; each row once. */
export function insertRows(pages: TraceRow[][], rows: TraceRow[]): TraceRow[][] {
  const present = new Set(pages.flat().map((row) => row.trace_id));
  const next = pages.length > 0 ? pages.map((page) => page) : [[]];
  for (const row of [...rows].sort(newestFirst)) {
    if (present.has(row.trace_id)) continue;
    present.add(row.trace_id);
    const found = next.findIndex((page) => page.some((other) => newestFirst(row, other) < 0));
    const at = found < 0 ? next.length - 1 : found;
    next[at] = [...(next[at] ?? []), row].sort(newestFirst);
  }
  return next;
}

/** The waiting pile with news in it: one entry per trace, newest start first, bounded. */
export function withWaiting(waiting: TraceRow[], news: News, arrived: TraceRow[]): TraceRow[] {
  const merged = new Map(patchPage(waiting, news).map((row) => [row.trace_id, row]));
  for (const row of arrived) merged.set(row.trace_id, row);
  return [...merged.values()].sort(newestFirst).slice(0, WAITING_LIMIT);
}

export function newestFirst(a: TraceRow, b: TraceRow): number {
  const difference = BigInt(b.start_ns) - BigInt(a.start_ns);
  if (difference !== 0n) return difference > 0n ? 1 : -1;
  return a.trace_id < b.trace_id ? 1 : -1;
}
