/*
 * One span as one row: its place in the tree on the left, its place in time on the right. A pure function of its props, so
 * that a tick redraws only rows whose bar moves.
 */
import {
  ChevronRight,
  CircleSlash2,
  CircleX,
  ClockAlert,
  LoaderCircle,
  MessageSquareText,
  Unlink,
  Wrench,
} from "lucide-react";
import { memo } from "react";
import { formatCompact, formatDuration, plural } from "@/model/format";
import type { SpanRow } from "@/model/rows";
import { extentOf, type TimeRange } from "@/model/timeScale";
import { KindIcon, kindLook } from "@/ui/marks";

export const ROW_HEIGHT = 28;
const DEEPEST = 24;

export interface SpanLineProps {
  span: SpanRow;
  descendants: number;
  expanded: boolean;
  active: boolean;
  matched: boolean;
  state: string;
  range: TimeRange;
  until: number | null;
  position: number;
  wide: boolean;
  onToggle: (row: number) => void;
}

export const SpanLine = memo(function SpanLine(props: SpanLineProps) {
  const { span, descendants, expanded, active, matched } = props;
  const parent = descendants > 0;
  return (
    <div
      role="row"
      id={`span-${span.id}`}
      data-span={span.id}
      aria-level={span.depth + 1}
      aria-expanded={parent ? expanded : undefined}
      aria-selected={active}
      aria-rowindex={props.position + 1}
      className={`flex h-full cursor-default items-center ${active ? "bg-accent-soft shadow-[inset_2px_0_0_var(--accent)]" : matched ? "bg-warn-soft" : "hover:bg-sunken/70"}`}
    >
      <div
        role="gridcell"
        className="flex h-full w-(--tree) shrink-0 items-center gap-1.5 overflow-hidden pr-2"
      >
        <Indent depth={span.depth} step={props.wide ? 14 : 8} />
        <button
          type="button"
          tabIndex={-1}
          aria-hidden={!parent}
          aria-label={expanded ? "Collapse" : "Expand"}
          onClick={(event) => {
            event.stopPropagation();
            props.onToggle(span.row);
          }}
          className={`-mr-1 grid size-5 shrink-0 place-items-center rounded text-faint hover:bg-line hover:text-ink ${parent ? "" : "invisible"}`}
        >
          <ChevronRight size={13} aria-hidden="true" className={expanded ? "rotate-90" : ""} />
        </button>
        <KindIcon kind={span.kind} size={13} />
        <span dir="auto" className={`truncate ${span.error ? "text-bad" : ""}`} title={span.name}>
          {span.name || "(no name)"}
        </span>
        {parent && !expanded && (
          <span
            className="shrink-0 rounded-full bg-sunken px-1.5 text-2xs text-muted tabular-nums"
            title={plural(descendants, "hidden span")}
          >
            +{formatCompact(descendants)}
          </span>
        )}
        <Marks {...props} />
      </div>
      <Timeline {...props} />
    </div>
  );
});

/** Guides for each level; past a depth no eye follows, a number stands for the rest. */
function Indent({ depth, step }: { depth: number; step: number }) {
  const shown = Math.min(depth, DEEPEST);
  if (shown === 0) return <span className="w-2 shrink-0" />;
  return (
    <span
      className="flex h-full shrink-0 items-center justify-end pl-4 text-2xs text-faint"
      style={{
        width: 16 + shown * step,
        backgroundImage: `repeating-linear-gradient(90deg, transparent 0 ${step - 1}px, var(--line) ${step - 1}px ${step}px)`,
        backgroundPosition: "5px 0",
        backgroundSize: `${shown * step}px 100%`,
        backgroundRepeat: "no-repeat",
      }}
    >
      {depth > DEEPEST && <span title={`Level ${depth + 1}`}>{depth}</span>}
    </span>
  );
}

function Marks({ span, state, wide }: SpanLineProps) {
  const icon = "shrink-0";
  return (
    <span className="ml-auto flex shrink-0 items-center gap-1.5 pl-1 text-2xs text-faint tabular-nums">
      {wide && span.tokens !== null && span.tokens > 0 && (
        <span title={plural(span.tokens, "token")}>{formatCompact(span.tokens)} tok</span>
      )}
      {span.annotations > 0 && (
        <span className="flex items-center gap-0.5" title={plural(span.annotations, "annotation")}>
          <MessageSquareText size={11} aria-label="annotations" />
          {span.annotations}
        </span>
      )}
      {span.repaired && (
        <span title="Repaired on arrival: see Details" className="text-warn">
          <Wrench size={11} className={icon} aria-label="repaired" />
        </span>
      )}
      {span.missingParent && (
        <span title="Its parent has not arrived" className="text-warn">
          <Unlink size={12} className={icon} aria-label="parent missing" />
        </span>
      )}
      {span.status === "timeout" ? (
        <span title="Timeout" className="text-bad">
          <ClockAlert size={13} className={icon} aria-label="timeout" />
        </span>
      ) : (
        span.error && (
          <span title="Error" className="text-bad">
            <CircleX size={13} className={icon} aria-label="error" />
          </span>
        )
      )}
      {span.interrupted && (
        <span title="The process ended while this span was open" className="text-warn">
          <CircleSlash2 size={12} className={icon} aria-label="interrupted" />
        </span>
      )}
      {span.open && state === "running" && (
        <LoaderCircle size={12} className="animate-turn text-accent" aria-label="running" />
      )}
    </span>
  );
}

function Timeline({ span, range, until, state }: SpanLineProps) {
  const duration = span.duration ?? (span.open && until !== null ? until - span.start : 0);
  const { left, width } = extentOf(range, span.start, duration);
  const right = 1 - left - width;
  const label = span.open ? openLabel(state, duration) : formatDuration(span.duration);
  // The label goes where there is room: after the bar, before it, or inside.
  const place = right > 0.2 ? "after" : left > 0.2 ? "before" : "inside";
  const look = span.error ? "bg-bad" : kindLook(span.kind).bar;
  const inside = place === "inside";
  return (
    <div
      role="gridcell"
      data-testid="bar"
      className="relative h-full min-w-0 flex-1 overflow-hidden border-l border-line"
    >
      <div className="absolute inset-y-0 right-3 left-1">
        <div
          className={`absolute top-2 h-3 min-w-[3px] rounded-[3px] ${look} ${span.open ? "hatch rounded-r-none opacity-80" : ""}`}
          style={{ left: `${left * 100}%`, width: `${width * 100}%` }}
        />
        <span
          className={`pointer-events-none absolute text-2xs whitespace-nowrap tabular-nums ${inside ? "top-2 rounded-[3px] border-y border-r border-transparent bg-surface/85 bg-clip-padding px-1.5 leading-[10px] text-ink" : "top-1.5 px-1.5 leading-4 text-muted"}`}
          style={
            place === "after"
              ? { left: `max(${(left + width) * 100}%, calc(${left * 100}% + 3px))` }
              : place === "before"
                ? { right: `${(1 - left) * 100}%` }
                : { right: `${right * 100}%` }
          }
        >
          {label}
        </span>
      </div>
    </div>
  );
}

function openLabel(state: string, duration: number): string {
  if (state === "stalled") return "stalled";
  return state === "running" ? `${formatDuration(duration)} …` : "open";
}
