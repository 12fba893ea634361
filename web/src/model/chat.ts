/*
 * Recognises a conversation inside an input or output, in the shapes the common model APIs use, and brings it into one
 * shape. Anything not clearly a conversation is left to the JSON tree: a wrong guess hides data.
 */

export type ChatPart =
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  | { type: "tool_call"; name: string; id: string | null; arguments: unknown }
  | { type: "tool_result"; id: string | null; content: unknown }
  | { type: "other"; value: unknown };

export interface ChatMessage {
  role: string;
  name: string | null;
  parts: ChatPart[];
}

type Bag = Record<string, unknown>;
const isBag = (value: unknown): value is Bag =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value: unknown): string | null => (typeof value === "string" ? value : null);

/** The messages of a payload, or null when it is not a conversation. */
export function messagesOf(value: unknown): ChatMessage[] | null {
  if (Array.isArray(value)) return value.length > 0 && value.every(isMessage) ? value.map(message) : null;
  if (!isBag(value)) return null;
  for (const key of ["messages", "input"]) {
    const inner = value[key];
    if (!Array.isArray(inner) || inner.length === 0 || !inner.every(isMessage)) continue;
    const system = value.system ?? value.instructions;
    const head =
      system === undefined || system === null ? [] : [message({ role: "system", content: system })];
    return [...head, ...inner.map(message)];
  }
  const choices = value.choices;
  if (
    Array.isArray(choices) &&
    choices.length > 0 &&
    choices.every((c) => isBag(c) && isMessage(c.message))
  ) {
    return choices.map((c) => message((c as Bag).message));
  }
  if (isMessage(value.message)) return [message(value.message)];
  return isMessage(value) ? [message(value)] : null;
}

function isMessage(value: unknown): value is Bag {
  return (
    isBag(value) &&
    typeof value.role === "string" &&
    ("content" in value || "parts" in value || "tool_calls" in value)
  );
}

function message(value: unknown): ChatMessage {
  const bag = value as Bag;
  const role = text(bag.role) ?? "unknown";
  const parts: ChatPart[] = [];
  const reasoning = text(bag.reasoning_content) ?? text(bag.reasoning);
  if (reasoning) parts.push({ type: "reasoning", text: reasoning });
  if (role === "tool" && !Array.isArray(bag.parts)) {
    parts.push({ type: "tool_result", id: text(bag.tool_call_id), content: bag.content });
  } else parts.push(...contentParts(bag.parts ?? bag.content));
  if (Array.isArray(bag.tool_calls)) parts.push(...bag.tool_calls.map(toolCall));
  return { role, name: text(bag.name), parts };
}

function contentParts(content: unknown): ChatPart[] {
  if (content === null || content === undefined || content === "") return [];
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (Array.isArray(content)) return content.map(part);
  return [part(content)];
}

function part(value: unknown): ChatPart {
  if (typeof value === "string") return { type: "text", text: value };
  if (!isBag(value)) return { type: "other", value };
  const body = text(value.text) ?? text(value.content);
  switch (value.type) {
    case "text":
    case "input_text":
    case "output_text":
      return body === null ? { type: "other", value } : { type: "text", text: body };
    case "thinking":
    case "reasoning":
      return { type: "reasoning", text: text(value.thinking) ?? body ?? "" };
    case "tool_use":
    case "tool_call":
      return toolCall(value);
    case "tool_result":
    case "tool_call_response":
      return {
        type: "tool_result",
        id: text(value.tool_use_id) ?? text(value.id),
        content: value.content ?? value.response ?? value.result,
      };
    default:
      return value.type === undefined && body !== null
        ? { type: "text", text: body }
        : { type: "other", value };
  }
}

function toolCall(value: unknown): ChatPart {
  if (!isBag(value)) return { type: "other", value };
  const fn = isBag(value.function) ? value.function : value;
  const name = text(fn.name);
  if (name === null) return { type: "other", value };
  return { type: "tool_call", name, id: text(value.id), arguments: parsed(fn.arguments ?? fn.input ?? null) };
}

/** Arguments often travel as JSON inside a string. */
function parsed(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
