/* Everything known of one span, in tabs; the tab is in the URL, so that a link shows what its sender saw. */
import * as Tabs from "@radix-ui/react-tabs";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import type { ReactNode } from "react";
import { spanQuery } from "@/api/queries";
import type { Span } from "@/api/types";
import { IconButton } from "@/ui/controls";
import { Failure, LoadingRows } from "@/ui/Notice";
import { AnnotationsTab } from "./AnnotationsTab";
import { DetailsTab } from "./DetailsTab";
import { ErrorTab, exceptionsOf } from "./ErrorTab";
import { EventsTab } from "./EventsTab";
import { JsonTree } from "./JsonTree";
import { PayloadView } from "./PayloadView";
import { SpanHead } from "./SpanHead";

interface SpanPanelProps {
  workspace: string;
  traceId: string;
  spanId: string;
  tab: string | undefined;
  onTab: (tab: string | undefined) => void;
  onSpan: (spanId: string) => void;
  onClose: (() => void) | null;
}

export function SpanPanel(props: SpanPanelProps) {
  const { workspace, traceId, spanId, onClose } = props;
  const query = useQuery({ ...spanQuery(workspace, traceId, spanId), placeholderData: keepPreviousData });
  const close = onClose && (
    <IconButton label="Close the panel (Esc)" onClick={onClose} className="-mr-1.5">
      <X size={16} />
    </IconButton>
  );
  if (query.data)
    return <Loaded {...props} span={query.data} stale={query.isPlaceholderData} close={close} />;
  return (
    <div className="h-full">
      <div className="flex justify-end p-2">{close}</div>
      {query.error ? (
        <Failure error={query.error} what="The span could not be read" retry={() => void query.refetch()} />
      ) : (
        <LoadingRows rows={8} height={30} />
      )}
    </div>
  );
}

interface TabSpec {
  id: string;
  label: string;
  count?: number;
  bad?: boolean;
  body: ReactNode;
}

function tabsOf(span: Span, props: SpanPanelProps): TabSpec[] {
  const failed = span.error_message !== null || exceptionsOf(span).length > 0;
  const metadata = Object.keys(span.metadata).length;
  const tabs: (TabSpec | false)[] = [
    {
      id: "io",
      label: "Input & output",
      body: <InputOutput span={span} onError={() => props.onTab("error")} />,
    },
    failed && { id: "error", label: "Error", bad: true, body: <ErrorTab span={span} /> },
    { id: "metadata", label: "Metadata", count: metadata, body: <Metadata span={span} /> },
    { id: "events", label: "Events", count: span.events.length, body: <EventsTab span={span} /> },
    {
      id: "annotations",
      label: "Annotations",
      count: span.annotations.length,
      body: <AnnotationsTab span={span} workspace={props.workspace} />,
    },
    { id: "details", label: "Details", body: <DetailsTab span={span} onSpan={props.onSpan} /> },
  ];
  return tabs.filter((tab) => tab !== false);
}

function Loaded(props: SpanPanelProps & { span: Span; stale: boolean; close: ReactNode }) {
  const { span, stale } = props;
  const tabs = tabsOf(span, props);
  const current = tabs.find((tab) => tab.id === props.tab)?.id ?? "io";
  return (
    <Tabs.Root
      id="span-panel"
      tabIndex={-1}
      value={current}
      onValueChange={(next) => props.onTab(next === "io" ? undefined : next)}
      aria-busy={stale}
      className={`flex h-full min-h-0 flex-col outline-none transition-opacity ${stale ? "opacity-60" : ""}`}
    >
      <SpanHead span={span} close={props.close} />
      <Tabs.List
        aria-label="Parts of the span"
        className="flex shrink-0 scrollbar-none overflow-x-auto border-b border-line bg-surface px-2"
      >
        {tabs.map((tab) => (
          <Tabs.Trigger
            key={tab.id}
            value={tab.id}
            className={`relative h-9 px-2 font-medium whitespace-nowrap text-muted hover:text-ink data-[state=active]:text-ink data-[state=active]:after:absolute data-[state=active]:after:inset-x-2 data-[state=active]:after:bottom-0 data-[state=active]:after:h-0.5 data-[state=active]:after:bg-accent ${tab.bad ? "text-bad data-[state=active]:text-bad" : ""}`}
          >
            {tab.label}
            {tab.count !== undefined && tab.count > 0 && (
              <span className="ml-1 text-2xs text-faint tabular-nums">{tab.count}</span>
            )}
          </Tabs.Trigger>
        ))}
      </Tabs.List>
      {tabs.map((tab) => (
        <Tabs.Content
          key={`${tab.id} ${span.span_id}`}
          value={tab.id}
          className="min-h-0 flex-1 overflow-y-auto outline-none focus-visible:outline-none"
        >
          {tab.body}
        </Tabs.Content>
      ))}
    </Tabs.Root>
  );
}

function InputOutput({ span, onError }: { span: Span; onError: () => void }) {
  return (
    <div className="grid gap-4 p-3 sm:p-4">
      {span.error_message !== null && (
        <button
          type="button"
          onClick={onError}
          className="rounded-lg border border-bad/30 bg-bad-soft px-3 py-2 text-left text-sm text-bad hover:border-bad/60"
        >
          <span dir="auto" className="line-clamp-3 break-words">
            {span.error_message || "Ended with an error"}
          </span>
        </button>
      )}
      <PayloadView
        title="Input"
        payload={span.input}
        suppressed={span.capture}
        nothing={nothingSaid(span, "input")}
      />
      <PayloadView
        title="Output"
        payload={span.output}
        suppressed={span.capture}
        nothing={nothingSaid(span, "output")}
      />
    </div>
  );
}

function nothingSaid(span: Span, what: "input" | "output"): string {
  if (what === "output" && span.open) return "Not yet: the span is still open.";
  if (what === "output" && span.error_message !== null) return "None: the span ended with an error.";
  return `None was recorded. In Python: s.${what} = …`;
}

function Metadata({ span }: { span: Span }) {
  if (Object.keys(span.metadata).length === 0) {
    return <p className="p-4 text-muted">None was recorded. In Python: s.metadata["key"] = value</p>;
  }
  return (
    <div className="p-3 sm:p-4">
      <JsonTree value={span.metadata} label="Metadata" hideRoot />
    </div>
  );
}
