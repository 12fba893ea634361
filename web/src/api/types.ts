/*
 * The shapes the server sends. 64-bit integers (nanoseconds, nano-dollars) are strings on the wire because JSON numbers
 * lose them past 2^53; everything the server does not know is null, never zero.
 */

export type SpanKind = "llm" | "tool" | "chain" | "retriever" | "agent" | "custom";
export type SpanStatus = "ok" | "error" | "timeout";
export type RunState = "running" | "stalled" | "interrupted" | "done" | "unknown";
export type DataType = "numeric" | "categorical" | "boolean";

export interface Annotation {
  id: string;
  trace_id: string;
  span_id: string | null;
  name: string;
  value: number | string | boolean;
  data_type: DataType;
  comment: string | null;
  source: "sdk" | "human" | "judge" | "code";
  author: string | null;
  created_ns: string;
}

export interface TraceRow {
  trace_id: string;
  workspace: string;
  environment: string | null;
  service: string | null;
  name: string;
  kind: SpanKind;
  root_span_id: string | null;
  agent_name: string | null;
  agent_version: string | null;
  status: SpanStatus;
  state: RunState;
  start_ns: string;
  end_ns: string | null;
  duration_ns: string | null;
  span_count: number;
  error_count: number;
  open_count: number;
  models: string[];
  input_tokens: number | null;
  output_tokens: number | null;
  total_tokens: number | null;
  cost_nano_usd: string | null;
  cost_incomplete: boolean;
  session_id: string | null;
  user_id: string | null;
  tags: string[];
  input_preview: string | null;
  output_preview: string | null;
  error_message: string | null;
  annotations: Annotation[];
  received_ns: string;
  repaired_count: number;
}

export interface TracePage {
  traces: TraceRow[];
  next_cursor: string | null;
  now_ns: string;
}

/** Columns in pre-order; index i is one span in each of them. */
export interface Skeleton {
  trace: TraceRow;
  annotations: Annotation[];
  base_ns: string;
  names: string[];
  agents: string[];
  models: string[];
  span_id: string[];
  parent: number[];
  depth: number[];
  subtree_end: number[];
  name: number[];
  kind: SpanKind[];
  agent: number[];
  model: number[];
  start_offset_ns: number[];
  duration_ns: (number | null)[];
  status: SpanStatus[];
  open: boolean[];
  missing_parent: boolean[];
  error: boolean[];
  tokens: (number | null)[];
  cost_nano_usd: (number | string | null)[];
  annotation_count: number[];
  repaired: boolean[];
  interrupted: boolean[];
}

export interface Payload {
  format: "json" | "text";
  text: string;
}

export interface SpanEvent {
  time_ns: string | null;
  name: string;
  attributes: Record<string, unknown>;
}

export interface SpanLink {
  trace_id: string;
  span_id: string;
  attributes: Record<string, unknown>;
}

export interface Usage {
  available: boolean | null;
  input_uncached: number | null;
  cache_read: number | null;
  cache_write_5m: number | null;
  cache_write_1h: number | null;
  output: number | null;
  reasoning: number | null;
  audio_input: number | null;
  audio_output: number | null;
  input_total: number | null;
  total: number | null;
  basis: string | null;
  contradiction: boolean | string | null;
}

export interface Span {
  trace_id: string;
  span_id: string;
  parent_span_id: string | null;
  name: string;
  kind: SpanKind;
  status: SpanStatus;
  open: boolean;
  interrupted: boolean;
  start_ns: string;
  end_ns: string | null;
  duration_ns: string | null;
  error_message: string | null;
  input: Payload | null;
  output: Payload | null;
  metadata: Record<string, unknown>;
  events: SpanEvent[];
  links: SpanLink[];
  tags: string[];
  environment: string | null;
  service: string | null;
  agent_name: string | null;
  agent_id: string | null;
  agent_version: string | null;
  session_id: string | null;
  user_id: string | null;
  provider: string | null;
  model: string | null;
  requested_model: string | null;
  reasoning_effort: string | null;
  usage: Usage | null;
  cost_nano_usd: string | null;
  client_cost_nano_usd: string | null;
  process_id: string | null;
  sample_rate: number | null;
  capture: Record<string, string> | null;
  trace_state: string | null;
  flags: number | null;
  otel_kind: string | null;
  resource: Record<string, unknown> | null;
  scope: { name: string | null; version: string | null } | null;
  dropped_counts: { attributes: number; events: number; links: number } | null;
  repairs: { field: string; problem: string }[];
  received_ns: string;
  version: string | number | null;
  annotations: Annotation[];
  depth: number | null;
  missing_parent: boolean;
}

export interface Health {
  status: string;
  version: string;
  started_ns: string;
  store: { engine: string; spans: string; traces: string; bytes: string };
  time_ns: string;
}

export interface FacetValue {
  value: string;
  count: number | string;
}

export interface LiveChange {
  trace_id: string;
  workspace: string;
  change: "upsert" | "delete";
}
