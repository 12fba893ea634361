/*
 * Tree and waterfall as one virtual table. It holds no state per row: what is collapsed, active or matched lives above, and
 * only the rows on the screen exist.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, type RefObject, useEffect, useMemo, useRef } from "react";
import type { Skeleton } from "@/api/types";
import { rowAt } from "@/model/rows";
import { niceStep, type TimeRange, tickLabel, ticks } from "@/model/timeScale";
import { descendantCount, hasChildren, positionOf } from "@/model/tree";
import { usePrefs } from "@/ui/prefs";
import { Splitter } from "@/ui/Splitter";
import { ROW_HEIGHT, SpanLine } from "./SpanLine";

export interface TreeHandle {
  reveal: (row: number) => void;
  scrollTo: (position: number) => void;
  page: () => number;
}

interface TreeTableProps {
  skeleton: Skeleton;
  visible: Int32Array;
  collapsed: ReadonlySet<string>;
  activeRow: number;
  isMatch: (row: number) => boolean;
  range: TimeRange;
  until: number | null;
  wide: boolean;
  handle: RefObject<TreeHandle | null>;
  onToggle: (row: number) => void;
  onSelect: (row: number) => void;
  onWindow: (first: number, last: number) => void;
}

export function TreeTable(props: TreeTableProps) {
  const { skeleton, visible, collapsed, activeRow, range, until, wide, handle } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const treeWidth = usePrefs((prefs) => prefs.treeWidth);
  const setTreeWidth = usePrefs((prefs) => prefs.setTreeWidth);
  const virtual = useVirtualizer({
    count: visible.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 8,
  });
  const items = virtual.getVirtualItems();
  const shown = virtual.range;
  const first = shown?.startIndex ?? 0;
  const last = shown?.endIndex ?? 0;
  const { onWindow } = props;
  useEffect(() => onWindow(first, last), [onWindow, first, last]);

  // A ref that survives renders: the keys of the screen above act on the table through it.
  handle.current = {
    reveal: (row) => {
      const position = positionOf(visible, row);
      if (position >= 0) virtual.scrollToIndex(position, { align: "auto" });
    },
    scrollTo: (position) => virtual.scrollToIndex(position, { align: "center" }),
    page: () => Math.max(1, Math.floor((scroller.current?.clientHeight ?? 280) / ROW_HEIGHT) - 2),
  };

  const tree = wide ? `min(${treeWidth}px, 62%)` : "58%";
  const activeId = skeleton.span_id[activeRow];
  return (
    <div className="relative flex min-h-0 flex-1 flex-col" style={{ "--tree": tree } as CSSProperties}>
      <Ruler range={range} wide={wide} />
      {wide && (
        <div className="absolute inset-y-0 left-(--tree) z-10">
          <Splitter
            label="Width of the tree"
            value={treeWidth}
            min={180}
            max={720}
            direction={1}
            onChange={setTreeWidth}
            className="h-full"
          />
        </div>
      )}
      <div
        ref={scroller}
        id="span-tree"
        role="treegrid"
        tabIndex={0}
        aria-label="Spans"
        aria-rowcount={visible.length}
        aria-activedescendant={activeId === undefined ? undefined : `span-${activeId}`}
        onClick={(event) => {
          const id = (event.target as Element).closest<HTMLElement>("[data-span]")?.dataset.span;
          const row = id === undefined ? -1 : skeleton.span_id.indexOf(id);
          if (row >= 0) props.onSelect(row);
        }}
        onKeyDown={() => undefined}
        className="min-h-0 flex-1 overflow-x-hidden overflow-y-auto outline-none focus-visible:outline-none"
      >
        <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
          <Gridlines range={range} wide={wide} />
          {items.map((item) => {
            const row = visible[item.index] ?? 0;
            return (
              <div
                key={skeleton.span_id[row]}
                role="presentation"
                className="absolute inset-x-0 top-0"
                style={{ height: item.size, transform: `translateY(${item.start}px)` }}
              >
                <Line
                  {...props}
                  row={row}
                  position={item.index}
                  range={range}
                  until={until}
                  collapsed={collapsed}
                />
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** Keeps the row object stable between ticks, so that a closed span is not drawn again because an open one grew. */
function Line({
  skeleton,
  row,
  position,
  collapsed,
  activeRow,
  isMatch,
  range,
  until,
  onToggle,
  wide,
}: TreeTableProps & { row: number; position: number }) {
  const span = useMemo(() => rowAt(skeleton, row), [skeleton, row]);
  return (
    <SpanLine
      span={span}
      descendants={hasChildren(skeleton, row) ? descendantCount(skeleton, row) : 0}
      expanded={!collapsed.has(span.id)}
      active={row === activeRow}
      matched={isMatch(row)}
      state={skeleton.trace.state}
      range={range}
      until={span.open ? until : null}
      position={position}
      wide={wide}
      onToggle={onToggle}
    />
  );
}

function Ruler({ range, wide }: { range: TimeRange; wide: boolean }) {
  const most = wide ? 6 : 3;
  const step = niceStep(range.end - range.start, most);
  return (
    <div aria-hidden="true" className="flex h-6 shrink-0 border-b border-line bg-canvas text-2xs text-faint">
      <div className="w-(--tree) shrink-0 pt-1 pl-4">Span</div>
      <div className="relative min-w-0 flex-1 border-l border-line">
        <div className="absolute inset-y-0 right-3 left-1">
          {ticks(range, most).map((at) => {
            const left = ((at - range.start) / (range.end - range.start)) * 100;
            return (
              <span
                key={at}
                className={`absolute top-1 whitespace-nowrap tabular-nums ${left > 90 ? "-translate-x-full pr-1" : left > 3 ? "pl-1" : ""}`}
                style={{ left: `${left}%` }}
              >
                {tickLabel(at, step)}
              </span>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function Gridlines({ range, wide }: { range: TimeRange; wide: boolean }) {
  return (
    <div
      aria-hidden="true"
      className="pointer-events-none absolute inset-y-0 right-3 left-[calc(var(--tree)+5px)]"
    >
      {ticks(range, wide ? 6 : 3).map((at) => (
        <span
          key={at}
          className="absolute inset-y-0 w-px bg-line/60"
          style={{ left: `${((at - range.start) / (range.end - range.start)) * 100}%` }}
        />
      ))}
    </div>
  );
}
