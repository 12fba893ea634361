/*
 * An input or an output, in the way that fits it: a conversation as messages, JSON as a tree, text as text; the raw text is
 * always one click away. Parsing waits until the payload is shown.
 */
import { useMemo, useState } from "react";
import type { Payload } from "@/api/types";
import { messagesOf } from "@/model/chat";
import { formatBytes } from "@/model/format";
import { parseJson, prettyJson } from "@/model/json";
import { CopyButton } from "@/ui/controls";
import { ChatView } from "./ChatView";
import { JsonTree } from "./JsonTree";
import { TextView } from "./TextView";

type Mode = "chat" | "tree" | "text" | "raw";
const MODES: Record<Mode, string> = { chat: "Chat", tree: "Tree", text: "Text", raw: "Raw" };

interface PayloadViewProps {
  title: string;
  payload: Payload | null;
  suppressed: Record<string, string> | null;
  nothing: string;
}

export function PayloadView({ title, payload, suppressed, nothing }: PayloadViewProps) {
  const [chosen, setChosen] = useState<Mode | null>(null);
  const read = useMemo(() => (payload ? understand(payload) : null), [payload]);
  const hidden = Object.entries(suppressed ?? {}).filter(([, how]) => how === "suppressed");
  if (!payload || !read) {
    return (
      <section aria-label={title}>
        <h3 className="mb-1 text-xs font-semibold">{title}</h3>
        <p className="text-sm text-muted">
          {hidden.length > 0
            ? `Not recorded on purpose: capture of ${hidden.map(([name]) => name).join(", ")} is off.`
            : nothing}
        </p>
      </section>
    );
  }
  const mode = chosen && read.modes.includes(chosen) ? chosen : (read.modes[0] ?? "raw");
  return (
    <section aria-label={title}>
      <div className="mb-1 flex h-7 items-center gap-2">
        <h3 className="text-xs font-semibold">{title}</h3>
        <span className="text-2xs text-faint">{formatBytes(payload.text.length)}</span>
        <div className="ml-auto flex items-center gap-1">
          <fieldset aria-label={`Show ${title.toLowerCase()} as`} className="flex rounded-md bg-sunken p-0.5">
            {read.modes.map((each) => (
              <button
                key={each}
                type="button"
                aria-pressed={each === mode}
                onClick={() => setChosen(each)}
                className="h-6 rounded px-2 text-2xs font-medium text-muted aria-pressed:bg-raised aria-pressed:text-ink aria-pressed:shadow-sm"
              >
                {MODES[each]}
              </button>
            ))}
          </fieldset>
          <CopyButton text={payload.text} label={`Copy the ${title.toLowerCase()}`} />
        </div>
      </div>
      {mode === "chat" && read.messages && <ChatView messages={read.messages} />}
      {mode === "tree" && <JsonTree value={read.value} label={title} />}
      {mode === "text" && <TextView text={String(read.value)} />}
      {mode === "raw" && <TextView text={read.isJson ? prettyJson(read.value) : payload.text} mono />}
      {read.note && <p className="mt-1 text-2xs text-warn">{read.note}</p>}
    </section>
  );
}

interface Understood {
  value: unknown;
  isJson: boolean;
  messages: ReturnType<typeof messagesOf>;
  modes: Mode[];
  note: string | null;
}

function understand(payload: Payload): Understood {
  if (payload.format === "text") {
    return { value: payload.text, isJson: false, messages: null, modes: ["text", "raw"], note: null };
  }
  const parsed = parseJson(payload.text);
  if (!parsed.ok) {
    return {
      value: payload.text,
      isJson: false,
      messages: null,
      modes: ["raw"],
      note: `Not valid JSON: ${parsed.reason}`,
    };
  }
  const { value } = parsed;
  const messages = messagesOf(value);
  const first: Mode = typeof value === "string" ? "text" : "tree";
  const modes: Mode[] = messages ? ["chat", first, "raw"] : [first, "raw"];
  return { value, isJson: true, messages, modes, note: null };
}
