/* The rest of what is known of a span: ids, where it came from, what was left out, and what had to be repaired. */
import { AlertTriangle } from "lucide-react";
import type { ReactNode } from "react";
import type { Span } from "@/api/types";
import { formatCost, formatCount, formatMoment, nsToMs } from "@/model/format";
import { CopyButton } from "@/ui/controls";
import { usePrefs } from "@/ui/prefs";
import { JsonTree } from "./JsonTree";

/** OpenTelemetry's numbers; 0 is "unspecified" and says nothing. */
const OTEL_KINDS = [null, "internal", "server", "client", "producer", "consumer"];

export function DetailsTab({ span, onSpan }: { span: Span; onSpan: (spanId: string) => void }) {
  const zone = usePrefs((prefs) => prefs.zone);
  const moment = (ns: string | null) => (ns === null ? null : formatMoment(nsToMs(ns), zone));
  const dropped = Object.entries(span.dropped_counts ?? {}).filter(([, n]) => n > 0);
  return (
    <div className="grid gap-4 p-3 sm:p-4">
      {span.repairs.length > 0 && <Repairs span={span} />}
      <dl className="grid grid-cols-[minmax(6.5rem,auto)_minmax(0,1fr)] gap-x-4 gap-y-1">
        <Line name="Trace id" copy={span.trace_id} />
        <Line name="Span id" copy={span.span_id} />
        <dt className="text-xs text-faint">Parent</dt>
        <dd className="min-w-0 font-mono text-xs">
          {span.parent_span_id === null ? (
            <span className="font-sans">none: this is a root</span>
          ) : span.missing_parent ? (
            <span className="break-all">
              {span.parent_span_id} <span className="font-sans text-warn">has not arrived</span>
            </span>
          ) : (
            <button
              type="button"
              onClick={() => onSpan(span.parent_span_id ?? "")}
              className="break-all text-accent hover:underline"
            >
              {span.parent_span_id}
            </button>
          )}
        </dd>
        <Line name="Start" value={moment(span.start_ns)} />
        <Line name="End" value={moment(span.end_ns)} />
        <Line name="Received" value={moment(span.received_ns)} />
        <Line name="Agent" value={[span.agent_name, span.agent_version].filter(Boolean).join(" ") || null} />
        <Line name="Agent id" value={span.agent_id} />
        <Line name="Conversation" value={span.session_id} />
        <Line name="User" value={span.user_id} />
        <Line name="Environment" value={span.environment} />
        <Line name="Service" value={span.service} />
        <Line name="Provider" value={span.provider} />
        <Line name="Model" value={span.model} />
        <Line name="Requested" value={span.requested_model} />
        <Line name="Reasoning" value={span.reasoning_effort} />
        <Line
          name="Client's cost"
          value={span.client_cost_nano_usd === null ? null : formatCost(span.client_cost_nano_usd)}
        />
        <Line name="Process" value={span.process_id} />
        <Line name="Sample rate" value={span.sample_rate === null ? null : String(span.sample_rate)} />
        <Line
          name="Scope"
          value={[span.scope?.name, span.scope?.version].filter(Boolean).join(" ") || null}
        />
        <Line name="OTel kind" value={OTEL_KINDS[span.otel_kind] ?? null} />
        <Line name="Trace state" value={span.trace_state} />
        <Line
          name="Dropped"
          value={dropped.map(([what, n]) => `${formatCount(n)} ${what}`).join(", ") || null}
        />
      </dl>
      <Bag title="Usage" value={span.usage} />
      <Bag title="Capture" value={span.capture} />
      <Bag title="Resource" value={span.resource} />
      {span.links.length > 0 && <Bag title="Links" value={{ ...span.links }} />}
    </div>
  );
}

function Line({ name, value, copy }: { name: string; value?: ReactNode; copy?: string }) {
  if (copy === undefined && (value === null || value === undefined || value === "")) return null;
  return (
    <>
      <dt className="text-xs text-faint">{name}</dt>
      <dd dir="auto" className="flex min-w-0 items-center text-xs break-words tabular-nums">
        {copy === undefined ? (
          <span className="min-w-0">{value}</span>
        ) : (
          <>
            <span className="min-w-0 font-mono break-all">{copy}</span>
            <span className="-my-1.5">
              <CopyButton text={copy} label={`Copy the ${name.toLowerCase()}`} />
            </span>
          </>
        )}
      </dd>
    </>
  );
}

function Repairs({ span }: { span: Span }) {
  return (
    <section className="rounded-lg border border-warn/40 bg-warn-soft px-3 py-2">
      <h3 className="flex items-center gap-1.5 text-xs font-semibold text-warn">
        <AlertTriangle size={13} aria-hidden="true" />
        Repaired on arrival
      </h3>
      <ul className="mt-1 text-xs">
        {span.repairs.map(({ field, problem }) => (
          <li key={`${field} ${problem}`}>
            <code className="font-mono">{field}</code>: {problem}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Known members of a bag as a tree; nothing when there are none. */
function Bag({ title, value }: { title: string; value: object | null }) {
  const known = Object.fromEntries(
    Object.entries(value ?? {}).filter(([, v]) => v !== null && v !== undefined && v !== "unknown"),
  );
  if (Object.keys(known).length === 0) return null;
  return (
    <section>
      <h3 className="mb-1 text-xs font-semibold">{title}</h3>
      <JsonTree value={known} label={title} hideRoot />
    </section>
  );
}
