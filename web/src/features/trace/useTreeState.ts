/*
 * What a person does to the tree: collapse, move, jump. The active span is kept by id, because a live refetch moves rows; it
 * goes into the URL a moment after the last key, so that holding a key down stays cheap.
 */
import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Skeleton } from "@/api/types";
import { countRows, matchesOf, rowCount, rowOf } from "@/model/rows";
import {
  collapsible,
  hasChildren,
  type Move,
  moved,
  nextMatch,
  positionOf,
  revealed,
  visibleRows,
} from "@/model/tree";
import type { TreeHandle } from "./TreeTable";

const URL_PAUSE_MS = 120;

interface TreeStateOptions {
  skeleton: Skeleton;
  spanInUrl: string | undefined;
  onSpan: (spanId: string) => void;
  handle: RefObject<TreeHandle | null>;
}

export function useTreeState({ skeleton, spanInUrl, onSpan, handle }: TreeStateOptions) {
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const [activeId, setActiveId] = useState(spanInUrl);
  const [find, setFind] = useState("");
  const visible = useMemo(() => visibleRows(skeleton, collapsed), [skeleton, collapsed]);
  const isMatch = useMemo(() => matchesOf(skeleton, find), [skeleton, find]);
  const matches = useMemo(
    () => (find.trim() === "" ? 0 : countRows(skeleton, isMatch)),
    [skeleton, isMatch, find],
  );
  const active = Math.max(0, rowOf(skeleton, activeId));

  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const sent = useRef(spanInUrl);
  useEffect(() => () => clearTimeout(timer.current), []);
  const target = useRef<number>(-1);

  const select = useCallback(
    (row: number, now = false) => {
      const id = skeleton.span_id[row];
      if (id === undefined) return;
      setActiveId(id);
      setCollapsed((old) => revealed(skeleton, old, row));
      target.current = row;
      clearTimeout(timer.current);
      const send = () => {
        sent.current = id;
        onSpan(id);
      };
      if (now) send();
      else timer.current = setTimeout(send, URL_PAUSE_MS);
    },
    [skeleton, onSpan],
  );

  // Scrolls after the rows that were hidden have come back.
  // biome-ignore lint/correctness/useExhaustiveDependencies: runs when the active span or the visible rows change.
  useEffect(() => {
    if (target.current >= 0) handle.current?.reveal(target.current);
    target.current = -1;
  }, [activeId, visible, handle]);

  // The back button, or a link that names a span.
  useEffect(() => {
    if (spanInUrl === undefined || spanInUrl === sent.current) return;
    sent.current = spanInUrl;
    const row = rowOf(skeleton, spanInUrl);
    if (row >= 0) select(row);
  }, [spanInUrl, skeleton, select]);

  // The first showing scrolls to the span the link names.
  const opened = useRef(false);
  useEffect(() => {
    if (opened.current) return;
    opened.current = true;
    const row = rowOf(skeleton, spanInUrl);
    if (row > 0) requestAnimationFrame(() => handle.current?.reveal(row));
  }, [skeleton, spanInUrl, handle]);

  const toggle = useCallback(
    (row: number) =>
      setCollapsed((old) => {
        const id = skeleton.span_id[row] ?? "";
        const next = new Set(old);
        if (!next.delete(id)) next.add(id);
        return next;
      }),
    [skeleton],
  );
  const move = (how: Move) => {
    const position = Math.max(0, positionOf(visible, active));
    select(visible[moved(position, visible.length, how, handle.current?.page() ?? 10)] ?? 0);
  };
  const jump = (wanted: (row: number) => boolean, direction: 1 | -1 = 1) => {
    const count = rowCount(skeleton);
    const row =
      direction === 1
        ? nextMatch(count, active, wanted)
        : count - 1 - nextMatch(count, count - 1 - active, (mirrored) => wanted(count - 1 - mirrored));
    if (row >= 0 && row < count) select(row);
  };
  const isError = (row: number) => skeleton.error[row] ?? false;
  return {
    visible,
    collapsed,
    active,
    find,
    setFind,
    isMatch,
    matches,
    select,
    toggle,
    move,
    expand: () => {
      if (!hasChildren(skeleton, active)) return;
      if (collapsed.has(skeleton.span_id[active] ?? "")) toggle(active);
      else select(active + 1);
    },
    collapse: () => {
      const parent = skeleton.parent[active] ?? -1;
      if (hasChildren(skeleton, active) && !collapsed.has(skeleton.span_id[active] ?? "")) toggle(active);
      else if (parent >= 0) select(parent);
    },
    expandAll: () => setCollapsed(new Set()),
    collapseAll: () => {
      setCollapsed(collapsible(skeleton));
      select(0);
    },
    nextError: (direction: 1 | -1 = 1) => jump(isError, direction),
    firstError: () => {
      const row = nextMatch(rowCount(skeleton), -1, isError);
      if (row >= 0) select(row, true);
    },
    nextFound: (direction: 1 | -1 = 1) => jump(isMatch, direction),
  };
}
