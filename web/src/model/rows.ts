/*
 * One row of the skeleton as an object, made only for the forty rows on the screen; and the facts of a whole trace that
 * its header and its clock need.
 */
import type { Skeleton, SpanKind, SpanStatus } from "@/api/types";
import { nsToMs } from "./format";

export interface SpanRow {
  row: number;
  id: string;
  name: string;
  kind: SpanKind;
  agent: string | null;
  model: string | null;
  depth: number;
  start: number;
  duration: number | null;
  status: SpanStatus;
  open: boolean;
  interrupted: boolean;
  error: boolean;
  missingParent: boolean;
  repaired: boolean;
  tokens: number | null;
  annotations: number;
}

export function rowAt(s: Skeleton, row: number): SpanRow {
  return {
    row,
    id: s.span_id[row] ?? "",
    name: s.names[s.name[row] ?? -1] ?? "",
    kind: s.kind[row] ?? "custom",
    agent: s.agents[s.agent[row] ?? -1] ?? null,
    model: s.models[s.model[row] ?? -1] ?? null,
    depth: s.depth[row] ?? 0,
    start: s.start_offset_ns[row] ?? 0,
    duration: s.duration_ns[row] ?? null,
    status: s.status[row] ?? "ok",
    open: s.open[row] ?? false,
    interrupted: s.interrupted[row] ?? false,
    error: s.error[row] ?? false,
    missingParent: s.missing_parent[row] ?? false,
    repaired: s.repaired[row] ?? false,
    tokens: s.tokens[row] ?? null,
    annotations: s.annotation_count[row] ?? 0,
  };
}

export const rowCount = (s: Skeleton): number => s.span_id.length;

/** The row of a span id, or -1. */
export function rowOf(s: Skeleton, spanId: string | undefined): number {
  return spanId === undefined ? -1 : s.span_id.indexOf(spanId);
}

/**
 * Until when open spans are drawn, as an offset from the trace's start: to the server's now while the trace runs or nobody
 * knows, to the last thing heard of it when it stalled; null when nothing is open.
 */
export function openUntil(s: Skeleton, nowMs: number): number | null {
  if (s.trace.open_count === 0) return null;
  const untilMs = s.trace.state === "stalled" ? nsToMs(s.trace.received_ns) : nowMs;
  return Math.max(0, (untilMs - nsToMs(s.base_ns)) * 1e6);
}

/** How often open spans have to be redrawn, in milliseconds; null when they stand still. */
export function tickEvery(s: Skeleton): number | null {
  if (s.trace.open_count === 0) return null;
  if (s.trace.state === "running") return 80;
  return s.trace.state === "unknown" ? 1000 : null;
}

/** The rows whose name contains the text, by looking through the dictionary once. */
export function matchesOf(s: Skeleton, text: string): (row: number) => boolean {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return () => false;
  const named = s.names.map((name) => name.toLowerCase().includes(wanted));
  return (row) => named[s.name[row] ?? -1] ?? false;
}

export function countRows(s: Skeleton, wanted: (row: number) => boolean): number {
  let count = 0;
  for (let row = 0; row < s.span_id.length; row++) if (wanted(row)) count++;
  return count;
}
