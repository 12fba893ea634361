/* What happened during the span, in order, with the time since its start. */
import type { Span } from "@/api/types";
import { formatDuration, formatMoment, nsToMs } from "@/model/format";
import { usePrefs } from "@/ui/prefs";
import { JsonTree } from "./JsonTree";

export function EventsTab({ span }: { span: Span }) {
  const zone = usePrefs((prefs) => prefs.zone);
  if (span.events.length === 0)
    return <p className="p-4 text-muted">No events were recorded on this span.</p>;
  return (
    <ol className="grid gap-3 p-3 sm:p-4">
      {span.events.map((event, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: events have no id and never change their order.
        <li key={i}>
          <div className="mb-1 flex items-baseline gap-2">
            <span dir="auto" className="min-w-0 truncate font-medium">
              {event.name || "(no name)"}
            </span>
            {event.time_ns !== null && (
              <span
                className="ml-auto text-xs whitespace-nowrap text-faint tabular-nums"
                title={formatMoment(nsToMs(event.time_ns), zone)}
              >
                + {formatDuration((BigInt(event.time_ns) - BigInt(span.start_ns)).toString())}
              </span>
            )}
          </div>
          {Object.keys(event.attributes).length > 0 && (
            <JsonTree value={event.attributes} label={`Event ${i + 1}`} hideRoot />
          )}
        </li>
      ))}
    </ol>
  );
}
