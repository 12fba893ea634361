/*
 * What the screens ask for, as query options: one key per question, so that the live stream can refresh exactly what
 * changed. Large answers opt out of structural sharing: comparing 100,000 rows costs more than drawing forty.
 */
import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { resolveWindow, type TimeWindow } from "@/model/timeRange";
import { ApiError, getJson, sendJson } from "./client";
import { observeServerTime, serverNowMs } from "./clock";
import type {
  Annotation,
  FacetValue,
  Health,
  NewAnnotation,
  Skeleton,
  Span,
  TracePage,
  Workspace,
} from "./types";

export const PAGE_SIZE = 50;
export type Sort = "start" | "duration" | "cost" | "tokens" | "spans";

export interface ListQuestion extends TimeWindow {
  workspace: string;
  filter: string;
  sort: Sort;
}

export function fetchTraces(
  question: ListQuestion,
  more: { cursor?: string | null; limit?: number } = {},
  signal?: AbortSignal,
): Promise<TracePage> {
  const { workspace, filter, sort } = question;
  const bounds = resolveWindow(question, serverNowMs());
  const query = { workspace, filter, sort, ...bounds, limit: more.limit ?? PAGE_SIZE, cursor: more.cursor };
  return getJson<TracePage>("/api/traces", query, signal).then((page) => {
    observeServerTime(page.now_ns);
    return page;
  });
}

export const tracesKey = (question: ListQuestion) => ["traces", question] as const;

export function tracesQuery(question: ListQuestion) {
  return infiniteQueryOptions({
    queryKey: tracesKey(question),
    queryFn: ({ pageParam, signal }) => fetchTraces(question, { cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
    structuralSharing: false,
    // Reading the pages again would move rows under the reader: the list takes in news through the live stream instead.
    staleTime: Number.POSITIVE_INFINITY,
    retry: shouldRetry,
  });
}

export function skeletonQuery(workspace: string, traceId: string) {
  return queryOptions({
    queryKey: ["skeleton", workspace, traceId],
    queryFn: ({ signal }) =>
      getJson<Skeleton>(`/api/traces/${encodeURIComponent(traceId)}/skeleton`, { workspace }, signal),
    structuralSharing: false,
    staleTime: 2_000,
    retry: shouldRetry,
  });
}

export function spanQuery(workspace: string, traceId: string, spanId: string) {
  return queryOptions({
    queryKey: ["span", workspace, traceId, spanId],
    queryFn: ({ signal }) =>
      getJson<Span>(
        `/api/spans/${encodeURIComponent(traceId)}/${encodeURIComponent(spanId)}`,
        { workspace },
        signal,
      ),
    structuralSharing: false,
    staleTime: 2_000,
    retry: shouldRetry,
  });
}

export function facetsQuery(workspace: string, field: string, enabled: boolean) {
  return queryOptions({
    queryKey: ["facets", workspace, field],
    queryFn: ({ signal }) =>
      getJson<{ values: FacetValue[] }>("/api/facets", { workspace, field, limit: 50 }, signal),
    enabled,
    staleTime: 5_000,
    retry: shouldRetry,
  });
}

export function healthQuery() {
  return queryOptions({
    queryKey: ["health"],
    queryFn: async ({ signal }) => {
      const health = await getJson<Health>("/api/health", {}, signal);
      observeServerTime(health.time_ns);
      return health;
    },
    staleTime: 30_000,
    retry: shouldRetry,
  });
}

export function workspacesQuery() {
  return queryOptions({
    queryKey: ["workspaces"],
    queryFn: ({ signal }) => getJson<{ workspaces: Workspace[] }>("/api/workspaces", {}, signal),
    staleTime: 30_000,
    retry: shouldRetry,
  });
}

export function addAnnotation(
  workspace: string,
  traceId: string,
  annotation: NewAnnotation,
): Promise<Annotation> {
  const path = `/v1/traces/${encodeURIComponent(traceId)}/annotations?workspace=${encodeURIComponent(workspace)}`;
  return sendJson<Annotation>("POST", path, { ...annotation, source: "human" } satisfies NewAnnotation);
}

export function deleteAnnotation(workspace: string, id: string): Promise<void> {
  const path = `/v1/annotations/${encodeURIComponent(id)}?workspace=${encodeURIComponent(workspace)}`;
  return sendJson<void>("DELETE", path);
}

/** A refused question stays refused; only silence and overload are worth asking again. */
export function shouldRetry(count: number, error: Error): boolean {
  const again =
    !(error instanceof ApiError) || error.status === 0 || error.status >= 500 || error.status === 429;
  return again && count < 2;
}
