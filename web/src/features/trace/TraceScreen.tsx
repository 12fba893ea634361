/*
 * One trace: header, minimap, tree-waterfall, and beside it the panel of the chosen span, which the route puts in. On a
 * narrow window the panel covers the tree until it is closed.
 */
import { ArrowLeft, FileQuestion } from "lucide-react";
import { type ReactNode, useCallback, useMemo, useRef } from "react";
import { ApiError } from "@/api/client";
import type { Skeleton } from "@/api/types";
import { openUntil, tickEvery } from "@/model/rows";
import { rangeOf } from "@/model/timeScale";
import { Button, IconButton } from "@/ui/controls";
import { useHotkeys, useNow, useWide } from "@/ui/hooks";
import { Failure, LoadingRows, Notice } from "@/ui/Notice";
import { usePrefs } from "@/ui/prefs";
import { Splitter } from "@/ui/Splitter";
import { FindBar } from "./FindBar";
import { Minimap, placeFrame } from "./Minimap";
import { TraceHeader } from "./TraceHeader";
import { type TreeHandle, TreeTable } from "./TreeTable";
import { useTrace } from "./useTrace";
import { useTreeState } from "./useTreeState";

interface TraceScreenProps {
  workspace: string;
  traceId: string;
  spanId: string | undefined;
  onSpan: (spanId: string | undefined) => void;
  onBack: () => void;
  panel: (spanId: string, close: (() => void) | null) => ReactNode;
}

export function TraceScreen(props: TraceScreenProps) {
  const { workspace, traceId, onBack } = props;
  const { query, gone } = useTrace(workspace, traceId);
  const back = (
    <IconButton label="Back to the traces (Esc)" onClick={onBack} className="-ml-1.5 size-7">
      <ArrowLeft size={16} />
    </IconButton>
  );
  if (gone) {
    return (
      <Notice
        icon={FileQuestion}
        title="This trace was deleted"
        actions={<Button onClick={onBack}>All traces</Button>}
      >
        <p>It was removed while you were looking at it.</p>
      </Notice>
    );
  }
  if (query.data && query.data.span_id.length > 0)
    return <Loaded {...props} skeleton={query.data} back={back} />;
  if (query.data || (query.error instanceof ApiError && query.error.status === 404)) {
    return (
      <Notice
        icon={FileQuestion}
        title="This trace is not here"
        actions={<Button onClick={onBack}>All traces</Button>}
      >
        <p>
          No span of <code className="font-mono text-xs break-all">{traceId}</code> has arrived in workspace{" "}
          {workspace}. If its program still runs, it may yet come: this page then shows it by itself.{" "}
          <code className="font-mono text-xs">staso doctor</code> says what else may be wrong.
        </p>
      </Notice>
    );
  }
  if (query.error)
    return (
      <Failure error={query.error} what="The trace could not be read" retry={() => void query.refetch()} />
    );
  return <LoadingRows rows={16} height={28} />;
}

function Loaded({
  skeleton,
  spanId,
  onSpan,
  onBack,
  panel,
  back,
}: TraceScreenProps & { skeleton: Skeleton; back: ReactNode }) {
  const wide = useWide();
  const { panelWidth, setPanelWidth } = usePrefs();
  const handle = useRef<TreeHandle>(null);
  const finder = useRef<HTMLInputElement>(null);
  const nowMs = useNow(tickEvery(skeleton));
  const frame = useRef<HTMLDivElement>(null);
  const tree = useTreeState({ skeleton, spanInUrl: spanId, onSpan, handle });
  const count = tree.visible.length;
  const setWindow = useCallback(
    (first: number, last: number) => placeFrame(frame.current, first, last, count),
    [count],
  );
  const until = openUntil(skeleton, nowMs);
  const range = useMemo(() => rangeOf(skeleton, until), [skeleton, until]);
  const activeId = skeleton.span_id[tree.active] ?? "";
  const closePanel = () => onSpan(undefined);
  const sheet = !wide && spanId !== undefined;

  useHotkeys({
    j: () => tree.move("down"),
    ArrowDown: () => tree.move("down"),
    k: () => tree.move("up"),
    ArrowUp: () => tree.move("up"),
    PageDown: () => tree.move("pageDown"),
    PageUp: () => tree.move("pageUp"),
    Home: () => tree.move("first"),
    g: () => tree.move("first"),
    End: () => tree.move("last"),
    G: () => tree.move("last"),
    ArrowRight: tree.expand,
    l: tree.expand,
    ArrowLeft: tree.collapse,
    h: tree.collapse,
    "+": tree.expandAll,
    "-": tree.collapseAll,
    e: () => tree.nextError(1),
    E: () => tree.nextError(-1),
    n: () => tree.nextFound(1),
    N: () => tree.nextFound(-1),
    "/": () => finder.current?.focus(),
    Enter: () => {
      onSpan(activeId);
      requestAnimationFrame(() => document.getElementById("span-panel")?.focus());
    },
    Escape: () => (sheet ? closePanel() : onBack()),
  });

  return (
    <div className="flex h-full min-h-0 flex-col">
      <TraceHeader skeleton={skeleton} nowMs={nowMs} back={back} onFirstError={tree.firstError} />
      <div className="relative flex min-h-0 flex-1">
        <section aria-label="Spans of the trace" className="flex min-w-0 flex-1 flex-col bg-surface">
          <FindBar
            inputRef={finder}
            text={tree.find}
            onText={tree.setFind}
            matches={tree.matches}
            onNext={tree.nextFound}
            onLeave={() => document.getElementById("span-tree")?.focus()}
            onExpandAll={tree.expandAll}
            onCollapseAll={tree.collapseAll}
            shown={tree.visible.length}
            total={skeleton.span_id.length}
          />
          <Minimap
            skeleton={skeleton}
            visible={tree.visible}
            range={range}
            until={until}
            frame={frame}
            onGo={(position) => handle.current?.scrollTo(position)}
          />
          <TreeTable
            skeleton={skeleton}
            visible={tree.visible}
            collapsed={tree.collapsed}
            activeRow={tree.active}
            isMatch={tree.isMatch}
            range={range}
            until={until}
            wide={wide}
            handle={handle}
            onToggle={tree.toggle}
            onSelect={(row) => tree.select(row, true)}
            onWindow={setWindow}
          />
        </section>
        {wide && (
          <>
            <Splitter
              label="Width of the panel"
              value={panelWidth}
              min={320}
              max={900}
              direction={-1}
              onChange={setPanelWidth}
            />
            <aside
              aria-label="Span"
              className="max-w-[65%] min-w-0 shrink-0 bg-canvas"
              style={{ width: panelWidth }}
            >
              {panel(spanId ?? activeId, null)}
            </aside>
          </>
        )}
        {sheet && (
          <aside aria-label="Span" className="absolute inset-0 z-20 bg-canvas">
            {panel(spanId, closePanel)}
          </aside>
        )}
      </div>
    </div>
  );
}
