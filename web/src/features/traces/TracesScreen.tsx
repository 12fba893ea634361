/*
 * The list of traces: the bar, the menus, and below them the rows or a sentence on why there are none. The URL holds the
 * question; this screen only reads and rewrites it.
 */
import { Inbox, SearchX } from "lucide-react";
import { type ReactNode, useMemo, useRef } from "react";
import { ApiError } from "@/api/client";
import type { ListQuestion, Sort } from "@/api/queries";
import { allOf } from "@/model/filter";
import { formatCount, plural } from "@/model/format";
import type { TimeWindow } from "@/model/timeRange";
import { Button } from "@/ui/controls";
import { useHotkeys } from "@/ui/hooks";
import { Failure, LoadingRows, Notice, Said } from "@/ui/Notice";
import { usePrefs } from "@/ui/prefs";
import { FilterBar } from "./FilterBar";
import { FilterMenus } from "./FilterMenus";
import { TimeMenu } from "./TimeMenu";
import { TraceGrid } from "./TraceGrid";
import { useTraceList } from "./useTraceList";

export interface ListState extends TimeWindow {
  filter?: string | undefined;
  sort?: Sort | undefined;
}

interface TracesScreenProps {
  workspace: string;
  state: ListState;
  onState: (next: ListState, how: { replace: boolean }) => void;
  onOpen: (traceId: string) => void;
  /** Shown in place of everything while nothing has ever arrived. */
  firstRun: ReactNode;
}

export function TracesScreen({ workspace, state, onState, onOpen, firstRun }: TracesScreenProps) {
  const zone = usePrefs((prefs) => prefs.zone);
  const { filter = "", sort = "start", from, to } = state;
  const question = useMemo<ListQuestion>(
    () => ({ workspace, filter: allOf(filter), sort, from, to }),
    [workspace, filter, sort, from, to],
  );
  const idle = useRef<() => boolean>(() => true);
  const list = useTraceList(question, () => idle.current());
  const bar = useRef<HTMLInputElement>(null);
  const grid = useRef<HTMLDivElement>(null);

  useHotkeys({
    "/": () => bar.current?.focus(),
    n: list.showWaiting,
  });

  const asksAll = filter === "" && !from && !to;
  const empty = list.query.isSuccess && !list.query.isPlaceholderData && list.rows.length === 0;
  if (empty && asksAll && list.waiting.length === 0) return firstRun;

  const change = (next: Partial<ListState>, replace = false) => onState({ ...state, ...next }, { replace });
  const error = list.query.error;
  const refused = error instanceof ApiError && error.status === 400 && filter !== "" ? error.message : null;
  const total = list.rows.length + (list.query.hasNextPage ? "+" : "");

  return (
    <div className="flex h-full min-h-0 flex-col">
      <div className="space-y-2 border-b border-line bg-surface px-3 py-2.5 sm:px-4">
        <div className="flex items-start gap-2">
          <FilterBar
            value={filter}
            inputRef={bar}
            refused={refused}
            onCommit={(text) => change({ filter: text || undefined }, true)}
            onLeave={() => grid.current?.focus()}
          />
          <TimeMenu window={{ from, to }} zone={zone} onChange={(window) => change(window)} />
        </div>
        <div className="-mx-3 scrollbar-none flex items-center gap-1.5 overflow-x-auto px-3 sm:-mx-4 sm:px-4">
          <FilterMenus
            workspace={workspace}
            filter={filter}
            onChange={(text) => change({ filter: text || undefined })}
          />
          {!asksAll && (
            <Button
              look="quiet"
              onClick={() => change({ filter: undefined, from: undefined, to: undefined })}
            >
              Clear all
            </Button>
          )}
          <span className="ml-auto pl-3 text-xs whitespace-nowrap text-faint" aria-live="off">
            {list.rows.length > 0 &&
              (list.query.hasNextPage
                ? `${formatCount(list.rows.length)}+ traces`
                : plural(list.rows.length, "trace"))}
          </span>
        </div>
      </div>
      <div className="relative min-h-0 flex-1">
        {list.waiting.length > 0 && (
          <div className="pointer-events-none absolute inset-x-0 top-10 z-20 flex justify-center">
            <button
              type="button"
              onClick={() => {
                list.showWaiting();
                grid.current?.scrollTo({ top: 0 });
              }}
              className="pointer-events-auto rounded-full bg-accent px-3.5 py-1 text-xs font-semibold text-on-accent shadow-pop hover:brightness-110"
            >
              ↑ {list.gap ? `${list.waiting.length}+ new traces` : plural(list.waiting.length, "new trace")}
            </button>
          </div>
        )}
        <span role="status" className="sr-only">
          {list.waiting.length > 0 ? `${plural(list.waiting.length, "new trace")}. Press n to show.` : ""}
        </span>
        {list.query.isPending && <LoadingRows rows={12} height={52} />}
        {refused && list.rows.length === 0 && (
          <Notice
            icon={SearchX}
            title="The filter was not understood"
            actions={<Button onClick={() => change({ filter: undefined })}>Clear the filter</Button>}
          >
            <Said text={refused} />
            <Said
              text={error instanceof ApiError && error.hint ? error.hint : "Correct it in the bar above"}
            />
          </Notice>
        )}
        {error && !refused && list.rows.length === 0 && (
          <Failure
            error={error}
            what="The traces could not be read"
            retry={() => void list.query.refetch()}
          />
        )}
        {empty && !asksAll && (
          <NothingMatches onClear={() => change({ filter: undefined, from: undefined, to: undefined })} />
        )}
        {empty && asksAll && (
          <Notice icon={Inbox} title="The list is empty">
            <p>New traces have arrived since; press n to show them.</p>
          </Notice>
        )}
        {list.rows.length > 0 && (
          <TraceGrid
            key={JSON.stringify(question)}
            memoryKey={JSON.stringify(question)}
            gridRef={grid}
            list={list}
            sort={sort}
            label={`Traces, ${total}`}
            onSort={(next) => change({ sort: next === "start" ? undefined : next })}
            onOpen={onOpen}
            idle={idle}
          />
        )}
      </div>
    </div>
  );
}

function NothingMatches({ onClear }: { onClear: () => void }) {
  return (
    <Notice
      icon={SearchX}
      title="No trace matches"
      actions={<Button onClick={onClear}>Clear the filter</Button>}
    >
      <p>
        The filter or the time window leaves nothing. Widen the window, or take a term away. New traces that
        match will appear here by themselves.
      </p>
    </Notice>
  );
}
