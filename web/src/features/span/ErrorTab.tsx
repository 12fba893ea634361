/* What went wrong: each exception with its type, message, the place in the code, and the stack as it was printed. */
import { MapPin } from "lucide-react";
import type { Span } from "@/api/types";
import { originOf } from "@/model/stack";
import { CopyButton } from "@/ui/controls";

interface Exception {
  type: string | null;
  message: string | null;
  stack: string | null;
}

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : null);

export function exceptionsOf(span: Span): Exception[] {
  return span.events
    .filter((event) => event.name === "exception")
    .map(({ attributes }) => ({
      type: text(attributes["exception.type"]),
      message: text(attributes["exception.message"]),
      stack: text(attributes["exception.stacktrace"]),
    }));
}

export function ErrorTab({ span }: { span: Span }) {
  const exceptions = exceptionsOf(span);
  const told = exceptions.some((exception) => exception.message === span.error_message);
  return (
    <div className="grid gap-3 p-3 sm:p-4">
      {span.error_message !== null && !told && (
        <p
          dir="auto"
          className="rounded-lg border border-bad/30 bg-bad-soft px-3 py-2 break-words whitespace-pre-wrap text-bad"
        >
          {span.error_message || "Ended with an error, without a message."}
        </p>
      )}
      {exceptions.map((exception, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: exceptions have no id and never change their order.
        <ExceptionCard key={i} exception={exception} />
      ))}
      {exceptions.length === 0 && (
        <p className="text-sm text-muted">
          No exception was recorded with it. In Python: s.record_exception(exc)
        </p>
      )}
    </div>
  );
}

function ExceptionCard({ exception }: { exception: Exception }) {
  const { type, message, stack } = exception;
  const origin = stack ? originOf(stack) : null;
  return (
    <article className="overflow-hidden rounded-lg border border-bad/30 bg-surface">
      <div className="bg-bad-soft px-3 py-2">
        <h3 className="font-mono text-xs font-semibold break-words text-bad">{type ?? "Exception"}</h3>
        {message && (
          <p dir="auto" className="mt-0.5 text-sm break-words whitespace-pre-wrap">
            {message}
          </p>
        )}
        {origin && (
          <p data-testid="origin" className="mt-1.5 flex items-center gap-1 font-mono text-2xs text-muted">
            <MapPin size={11} aria-hidden="true" className="shrink-0" />
            <span className="break-all">
              {origin.file}:{origin.line}
            </span>
            {origin.name && <span className="shrink-0 text-faint">in {origin.name}</span>}
          </p>
        )}
      </div>
      {stack ? (
        <div className="relative border-t border-line">
          <pre
            data-testid="stack"
            className="max-h-[30rem] overflow-auto p-3 pr-10 font-mono text-2xs leading-[1.15rem] whitespace-pre"
          >
            {stack.split("\n").map((line, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: lines never change their order.
              <span key={i} className={/^\s*(File|at) /.test(line) ? "text-ink" : "text-muted"}>
                {line}
                {"\n"}
              </span>
            ))}
          </pre>
          <div className="absolute top-1 right-1">
            <CopyButton text={stack} label="Copy the stack" />
          </div>
        </div>
      ) : (
        <p className="border-t border-line px-3 py-2 text-xs text-faint">
          The stack is recorded once, at the innermost span the exception passed.
        </p>
      )}
    </article>
  );
}
