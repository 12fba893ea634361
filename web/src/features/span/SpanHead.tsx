/* The span in one glance: what it is, how it ended, when, how long, which model, how many tokens of which sort. */
import type { ReactNode } from "react";
import type { Span, Usage } from "@/api/types";
import { formatCost, formatCount, formatDuration, formatMoment, nsToMs } from "@/model/format";
import { ScoreChip, Tag } from "@/ui/controls";
import { type Fate, FateBadge, KindIcon, kindLook } from "@/ui/marks";
import { usePrefs } from "@/ui/prefs";

export function SpanHead({ span, close }: { span: Span; close: ReactNode }) {
  const zone = usePrefs((prefs) => prefs.zone);
  const fate: Fate = span.interrupted ? "interrupted" : span.open ? "running" : span.status;
  const startMs = nsToMs(span.start_ns);
  return (
    <header className="shrink-0 bg-surface px-3 pt-2.5 pb-1 sm:px-4">
      <div className="flex items-center gap-2">
        <KindIcon kind={span.kind} size={16} />
        <h2 dir="auto" className="min-w-0 flex-1 truncate text-base font-semibold" title={span.name}>
          {span.name || "(no name)"}
        </h2>
        <FateBadge fate={fate} />
        {close}
      </div>
      <dl className="mt-1.5 flex flex-wrap gap-x-4 gap-y-0.5">
        <Fact name="Kind">
          <span className={kindLook(span.kind).text}>{span.kind}</span>
        </Fact>
        {span.duration_ns !== null && <Fact name="Duration">{formatDuration(span.duration_ns)}</Fact>}
        <Fact name="Started" title={formatMoment(startMs, zone)}>
          {formatMoment(startMs, zone).slice(11)}
        </Fact>
        {span.model && (
          <Fact
            name="Model"
            title={
              span.requested_model && span.requested_model !== span.model
                ? `asked for ${span.requested_model}`
                : undefined
            }
          >
            {span.model}
          </Fact>
        )}
        {span.usage && <Tokens usage={span.usage} />}
        {span.cost_nano_usd !== null && <Fact name="Cost">{formatCost(span.cost_nano_usd)}</Fact>}
        {span.agent_name && <Fact name="Agent">{span.agent_name}</Fact>}
      </dl>
      {(span.annotations.length > 0 || span.tags.length > 0) && (
        <div className="mt-1.5 flex flex-wrap gap-1.5">
          {span.annotations.slice(0, 6).map((annotation) => (
            <ScoreChip key={annotation.id} annotation={annotation} />
          ))}
          {span.tags.map((tag) => (
            <Tag key={tag}>{tag}</Tag>
          ))}
        </div>
      )}
    </header>
  );
}

function Tokens({ usage }: { usage: Usage }) {
  if (usage.total === null && usage.input_total === null && usage.output === null) return null;
  const parts: [string, number | null][] = [
    ["input, uncached", usage.input_uncached],
    ["cache read", usage.cache_read],
    ["cache write, 5 min", usage.cache_write_5m],
    ["cache write, 1 h", usage.cache_write_1h],
    ["output", usage.output],
    ["of it reasoning", usage.reasoning],
    ["audio in", usage.audio_input],
    ["audio out", usage.audio_output],
  ];
  const title = parts.filter(([, n]) => n !== null).map(([name, n]) => `${name}: ${formatCount(n)}`);
  return (
    <Fact name="Tokens" title={title.join("\n")}>
      {formatCount(usage.input_total)} <span className="font-normal text-faint">in</span>{" "}
      {formatCount(usage.output)} <span className="font-normal text-faint">out</span>
    </Fact>
  );
}

function Fact({ name, title, children }: { name: string; title?: string | undefined; children: ReactNode }) {
  return (
    <div className="flex items-baseline gap-1.5" title={title}>
      <dt className="text-2xs text-faint">{name}</dt>
      <dd dir="auto" className="max-w-60 truncate text-xs font-medium tabular-nums">
        {children}
      </dd>
    </div>
  );
}
