/*
 * The list's data: pages by cursor, and news from the live stream. Changed traces are asked for by id with the list's own
 * filter, so one small question tells what changed, what is new and what no longer matches. Nothing on the screen moves
 * unless the reader is idle at the top.
 */
import { type InfiniteData, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { LiveMessage } from "@/api/live";
import { fetchTraces, type ListQuestion, tracesKey, tracesQuery } from "@/api/queries";
import type { TracePage, TraceRow } from "@/api/types";
import { allOf } from "@/model/filter";
import { arrivals, insertRows, type News, patchPage, WAITING_LIMIT, withWaiting } from "@/model/liveRows";
import { useLive, useThrottled } from "@/ui/hooks";

/** Ids in one question, and how many changes are read one by one before "the newest page" is asked for instead. */
const ASK_AT_ONCE = 100;
const ASK_AT_MOST = 500;

type Pages = InfiniteData<TracePage>;

interface Pile {
  key: string;
  rows: TraceRow[];
  /** Rows between the pile and the list are not known: showing it means reading afresh. */
  gap: boolean;
}

const nothingPending = () => ({ changed: new Set<string>(), deleted: new Set<string>(), reset: false });

export function useTraceList(question: ListQuestion, mayInsert: () => boolean) {
  const client = useQueryClient();
  const query = useInfiniteQuery(tracesQuery(question));
  const key = JSON.stringify(question);
  const [pile, setPile] = useState<Pile>({ key, rows: [], gap: false });
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [up, setUp] = useState(true);
  const pending = useRef(nothingPending());
  const currentKey = useRef(key);
  currentKey.current = key;

  const rows = useMemo(() => unique(query.data), [query.data]);

  const flush = useThrottled(async () => {
    const { changed, deleted, reset } = pending.current;
    pending.current = nothingPending();
    const asked = [...changed];
    if (reset || asked.length > ASK_AT_MOST) {
      const page = await fetchTraces(question);
      take({ rows: page.traces, deleted }, [], page.next_cursor !== null);
      return;
    }
    const found: TraceRow[] = [];
    for (let at = 0; at < asked.length; at += ASK_AT_ONCE) {
      const some = asked.slice(at, at + ASK_AT_ONCE);
      const filter = allOf(question.filter, `trace:${some.join(",")}`);
      found.push(...(await fetchTraces({ ...question, filter }, { limit: ASK_AT_ONCE })).traces);
    }
    take({ rows: found, deleted }, asked, false);
  }, 700);

  /** `cut` says that the news are the newest page of more: without overlap, rows between it and the list are unknown. */
  const take = (news: News, asked: string[], cut: boolean) => {
    const cacheKey = tracesKey(question);
    const data = client.getQueryData<Pages>(cacheKey);
    if (!data || currentKey.current !== key) return;
    const pages = data.pages.map((page) => ({ ...page, traces: patchPage(page.traces, news) }));
    const loaded = pages.flatMap((page) => page.traces);
    const shown = new Set(loaded.map((row) => row.trace_id));
    const more = pages.at(-1)?.next_cursor ?? null;
    const oldest = more === null || question.sort !== "start" ? null : (loaded.at(-1)?.start_ns ?? null);
    const arrived = arrivals(news, shown, oldest);
    const gap = cut && arrived.length === news.rows.length;
    const insert = question.sort === "start" && arrived.length > 0 && mayInsert();
    if (gap && insert) {
      void client.resetQueries({ queryKey: cacheKey });
      return;
    }
    client.setQueryData<Pages>(cacheKey, { ...data, pages: insert ? inserted(pages, arrived) : pages });
    setPile((old) => {
      const before = old.key === key ? old : { rows: [], gap: false };
      return { key, rows: withWaiting(before.rows, news, insert ? [] : arrived), gap: before.gap || gap };
    });
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
    setPile({ key, rows: [], gap: false });
    const data = client.getQueryData<Pages>(tracesKey(question));
    if (!data || question.sort !== "start" || pile.gap || waiting.length >= WAITING_LIMIT) {
      void client.resetQueries({ queryKey: tracesKey(question) });
      return;
    }
    client.setQueryData<Pages>(tracesKey(question), { ...data, pages: inserted(data.pages, waiting) });
  }, [client, key, question, waiting, pile.gap]);

  // Another question starts with a clean slate; one that was asked before is shown at once and catches up as news.
  const known = query.isSuccess && !query.isPlaceholderData;
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a change of the question matters here.
  useEffect(() => {
    setLeft(new Set());
    pending.current = { ...nothingPending(), reset: known };
    if (known) flush();
  }, [key]);

  return { query, rows, waiting, gap: pile.key === key && pile.gap, showWaiting, left, up };
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
