/*
 * The rows: a virtual grid with one active row. The grid keeps the focus and names its active row, so that moving costs no
 * focus change and rows may come and go under it. Where the reader was is remembered for the way back.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import { type RefObject, useEffect, useRef, useState } from "react";
import type { Sort } from "@/api/queries";
import { moved } from "@/model/tree";
import { useHotkeys, useMedia, useNow } from "@/ui/hooks";
import { usePrefs } from "@/ui/prefs";
import { COLUMNS, TraceLine } from "./TraceLine";
import type { useTraceList } from "./useTraceList";

const memory = new Map<string, { active: string | null; offset: number }>();

interface TraceGridProps {
  memoryKey: string;
  gridRef: RefObject<HTMLDivElement | null>;
  list: ReturnType<typeof useTraceList>;
  sort: Sort;
  label: string;
  onSort: (sort: Sort) => void;
  onOpen: (traceId: string) => void;
  /** Set to a function that tells whether rows may be put in without disturbing the reader. */
  idle: RefObject<() => boolean>;
}

const HEADERS: { label: string; sort?: Sort; right?: boolean }[] = [
  { label: "" },
  { label: "Trace" },
  { label: "Input and output" },
  { label: "Scores" },
  { label: "Duration", sort: "duration", right: true },
  { label: "Spans", sort: "spans", right: true },
  { label: "Tokens", sort: "tokens", right: true },
  { label: "Cost", sort: "cost", right: true },
  { label: "Started", sort: "start", right: true },
];

export function TraceGrid({ memoryKey, gridRef, list, sort, label, onSort, onOpen, idle }: TraceGridProps) {
  const { rows, query } = list;
  const zone = usePrefs((prefs) => prefs.zone);
  const wide = useMedia("(min-width: 1024px)");
  const before = memory.get(memoryKey);
  const [activeId, setActiveId] = useState<string | null>(before?.active ?? null);
  const fresh = useFresh(rows);
  const touchedAt = useRef(0);
  const running = rows.some((row) => row.state === "running");
  const nowMs = useNow(running ? 500 : 5000);
  const header = wide ? 30 : 0;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => gridRef.current,
    estimateSize: () => (wide ? 52 : 74),
    getItemKey: (index) => rows[index]?.trace_id ?? index,
    overscan: 10,
    initialOffset: before?.offset ?? 0,
    scrollMargin: header,
    scrollPaddingStart: header,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another width class has other row heights.
  useEffect(() => virtual.measure(), [wide, virtual]);

  const active = activeId === null ? -1 : rows.findIndex((row) => row.trace_id === activeId);
  idle.current = () => {
    const atTop = (gridRef.current?.scrollTop ?? 0) < 8;
    return (
      atTop &&
      active <= 0 &&
      Date.now() - touchedAt.current > 1500 &&
      !document.querySelector("[data-popover-open]")
    );
  };

  const items = virtual.getVirtualItems();
  const lastShown = items.at(-1)?.index ?? 0;
  const { hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && !isFetchNextPageError && lastShown >= rows.length - 15)
      void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage, lastShown, rows.length]);

  const remember = (change: { active?: string | null; offset?: number }) => {
    memory.set(memoryKey, { active: activeId, offset: gridRef.current?.scrollTop ?? 0, ...change });
  };
  const go = (move: Parameters<typeof moved>[2]) => {
    const at = active < 0 && move === "down" ? 0 : moved(active, rows.length, move, 10);
    const id = rows[at]?.trace_id ?? null;
    setActiveId(id);
    remember({ active: id });
    virtual.scrollToIndex(at, { align: "auto" });
  };
  const openActive = () => {
    if (activeId !== null) onOpen(activeId);
  };
  useHotkeys({
    j: () => go("down"),
    ArrowDown: () => go("down"),
    k: () => go("up"),
    ArrowUp: () => go("up"),
    PageDown: () => go("pageDown"),
    PageUp: () => go("pageUp"),
    Home: () => go("first"),
    g: () => go("first"),
    End: () => go("last"),
    G: () => go("last"),
    Escape: () => setActiveId(null),
    Enter: openActive,
  });

  return (
    <div
      ref={gridRef}
      role="grid"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={hasNextPage ? -1 : rows.length + 1}
      aria-activedescendant={active >= 0 ? `trace-${activeId}` : undefined}
      aria-busy={query.isFetching}
      onScroll={() => remember({})}
      onPointerMove={() => {
        touchedAt.current = Date.now();
      }}
      onClickCapture={(event) => {
        const id = (event.target as Element).closest<HTMLElement>("[data-trace]")?.dataset.trace;
        if (id) remember({ active: id });
      }}
      className="h-full overflow-y-auto outline-none focus-visible:outline-none"
    >
      {wide && <HeaderRow sort={sort} onSort={onSort} />}
      <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <div
              key={item.key}
              role="presentation"
              className="absolute inset-x-0 top-0"
              style={{ height: item.size, transform: `translateY(${item.start - header}px)` }}
            >
              <TraceLine
                row={row}
                index={item.index}
                active={item.index === active}
                left={list.left.has(row.trace_id)}
                fresh={fresh.has(row.trace_id)}
                wide={wide}
                nowMs={nowMs}
                zone={zone}
              />
            </div>
          );
        })}
      </div>
      {isFetchingNextPage && <p className="p-3 text-center text-xs text-faint">Reading older traces…</p>}
      {isFetchNextPageError && (
        <p role="alert" className="p-3 text-center text-xs text-bad">
          Older traces could not be read.{" "}
          <button type="button" className="font-medium underline" onClick={() => void fetchNextPage()}>
            Try again
          </button>
        </p>
      )}
    </div>
  );
}

function HeaderRow({ sort, onSort }: { sort: Sort; onSort: (sort: Sort) => void }) {
  return (
    <div
      role="row"
      aria-rowindex={1}
      className={`sticky top-0 z-10 grid h-[30px] items-center gap-x-3 border-b border-line bg-canvas px-4 text-2xs font-medium text-faint ${COLUMNS}`}
    >
      {HEADERS.map(({ label, sort: by, right }) => (
        <div
          key={label}
          role="columnheader"
          aria-label={label || "State"}
          aria-sort={by === sort ? "descending" : undefined}
          className={right ? "text-right" : ""}
        >
          {by ? (
            <button
              type="button"
              title={`Sort by ${label.toLowerCase()}, largest first`}
              onClick={() => onSort(by)}
              className={`inline-flex items-center gap-0.5 rounded hover:text-ink ${by === sort ? "text-ink" : ""}`}
            >
              {by === sort && <ArrowDown size={11} aria-hidden="true" />}
              {label}
            </button>
          ) : (
            label
          )}
        </div>
      ))}
    </div>
  );
}

/** Ids of rows that came after the first showing, for a moment: they are tinted as they arrive. */
function useFresh(rows: { trace_id: string }[]): ReadonlySet<string> {
  const known = useRef<Set<string> | null>(null);
  const top = useRef<string | null>(null);
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    const before = known.current;
    known.current = new Set(rows.map((row) => row.trace_id));
    // Only what came above the row that was on top is news; older pages are not.
    const end = before ? rows.findIndex((row) => row.trace_id === top.current) : 0;
    const came = before ? rows.slice(0, Math.max(0, end)).filter((row) => !before.has(row.trace_id)) : [];
    top.current = rows[0]?.trace_id ?? null;
    if (came.length === 0) return;
    setFresh(new Set(came.map((row) => row.trace_id)));
  }, [rows]);
  useEffect(() => {
    if (fresh.size === 0) return;
    const timer = setTimeout(() => setFresh(new Set()), 1500);
    return () => clearTimeout(timer);
  }, [fresh]);
  return fresh;
}
