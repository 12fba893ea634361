/*
 * The small marks that tell a span's kind and a trace's fate. Each differs by shape and carries a word for screen readers,
 * so that colour is never the only carrier of meaning.
 */
import {
  Bot,
  Box,
  CircleCheck,
  CircleDashed,
  CirclePause,
  CircleSlash2,
  CircleX,
  ClockAlert,
  LoaderCircle,
  type LucideIcon,
  Search,
  Sparkles,
  Waypoints,
  Wrench,
} from "lucide-react";
import type { RunState, SpanKind, SpanStatus } from "@/api/types";

const KINDS: Record<SpanKind, { icon: LucideIcon; text: string; bar: string; label: string }> = {
  agent: { icon: Bot, text: "text-kind-agent", bar: "bg-kind-agent", label: "agent" },
  llm: { icon: Sparkles, text: "text-kind-llm", bar: "bg-kind-llm", label: "llm" },
  tool: { icon: Wrench, text: "text-kind-tool", bar: "bg-kind-tool", label: "tool" },
  retriever: { icon: Search, text: "text-kind-retriever", bar: "bg-kind-retriever", label: "retriever" },
  chain: { icon: Waypoints, text: "text-kind-chain", bar: "bg-kind-chain", label: "chain" },
  custom: { icon: Box, text: "text-kind-custom", bar: "bg-kind-custom", label: "custom" },
};

export const kindLook = (kind: SpanKind) => KINDS[kind] ?? KINDS.custom;

export function KindIcon({ kind, size = 14 }: { kind: SpanKind; size?: number }) {
  const look = kindLook(kind);
  const Icon = look.icon;
  return (
    <span className={`inline-flex shrink-0 ${look.text}`} title={look.label}>
      <Icon size={size} strokeWidth={2} aria-hidden="true" />
      <span className="sr-only">{look.label}</span>
    </span>
  );
}

export type Fate = "running" | "stalled" | "interrupted" | "unknown" | SpanStatus;

/** One word for how a trace stands: its state while it is not done, else how it ended. An error is said at once. */
export function fateOf(state: RunState, status: SpanStatus): Fate {
  return state === "done" ? status : state;
}

const FATES: Record<Fate, { icon: LucideIcon; text: string; label: string; hint: string }> = {
  running: {
    icon: LoaderCircle,
    text: "text-accent",
    label: "Running",
    hint: "Spans are open and their process is alive",
  },
  stalled: {
    icon: CirclePause,
    text: "text-warn",
    label: "Stalled",
    hint: "Spans are open; no sign of their process for a minute",
  },
  interrupted: {
    icon: CircleSlash2,
    text: "text-warn",
    label: "Interrupted",
    hint: "The process ended with spans still open",
  },
  unknown: {
    icon: CircleDashed,
    text: "text-faint",
    label: "Open",
    hint: "The root is open and its client sends no heartbeats",
  },
  ok: { icon: CircleCheck, text: "text-ok", label: "OK", hint: "Ended without an error" },
  error: { icon: CircleX, text: "text-bad", label: "Error", hint: "Ended with an error" },
  timeout: { icon: ClockAlert, text: "text-bad", label: "Timeout", hint: "Ran out of time" },
};

export const fateLabel = (fate: Fate) => FATES[fate].label;

export function FateIcon({ fate, size = 15 }: { fate: Fate; size?: number }) {
  const look = FATES[fate] ?? FATES.unknown;
  const Icon = look.icon;
  return (
    <span className={`inline-flex shrink-0 ${look.text}`} title={`${look.label}: ${look.hint}`}>
      <Icon
        size={size}
        strokeWidth={2.1}
        aria-hidden="true"
        className={fate === "running" ? "animate-turn" : undefined}
      />
      <span className="sr-only">{look.label}</span>
    </span>
  );
}

export function FateBadge({ fate }: { fate: Fate }) {
  const look = FATES[fate] ?? FATES.unknown;
  const Icon = look.icon;
  return (
    <span
      data-testid="fate"
      title={look.hint}
      className={`inline-flex h-6 shrink-0 items-center gap-1.5 rounded-full border border-current/25 bg-current/8 px-2.5 text-xs font-medium ${look.text}`}
    >
      <Icon
        size={13}
        strokeWidth={2.2}
        aria-hidden="true"
        className={fate === "running" ? "animate-turn" : undefined}
      />
      {look.label}
    </span>
  );
}

/** Three bars, each begun later and ended earlier: a waterfall that reads as an S. */
export function Logo({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" role="img" aria-label="Staso">
      <title>Staso</title>
      <rect width="32" height="32" rx="8" fill="#0f4f4b" />
      <rect x="12" y="7" width="14" height="4.5" rx="2.25" fill="#7fe3d2" />
      <rect x="6" y="13.75" width="20" height="4.5" rx="2.25" fill="#fff" />
      <rect x="6" y="20.5" width="14" height="4.5" rx="2.25" fill="#ffb86b" />
    </svg>
  );
}
