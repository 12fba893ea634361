/* Binds the trace view to its URL and puts the span panel beside it: two features that do not know each other. */
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect } from "react";
import { SpanPanel } from "@/features/span/SpanPanel";
import { TraceScreen } from "@/features/trace/TraceScreen";
import { useLastList } from "./lastList";
import { useWorkspace } from "./useWorkspace";

export function TraceRoute() {
  const workspace = useWorkspace();
  const { traceId } = useParams({ from: "/traces/$traceId" });
  const { span, tab } = useSearch({ from: "/traces/$traceId" });
  const navigate = useNavigate();
  const list = useLastList((last) => last.search);
  useEffect(() => {
    document.title = `Trace ${traceId.slice(0, 8)} · Staso`;
  }, [traceId]);
  const toSearch = useCallback(
    (next: { span?: string | undefined; tab?: string | undefined }) =>
      void navigate({
        to: "/traces/$traceId",
        params: { traceId },
        search: (old) => ({ workspace: old.workspace, span: old.span, tab: old.tab, ...next }),
        replace: true,
      }),
    [navigate, traceId],
  );
  return (
    <TraceScreen
      key={`${workspace}/${traceId}`}
      workspace={workspace}
      traceId={traceId}
      spanId={span}
      onSpan={useCallback((id: string | undefined) => toSearch({ span: id }), [toSearch])}
      onBack={() =>
        void navigate({ to: "/traces", search: (old) => ({ ...list, workspace: old.workspace }) })
      }
      panel={(spanId, close) => (
        <SpanPanel
          workspace={workspace}
          traceId={traceId}
          spanId={spanId}
          tab={tab}
          onTab={(next) => toSearch({ tab: next })}
          onSpan={(id) => toSearch({ span: id })}
          onClose={close}
        />
      )}
    />
  );
}
