/* What the whole trace comes to: its name, how it stands, and its numbers, with the way to the first error. */
import { CircleX } from "lucide-react";
import type { ReactNode } from "react";
import type { Annotation, Skeleton } from "@/api/types";
import {
  formatCompact,
  formatCost,
  formatCount,
  formatDuration,
  formatMoment,
  formatRelative,
  nsToMs,
} from "@/model/format";
import { openUntil } from "@/model/rows";
import { Button, CopyButton, ScoreChip, Tag } from "@/ui/controls";
import { FateBadge, fateOf, KindIcon } from "@/ui/marks";
import { usePrefs } from "@/ui/prefs";

interface TraceHeaderProps {
  skeleton: Skeleton;
  nowMs: number;
  back: ReactNode;
  onFirstError: () => void;
}

export function TraceHeader({ skeleton, nowMs, back, onFirstError }: TraceHeaderProps) {
  const { trace } = skeleton;
  const zone = usePrefs((prefs) => prefs.zone);
  const startMs = nsToMs(trace.start_ns);
  const until = openUntil(skeleton, nowMs);
  const duration = trace.duration_ns ?? (until === null ? null : String(Math.round(until)));
  const scores = latestFirst(skeleton.annotations.length > 0 ? skeleton.annotations : trace.annotations);
  return (
    <header className="shrink-0 border-b border-line bg-surface px-3 pt-2 pb-2.5 sm:px-4">
      <div className="flex min-w-0 items-center gap-2">
        {back}
        <KindIcon kind={trace.kind} size={16} />
        <h1 dir="auto" className="min-w-0 truncate text-base font-semibold">
          {trace.name || "(no name)"}
        </h1>
        <FateBadge fate={fateOf(trace.state, trace.status)} />
        {trace.error_count > 0 && (
          <Button look="bad" className="h-6 px-1.5 text-xs" aria-label="First error" onClick={onFirstError}>
            <CircleX size={13} aria-hidden="true" />
            <span className="hidden sm:inline">First error</span>
          </Button>
        )}
        <span
          className="ml-auto hidden items-center font-mono text-2xs text-faint md:flex"
          title={trace.trace_id}
        >
          {trace.trace_id.slice(0, 8)}…
          <CopyButton text={trace.trace_id} label="Copy the trace id" />
        </span>
      </div>
      {trace.state !== "done" && trace.state !== "running" && <StateLine skeleton={skeleton} nowMs={nowMs} />}
      <dl className="mt-1.5 scrollbar-none flex items-baseline gap-x-5 gap-y-1 overflow-x-auto whitespace-nowrap sm:flex-wrap">
        <Fact name="Duration" testId="trace-duration">
          {formatDuration(duration)}
        </Fact>
        <Fact name="Spans">{formatCount(trace.span_count)}</Fact>
        <Fact name="Errors">
          <span className={trace.error_count > 0 ? "text-bad" : ""}>{formatCount(trace.error_count)}</span>
        </Fact>
        <Fact
          name="Tokens"
          title={`${formatCount(trace.input_tokens)} in, ${formatCount(trace.output_tokens)} out`}
        >
          {formatCompact(trace.total_tokens)}
        </Fact>
        <Fact
          name="Cost"
          title={trace.cost_incomplete ? "At least: the cost of some calls is unknown" : undefined}
        >
          {formatCost(trace.cost_nano_usd, trace.cost_incomplete)}
        </Fact>
        <Fact name="Started" title={formatMoment(startMs, zone)}>
          {formatMoment(startMs, zone).slice(0, 19)}
          <span className="ml-1.5 font-normal text-faint">{formatRelative(startMs, nowMs)}</span>
        </Fact>
        {trace.agent_name && (
          <Fact name="Agent">
            {trace.agent_name}
            {trace.agent_version && (
              <span className="ml-1 font-normal text-faint">{trace.agent_version}</span>
            )}
          </Fact>
        )}
        {trace.models.length > 0 && <Fact name="Model">{trace.models.join(", ")}</Fact>}
        {trace.session_id && <Fact name="Conversation">{trace.session_id}</Fact>}
        {trace.user_id && <Fact name="User">{trace.user_id}</Fact>}
        {trace.environment && <Fact name="Environment">{trace.environment}</Fact>}
      </dl>
      {(scores.length > 0 || trace.tags.length > 0) && (
        <div className="mt-1.5 flex flex-wrap items-center gap-1.5">
          {scores.slice(0, 12).map((annotation) => (
            <ScoreChip key={annotation.id} annotation={annotation} />
          ))}
          {scores.length > 12 && <span className="text-2xs text-faint">+{scores.length - 12}</span>}
          {trace.tags.map((tag) => (
            <Tag key={tag}>{tag}</Tag>
          ))}
        </div>
      )}
    </header>
  );
}

function Fact({
  name,
  title,
  testId,
  children,
}: {
  name: string;
  title?: string | undefined;
  testId?: string;
  children: ReactNode;
}) {
  return (
    <div className="flex items-baseline gap-1.5" title={title}>
      <dt className="text-2xs text-faint">{name}</dt>
      <dd dir="auto" data-testid={testId} className="max-w-72 truncate text-sm font-medium tabular-nums">
        {children}
      </dd>
    </div>
  );
}

function StateLine({ skeleton, nowMs }: { skeleton: Skeleton; nowMs: number }) {
  const { state, open_count, received_ns } = skeleton.trace;
  const heard = formatRelative(nsToMs(received_ns), nowMs);
  const cut = skeleton.interrupted.filter(Boolean).length;
  const open = `${formatCount(open_count)} ${open_count === 1 ? "span is" : "spans are"} still open`;
  const words = {
    stalled: `${open}, and nothing was heard from the process for a minute; last sign ${heard}.`,
    interrupted: `${formatCount(cut)} ${cut === 1 ? "span was" : "spans were"} open when the process ended, and closed as ${cut === 1 ? "an error" : "errors"}.`,
    unknown: `${open}. This client sends no heartbeats, so it cannot be known whether the process still runs.`,
  }[state as "stalled" | "interrupted" | "unknown"];
  return <p className="mt-1 text-xs text-warn">{words}</p>;
}

/** Per name, source and author only the latest counts. */
function latestFirst(annotations: Annotation[]): Annotation[] {
  const latest = new Map<string, Annotation>();
  for (const annotation of annotations) {
    const key = `${annotation.name}\n${annotation.source}\n${annotation.author ?? ""}\n${annotation.span_id ?? ""}`;
    const known = latest.get(key);
    if (!known || BigInt(annotation.created_ns) >= BigInt(known.created_ns)) latest.set(key, annotation);
  }
  return [...latest.values()];
}
