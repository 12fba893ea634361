/* Traces as programs send them: a support agent's answers, a failing payment, a long-running job, one with ten thousand spans. */
import { createHash } from "node:crypto";

export interface SentSpan {
  span_id: string;
  parent_span_id: string | null;
  name: string;
  kind: string;
  start_ns: string | number;
  [field: string]: unknown;
}

export const nowNs = () => BigInt(Date.now()) * 1_000_000n;
const MS = 1_000_000n;

/** The same id for the same words, so that a failing journey can be read. */
export const traceId = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 32);
export const spanId = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 16);

interface Timed {
  at: bigint;
  ms: number | null;
}

/** A span on the wire; `ms` null leaves it open. */
export function span(
  trace: string,
  name: string,
  parent: string | null,
  { at, ms }: Timed,
  more: object = {},
): SentSpan {
  const start = at.toString();
  return {
    span_id: spanId(`${trace}/${name}`),
    parent_span_id: parent === null ? null : spanId(`${trace}/${parent}`),
    name,
    kind: "chain",
    status: "ok",
    timestamp: new Date(Number(at / MS)).toISOString(),
    start_ns: start,
    ...(ms === null
      ? { provisional: true }
      : { duration_ms: ms, end_ns: (at + BigInt(Math.round(ms * 1e6))).toString() }),
    ...more,
  } as SentSpan;
}

export function supportTrace(key: string, agoMs = 5000, agent = "support") {
  const at = nowNs() - BigInt(agoMs) * MS;
  const s = (name: string, parent: string | null, from: number, ms: number, more: object) =>
    span(key, name, parent, { at: at + BigInt(from) * MS, ms }, more);
  const question = `How do I get a refund for order ${key}?`;
  return {
    trace_id: traceId(key),
    agent_name: agent,
    session_id: "conversation-7",
    user_id: "user-42",
    spans: [
      s("answer question", null, 0, 2400, {
        kind: "agent",
        agent_name: agent,
        agent_version: "1.4.2",
        input: JSON.stringify({ question }),
        output: JSON.stringify({ result: "Refunds are possible within 30 days. I have opened a ticket." }),
        attributes: JSON.stringify({ tier: "gold", "code.filepath": "agent.py", "code.lineno": 41 }),
        tags: ["beta"],
      }),
      s("embed-query", "answer question", 40, 90, {
        kind: "retriever",
        input: JSON.stringify({ query: "refund policy" }),
        output: JSON.stringify([
          { title: "Refunds", score: 0.91 },
          { title: "Shipping", score: 0.42 },
        ]),
        attributes: JSON.stringify({ hit_count: 2 }),
      }),
      s("chat", "answer question", 150, 1900, {
        kind: "llm",
        provider: "openai",
        model: "gpt-4o-mini",
        requested_model: "gpt-4o-mini",
        usage_available: true,
        input_tokens: 1200,
        output_tokens: 180,
        total_tokens: 1380,
        input: JSON.stringify({
          messages: [
            { role: "system", content: "You are a support agent. Be kind and precise." },
            { role: "user", content: question },
            {
              role: "assistant",
              content: null,
              tool_calls: [
                {
                  id: "call_1",
                  function: { name: "search_docs", arguments: '{"query":"refund policy","top_k":3}' },
                },
              ],
            },
            {
              role: "tool",
              tool_call_id: "call_1",
              content: "Refunds are possible within 30 days of delivery.",
            },
          ],
        }),
        output: JSON.stringify("Refunds are possible within 30 days.\nI have opened a ticket."),
      }),
      s("open_ticket", "chat", 1400, 320, {
        kind: "tool",
        input: JSON.stringify({ order: key, priority: "high", account: "ACCOUNT_NUMBER" }).replace(
          '"ACCOUNT_NUMBER"',
          "12345678901234567890",
        ),
        output: JSON.stringify({ ticket: 312 }),
      }),
      s("guard", "answer question", 2100, 60, { kind: "custom" }),
    ],
  };
}

export const STACK = `Traceback (most recent call last):
  File "/app/agent.py", line 40, in run
    charge(card)
  File "/app/billing.py", line 12, in charge
    raise CardError("card declined")
billing.CardError: card declined`;

export function failingTrace(key: string, agoMs = 8000) {
  const at = nowNs() - BigInt(agoMs) * MS;
  const event = {
    name: "exception",
    time_ns: (at + 300n * MS).toString(),
    attributes: {
      "exception.type": "billing.CardError",
      "exception.message": "card declined",
      "exception.stacktrace": STACK,
    },
  };
  const root = span(
    key,
    "charge customer",
    null,
    { at, ms: 400 },
    { kind: "agent", agent_name: "billing", status: "error", error_message: "card declined" },
  );
  return {
    trace_id: traceId(key),
    agent_name: "billing",
    spans: [
      root,
      span(key, "check limit", "charge customer", { at: at + 10n * MS, ms: 40 }, { kind: "tool" }),
      span(
        key,
        "call-stripe",
        "charge customer",
        { at: at + 60n * MS, ms: 240 },
        {
          kind: "tool",
          status: "error",
          error_message: "card declined",
          input: JSON.stringify({ amount: 4200, currency: "eur" }),
          events: [event],
        },
      ),
    ],
  };
}

/** A wide and deep trace: a chain of turns, each with steps that have steps. The last but one span failed. */
export function hugeTrace(key: string, count: number) {
  const at = nowNs() - 600_000n * MS;
  const kinds = ["llm", "tool", "retriever", "chain", "custom"];
  const spans = [span(key, "s0", null, { at, ms: 590_000 }, { kind: "agent", name: "long job" })];
  for (let i = 1; i < count; i++) {
    const parent = i % 10 === 1 ? 0 : i % 10 === 2 ? i - 1 : i - 1 - (i % 3 === 0 ? 1 : 0);
    const start = Math.floor((i / count) * 580_000);
    const failed = i === count - 2;
    spans.push(
      span(
        key,
        `s${i}`,
        `s${Math.max(0, parent)}`,
        { at: at + BigInt(start) * MS, ms: 20 + ((i * 37) % 400) },
        {
          kind: kinds[i % kinds.length],
          name: `step ${i}`,
          status: failed ? "error" : "ok",
          ...(failed ? { error_message: "the last straw" } : {}),
        },
      ),
    );
  }
  return { trace_id: traceId(key), agent_name: "worker", spans };
}
