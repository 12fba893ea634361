/* A conversation as it was held: who spoke, which tools were called with what, what came back; reasoning stays folded. */
import { Brain, CornerDownRight, Wrench } from "lucide-react";
import { useState } from "react";
import type { ChatMessage, ChatPart } from "@/model/chat";
import { plural } from "@/model/format";
import { JsonTree } from "./JsonTree";

const ROLES: Record<string, string> = {
  system: "border-l-kind-chain",
  developer: "border-l-kind-chain",
  user: "border-l-kind-retriever",
  assistant: "border-l-kind-llm",
  tool: "border-l-kind-tool",
};

/** Long histories open at their end: what is new stands last. */
const SHOWN = 12;

export function ChatView({ messages }: { messages: ChatMessage[] }) {
  const [all, setAll] = useState(false);
  const from = all ? 0 : Math.max(0, messages.length - SHOWN);
  return (
    <div className="grid gap-1.5">
      {from > 0 && (
        <button
          type="button"
          onClick={() => setAll(true)}
          className="rounded-lg border border-dashed border-line-strong py-1.5 text-xs font-medium text-accent hover:bg-sunken"
        >
          Show {plural(from, "earlier message")}
        </button>
      )}
      {messages.slice(from).map((message, i) => (
        <article
          // biome-ignore lint/suspicious/noArrayIndexKey: messages have no id and never change their order.
          key={from + i}
          className={`rounded-md border border-l-2 border-line bg-surface px-3 py-2 ${ROLES[message.role] ?? "border-l-kind-custom"}`}
        >
          <h4 className="mb-0.5 text-2xs font-semibold text-faint">
            {message.role}
            {message.name && ` · ${message.name}`}
          </h4>
          <div className="grid gap-2">
            {message.parts.map((part, j) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: parts have no id and never change their order.
              <Part key={j} part={part} />
            ))}
            {message.parts.length === 0 && <span className="text-sm text-faint">(empty)</span>}
          </div>
        </article>
      ))}
    </div>
  );
}

function Part({ part }: { part: ChatPart }) {
  switch (part.type) {
    case "text":
      return <Prose text={part.text} />;
    case "reasoning":
      return (
        <details className="rounded bg-sunken px-2 py-1 text-xs text-muted">
          <summary className="cursor-pointer font-medium">
            <Brain size={12} aria-hidden="true" className="mr-1 inline" />
            Reasoning
          </summary>
          <Prose text={part.text} />
        </details>
      );
    case "tool_call":
      return (
        <div>
          <div className="mb-1 flex items-center gap-1.5 text-xs font-medium text-kind-tool">
            <Wrench size={12} aria-hidden="true" />
            {part.name}
            {part.id && <span className="truncate font-mono text-2xs font-normal text-faint">{part.id}</span>}
          </div>
          <Anything value={part.arguments} label={`Arguments of ${part.name}`} />
        </div>
      );
    case "tool_result":
      return (
        <div>
          {part.id && (
            <div className="mb-1 flex items-center gap-1 font-mono text-2xs text-faint">
              <CornerDownRight size={11} aria-hidden="true" />
              {part.id}
            </div>
          )}
          <Anything value={part.content} label="Result" />
        </div>
      );
    case "other":
      return <Anything value={part.value} label="Part" />;
  }
}

function Anything({ value, label }: { value: unknown; label: string }) {
  return typeof value === "string" ? <Prose text={value} /> : <JsonTree value={value} label={label} />;
}

const PROSE_LIMIT = 4000;

function Prose({ text }: { text: string }) {
  const [whole, setWhole] = useState(false);
  const cut = !whole && text.length > PROSE_LIMIT * 1.3;
  return (
    <div dir="auto" className="text-sm leading-relaxed break-words whitespace-pre-wrap">
      {cut ? `${text.slice(0, PROSE_LIMIT)}…` : text}
      {cut && (
        <button
          type="button"
          onClick={() => setWhole(true)}
          className="ml-1 text-xs font-medium text-accent hover:underline"
        >
          Show all
        </button>
      )}
    </div>
  );
}
