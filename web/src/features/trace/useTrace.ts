/* One trace's skeleton, read again when the live stream says it changed; big traces are read less often than small ones. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { skeletonQuery } from "@/api/queries";
import { useLive, useThrottled } from "@/ui/hooks";

export function useTrace(workspace: string, traceId: string) {
  const client = useQueryClient();
  const query = useQuery(skeletonQuery(workspace, traceId));
  const [gone, setGone] = useState(false);
  const size = query.data?.span_id.length ?? 0;
  const refresh = useThrottled(
    async () => {
      await client.invalidateQueries({ queryKey: ["skeleton", workspace, traceId] });
      await client.invalidateQueries({ queryKey: ["span", workspace, traceId] });
    },
    size > 20_000 ? 3000 : size > 2000 ? 1200 : 400,
  );
  useLive(workspace, (message) => {
    if (message.type === "reset") refresh();
    if (message.type !== "change" || message.change.trace_id !== traceId) return;
    if (message.change.change === "delete") setGone(true);
    else refresh();
  });
  return { query, gone };
}
