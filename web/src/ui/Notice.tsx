/* What a screen shows when there is nothing to show: a sentence that says what is so, and one that says what to do. */
import { CircleAlert, type LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError } from "@/api/client";
import { Button } from "./controls";

interface NoticeProps {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
  tone?: "calm" | "bad";
}

export function Notice({ icon: Icon, title, children, actions, tone = "calm" }: NoticeProps) {
  return (
    <div className="flex h-full min-h-60 flex-col items-center justify-center gap-3 p-6 text-center">
      <span
        className={`rounded-xl p-2.5 ${tone === "bad" ? "bg-bad-soft text-bad" : "bg-sunken text-muted"}`}
      >
        <Icon size={20} aria-hidden="true" />
      </span>
      <h2 className="text-base font-semibold text-balance">{title}</h2>
      {children && <div className="max-w-md text-sm text-pretty break-words text-muted">{children}</div>}
      {actions && <div className="mt-1 flex flex-wrap justify-center gap-2">{actions}</div>}
    </div>
  );
}

/** A server's sentence as a screen says it: a capital, a full stop, and `code` set as code. */
export function Said({ text }: { text: string }) {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
  return (
    <p className="mt-1 first:mt-0">
      {sentence.split("`").map((part, i) =>
        i % 2 === 1 ? (
          // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a sentence never change their order.
          <code key={i} className="rounded bg-sunken px-1 py-0.5 font-mono text-xs text-ink">
            {part}
          </code>
        ) : (
          part
        ),
      )}
    </p>
  );
}

export function Failure({ error, what, retry }: { error: Error; what: string; retry?: () => void }) {
  const hint = error instanceof ApiError ? error.hint : null;
  return (
    <div role="alert" className="h-full">
      <Notice
        icon={CircleAlert}
        tone="bad"
        title={what}
        actions={retry && <Button onClick={retry}>Try again</Button>}
      >
        <Said text={error.message} />
        {hint && <Said text={hint} />}
      </Notice>
    </div>
  );
}

/** Grey lines in the place of rows that are on their way; shown after a moment, so that a fast answer does not flicker. */
export function LoadingRows({ rows, height }: { rows: number; height: number }) {
  return (
    <div role="status" aria-label="Loading" className="animate-breathe px-4 pt-1">
      {Array.from({ length: rows }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike and never reordered.
        <div key={i} className="flex items-center gap-4" style={{ height }}>
          <span className="size-4 rounded-full bg-sunken" />
          <span className="h-3 rounded bg-sunken" style={{ width: `${18 + ((i * 37) % 20)}%` }} />
          <span className="h-3 flex-1 rounded bg-sunken" style={{ opacity: 0.6 }} />
          <span className="h-3 w-16 rounded bg-sunken" />
        </div>
      ))}
    </div>
  );
}
