/*
 * The list's data: pages by cursor, and news from the live stream. Changed traces are asked for by id with the list's own
 * filter, so one small question tells what changed, what is new and what no longer matches. Nothing on the screen moves
 * unless the reader is idle at the top.
 */
import { type InfiniteData, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { LiveMessage } from "@/api/live";
import { fetchTraces, type ListQuestion, PAGE_SIZE, tracesKey, tracesQuery } from "@/api/queries";
import type { TracePage, TraceRow } from "@/api/types";
import { allOf } from "@/model/filter";
import { arrivals, insertRows, type News, patchPage, WAITING_LIMIT, withWaiting } from "@/model/liveRows";
import { useLive, useThrottled } from "@/ui/hooks";

/** More changes than this in one go are read as "the newest page" instead of one by one. */
const ASK_LIMIT = 100;

type Pages = InfiniteData<TracePage>;

export function useTraceList(question: ListQuestion, mayInsert: () => boolean) {
  const client = useQueryClient();
  const query = useInfiniteQuery(tracesQuery(question));
  const key = JSON.stringify(question);
  const [pile, setPile] = useState<{ key: string; rows: TraceRow[] }>({ key, rows: [] });
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [up, setUp] = useState(true);
  const pending = useRef({ changed: new Set<string>(), deleted: new Set<string>(), reset: false });

  const rows = useMemo(() => unique(query.data), [query.data]);

  const flush = useThrottled(async () => {
    const { changed, deleted, reset } = pending.current;
    pending.current = { changed: new Set(), deleted: new Set(), reset: false };
    const asked = [...changed];
    const whole = reset || asked.length > ASK_LIMIT;
    const filter = whole ? question.filter : allOf(question.filter, `trace:${asked.join(",")}`);
    const limit = whole ? PAGE_SIZE : ASK_LIMIT;
    const answer = asked.length > 0 || reset ? await fetchTraces({ ...question, filter }, { limit }) : null;
    const news: News = { rows: answer?.traces ?? [], deleted };
    take(news, whole ? [] : asked);
  }, 700);

  const take = (news: News, asked: string[]) => {
    const cacheKey = tracesKey(question);
    const data = client.getQueryData<Pages>(cacheKey);
    if (!data) return;
    const pages = data.pages.map((page) => ({ ...page, traces: patchPage(page.traces, news) }));
    const loaded = pages.flatMap((page) => page.traces);
    const more = pages.at(-1)?.next_cursor ?? null;
    const oldest = more === null || question.sort !== "start" ? null : (loaded.at(-1)?.start_ns ?? null);
    const arrived = arrivals(news, new Set(loaded.map((row) => row.trace_id)), oldest);
    const insert = question.sort === "start" && arrived.length > 0 && mayInsert();
    client.setQueryData<Pages>(cacheKey, { ...data, pages: insert ? inserted(pages, arrived) : pages });
    setPile((old) => ({
      key,
      rows: withWaiting(old.key === key ? old.rows : [], news, insert ? [] : arrived),
    }));
    setLeft((old) => leftAfter(old, asked, news, loaded));
  };

  const onLive = (message: LiveMessage) => {
    if (message.type === "state") return setUp(message.up);
    if (message.type === "reset") pending.current.reset = true;
    else if (message.change.change === "delete") pending.current.deleted.add(message.change.trace_id);
    else pending.current.changed.add(message.change.trace_id);
    flush();
  };
  useLive(question.workspace, onLive);

  const waiting = pile.key === key ? pile.rows : [];
  const showWaiting = useCallback(() => {
    setPile({ key, rows: [] });
    const data = client.getQueryData<Pages>(tracesKey(question));
    if (!data || question.sort !== "start" || waiting.length >= WAITING_LIMIT) {
      void client.resetQueries({ queryKey: tracesKey(question) });
      return;
    }
    client.setQueryData<Pages>(tracesKey(question), { ...data, pages: inserted(data.pages, waiting) });
  }, [client, key, question, waiting]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another question starts with a clean slate.
  useEffect(() => {
    setLeft(new Set());
    pending.current = { changed: new Set(), deleted: new Set(), reset: false };
  }, [key]);

  return { query, rows, waiting, showWaiting, left, up };
}

function inserted(pages: TracePage[], rows: TraceRow[]): TracePage[] {
  const next = insertRows(
    pages.map((page) => page.traces),
    rows,
  );
  return pages.map((page, i) => ({ ...page, traces: next[i] ?? page.traces }));
}

/** Shown rows that were asked for and did not come back: they no longer match and are dimmed, not pulled away. */
function leftAfter(
  old: ReadonlySet<string>,
  asked: string[],
  news: News,
  loaded: TraceRow[],
): ReadonlySet<string> {
  if (asked.length === 0) return old;
  const came = new Set(news.rows.map((row) => row.trace_id));
  const shown = new Set(loaded.map((row) => row.trace_id));
  const next = new Set(old);
  for (const id of asked) {
    if (came.has(id) || !shown.has(id)) next.delete(id);
    else next.add(id);
  }
  return next;
}

/** A row whose sort value changed between two pages may come twice; the first one counts. */
function unique(data: Pages | undefined): TraceRow[] {
  const seen = new Set<string>();
  const out: TraceRow[] = [];
  for (const page of data?.pages ?? []) {
    for (const row of page.traces) {
      if (seen.has(row.trace_id)) continue;
      seen.add(row.trace_id);
      out.push(row);
    }
  }
  return out;
}
