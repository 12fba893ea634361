/*
 * One trace as one row: two lines at desk width, a small card on a phone. The root's name is the link and covers the row,
 * so that a click, a middle click and a screen reader all find the same thing.
 */
import { Link } from "@tanstack/react-router";
import { AlertTriangle } from "lucide-react";
import { memo } from "react";
import type { Annotation, TraceRow } from "@/api/types";
import {
  formatCompact,
  formatCost,
  formatCount,
  formatDuration,
  formatMoment,
  formatRelative,
  formatShortMoment,
  nsToMs,
  oneLine,
  plural,
  type Zone,
} from "@/model/format";
import { readable } from "@/model/preview";
import { ScoreChip } from "@/ui/controls";
import { FateIcon, fateOf, KindIcon } from "@/ui/marks";

export const COLUMNS =
  "grid-cols-[1.75rem_minmax(11rem,1.15fr)_minmax(10rem,2fr)_minmax(6.5rem,0.6fr)_5rem_4rem_4.25rem_4.75rem_8rem]";

export interface TraceLineProps {
  row: TraceRow;
  index: number;
  active: boolean;
  left: boolean;
  fresh: boolean;
  wide: boolean;
  nowMs: number;
  zone: Zone;
}

export const TraceLine = memo(function TraceLine(props: TraceLineProps) {
  const { row, index, active, left, fresh, wide } = props;
  return (
    <div
      role="row"
      id={`trace-${row.trace_id}`}
      data-trace={row.trace_id}
      aria-rowindex={index + 2}
      aria-selected={active}
      title={left ? "Changed, and no longer matches the filter" : undefined}
      className={`group relative h-full border-b border-line transition-colors ${active ? "bg-accent-soft shadow-[inset_2px_0_0_var(--accent)]" : "hover:bg-sunken/70"} ${left ? "opacity-50" : ""} ${fresh ? "bg-accent-soft/60" : ""}`}
    >
      {wide ? <WideCells {...props} /> : <NarrowCells {...props} />}
    </div>
  );
});

function WideCells({ row, nowMs, zone }: TraceLineProps) {
  const startMs = nsToMs(row.start_ns);
  return (
    <div className={`grid h-full items-center gap-x-3 px-4 ${COLUMNS}`}>
      <Cell className="flex">
        <FateIcon fate={fateOf(row.state, row.status)} />
      </Cell>
      <Cell>
        <NameLink row={row} />
        <AgentLine row={row} />
      </Cell>
      <Cell>
        <Previews row={row} />
      </Cell>
      <Cell className="flex flex-col items-start gap-0.5 overflow-hidden">
        <Scores annotations={row.annotations} most={2} />
      </Cell>
      <Cell className="text-right tabular-nums">{durationOf(row, nowMs)}</Cell>
      <Cell className="text-right tabular-nums">
        <div>{formatCompact(row.span_count)}</div>
        {row.error_count > 0 && (
          <div
            className="text-xs text-bad"
            title={plural(row.error_count, "span with an error", "spans with errors")}
          >
            {formatCompact(row.error_count)} err
          </div>
        )}
      </Cell>
      <Cell className="text-right tabular-nums" title={tokenTitle(row)}>
        {formatCompact(row.total_tokens)}
      </Cell>
      <Cell
        className="text-right tabular-nums"
        title={row.cost_incomplete ? "At least: the cost of some calls is unknown" : undefined}
      >
        {formatCost(row.cost_nano_usd, row.cost_incomplete)}
      </Cell>
      <Cell className="text-right whitespace-nowrap tabular-nums" title={formatMoment(startMs, zone)}>
        <div>{formatRelative(startMs, nowMs)}</div>
        <div className="text-xs text-faint">{formatShortMoment(startMs, nowMs, zone)}</div>
      </Cell>
    </div>
  );
}

function NarrowCells({ row, nowMs, zone }: TraceLineProps) {
  const startMs = nsToMs(row.start_ns);
  return (
    <div className="grid h-full grid-cols-[1.25rem_1fr_auto] items-start gap-x-2 overflow-hidden px-3 py-2">
      <Cell className="pt-0.5">
        <FateIcon fate={fateOf(row.state, row.status)} />
      </Cell>
      <Cell className="min-w-0">
        <NameLink row={row} />
        <div dir="auto" className={`truncate text-xs ${row.error_message ? "text-bad" : "text-muted"}`}>
          {oneLine(row.error_message ?? readable(row.output_preview ?? row.input_preview ?? ""), 120) || " "}
        </div>
        <div className="mt-0.5 flex items-center gap-x-2 overflow-hidden text-2xs whitespace-nowrap text-faint tabular-nums">
          {row.agent_name && <span className="max-w-28 truncate">{row.agent_name}</span>}
          <span>{plural(row.span_count, "span")}</span>
          {row.error_count > 0 && <span className="text-bad">{formatCount(row.error_count)} err</span>}
          {row.total_tokens !== null && <span>{formatCompact(row.total_tokens)} tok</span>}
          {row.cost_nano_usd !== null && <span>{formatCost(row.cost_nano_usd, row.cost_incomplete)}</span>}
          <Scores annotations={row.annotations} most={1} />
        </div>
      </Cell>
      <Cell className="text-right whitespace-nowrap tabular-nums">
        <div>{durationOf(row, nowMs)}</div>
        <div className="text-2xs text-faint" title={formatMoment(startMs, zone)}>
          {formatRelative(startMs, nowMs)}
        </div>
      </Cell>
    </div>
  );
}

function Cell({
  className = "",
  ...rest
}: {
  className?: string;
  title?: string | undefined;
  children?: React.ReactNode;
}) {
  return <div role="gridcell" className={`min-w-0 ${className}`} {...rest} />;
}

function NameLink({ row }: { row: TraceRow }) {
  return (
    <div className="flex min-w-0 items-center gap-1.5">
      <KindIcon kind={row.kind} size={13} />
      <Link
        to="/traces/$traceId"
        params={{ traceId: row.trace_id }}
        search={(old) => (old.workspace ? { workspace: old.workspace } : {})}
        tabIndex={-1}
        dir="auto"
        className="truncate font-medium text-ink after:absolute after:inset-0"
      >
        {row.name || "(no name)"}
      </Link>
      {row.repaired_count > 0 && (
        <span title={`${plural(row.repaired_count, "field")} repaired on arrival`} className="text-warn">
          <AlertTriangle size={12} aria-label="repaired" />
        </span>
      )}
    </div>
  );
}

function AgentLine({ row }: { row: TraceRow }) {
  const words = [row.agent_name, row.agent_version, row.environment, ...row.tags].filter(Boolean);
  return (
    <div dir="auto" className="truncate text-xs text-muted">
      {words.join(" · ") || row.service || " "}
    </div>
  );
}

function Previews({ row }: { row: TraceRow }) {
  return (
    <div className="text-xs">
      {row.input_preview && <PreviewLine sign="in" text={readable(row.input_preview)} />}
      {row.error_message !== null ? (
        <PreviewLine sign="error" text={row.error_message} bad />
      ) : (
        row.output_preview && <PreviewLine sign="out" text={readable(row.output_preview)} />
      )}
    </div>
  );
}

function PreviewLine({ sign, text, bad = false }: { sign: string; text: string; bad?: boolean }) {
  return (
    <div className="flex h-4.5 items-center gap-1.5">
      <span className={`w-7 shrink-0 text-2xs ${bad ? "text-bad" : "text-faint"}`}>{sign}</span>
      <span dir="auto" className={`min-w-0 flex-1 truncate ${bad ? "text-bad" : "text-muted"}`}>
        {oneLine(text)}
      </span>
    </div>
  );
}

/**
 * The first scores as chips, by name, so that rows compare. The last one shares its line with the count of
 * those left out.
 */
function Scores({ annotations, most }: { annotations: Annotation[]; most: number }) {
  const byName = annotations.toSorted((a, b) => a.name.localeCompare(b.name));
  const shown = byName.slice(0, most);
  const leftOut = annotations.length - shown.length;
  const last = shown.pop();
  return (
    <>
      {shown.map((annotation) => (
        <ScoreChip key={annotation.id} annotation={annotation} />
      ))}
      {last && (
        <span className="flex max-w-full min-w-0 items-center gap-1">
          <ScoreChip annotation={last} />
          {leftOut > 0 && <span className="shrink-0 text-2xs text-faint">+{leftOut}</span>}
        </span>
      )}
    </>
  );
}

function durationOf(row: TraceRow, nowMs: number): string {
  if (row.duration_ns !== null) return formatDuration(row.duration_ns);
  if (row.state !== "running") return "open";
  return formatDuration(Math.max(0, nowMs - nsToMs(row.start_ns)) * 1e6);
}

function tokenTitle(row: TraceRow): string | undefined {
  if (row.total_tokens === null) return undefined;
  return `${formatCount(row.input_tokens)} in, ${formatCount(row.output_tokens)} out`;
}
