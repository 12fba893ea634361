/*
 * Nothing has arrived yet: what to paste, and a line that listens. The first trace that arrives opens by itself.
 */
import { useState } from "react";
import { CopyButton } from "@/ui/controls";
import { useLive } from "@/ui/hooks";
import { Logo } from "@/ui/marks";

const SNIPPET = `import staso as st

st.init()
with st.span("hello", kind="agent") as s:
    s.output = {"greeting": "hello, world"}
`;

interface FirstRunProps {
  workspace: string;
  onFirstTrace: (traceId: string) => void;
}

export function FirstRun({ workspace, onFirstTrace }: FirstRunProps) {
  const [up, setUp] = useState(true);
  useLive(workspace, (message) => {
    if (message.type === "state") setUp(message.up);
    if (message.type === "change" && message.change.change === "upsert")
      onFirstTrace(message.change.trace_id);
  });
  const elsewhere = window.location.port !== "7827" || !/^(localhost|127\.)/.test(window.location.hostname);
  return (
    <div className="h-full overflow-y-auto">
      <div className="mx-auto grid max-w-2xl gap-6 px-5 py-12 sm:py-20">
        <div className="grid gap-3">
          <Logo size={40} />
          <h1 className="text-2xl font-semibold tracking-tight text-balance">Waiting for the first trace</h1>
          <p className="max-w-prose text-base text-pretty text-muted">
            Nothing has arrived in <strong className="font-semibold text-ink">{workspace}</strong> yet. Run
            these lines on this machine and watch this page: no key, no account, nothing leaves the computer.
          </p>
        </div>
        <ol className="grid gap-5">
          <Step n={1} title="Save these lines as hello.py">
            <Code text={SNIPPET} label="Copy the Python lines" />
          </Step>
          <Step n={2} title="Run them">
            <Code text="python hello.py" label="Copy the command" />
            <p className="mt-2 text-sm text-muted">
              Decorate what you already have with <C>@st.agent</C>, <C>@st.tool</C> and <C>@st.trace</C>, and
              open <C>st.span(…)</C> where a function is too coarse.
            </p>
          </Step>
        </ol>
        <div
          role="status"
          className="flex items-center gap-3 rounded-lg border border-line bg-surface px-4 py-3 text-sm text-muted"
        >
          <span
            className={`size-2.5 shrink-0 rounded-full ${up ? "animate-breathe bg-accent" : "bg-warn"}`}
          />
          {up
            ? "Listening. The first trace opens here by itself."
            : "The connection to the server is interrupted; trying again. Is `staso serve` still running?"}
        </div>
        <p className="text-sm text-muted">
          Nothing happens? <C>staso doctor</C> says why.
          {elsewhere && (
            <>
              {" "}
              A program on this machine finds this server by itself; from elsewhere, set{" "}
              <C>STASO_BASE_URL={window.location.origin}</C>.
            </>
          )}
        </p>
      </div>
    </div>
  );
}

function Step({ n, title, children }: { n: number; title: string; children: React.ReactNode }) {
  return (
    <li className="grid grid-cols-[1.75rem_1fr] gap-x-3">
      <span className="grid size-7 place-items-center rounded-full bg-accent-soft text-xs font-semibold text-accent">
        {n}
      </span>
      <div className="min-w-0">
        <h2 className="mt-1 mb-2 text-sm font-semibold">{title}</h2>
        {children}
      </div>
    </li>
  );
}

function C({ children }: { children: React.ReactNode }) {
  return <code className="rounded bg-sunken px-1 py-0.5 font-mono text-xs text-ink">{children}</code>;
}

function Code({ text, label }: { text: string; label: string }) {
  return (
    <div className="relative rounded-lg border border-line bg-surface">
      <pre className="overflow-x-auto p-3.5 pr-12 font-mono text-xs leading-5 text-ink">{text.trimEnd()}</pre>
      <div className="absolute top-1.5 right-1.5">
        <CopyButton text={text} label={label} />
      </div>
    </div>
  );
}
