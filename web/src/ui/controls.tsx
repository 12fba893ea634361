/* Buttons, chips and keys: the small controls, in one look. */
import { Check, Copy } from "lucide-react";
import { type ComponentProps, type ReactNode, useEffect, useState } from "react";
import type { Annotation } from "@/api/types";
import { formatScore } from "@/model/format";

const BUTTON = {
  plain: "border border-line-strong bg-surface text-ink hover:bg-sunken",
  quiet: "border border-transparent text-muted hover:bg-sunken hover:text-ink",
  bad: "border border-transparent text-bad hover:bg-bad-soft",
  strong: "border border-transparent bg-accent text-on-accent hover:brightness-110",
};

interface ButtonProps extends ComponentProps<"button"> {
  look?: keyof typeof BUTTON;
}

export function Button({ look = "plain", className = "", type = "button", ...rest }: ButtonProps) {
  return (
    <button
      type={type}
      className={`inline-flex h-8 shrink-0 items-center justify-center gap-1.5 rounded-md px-2.5 text-sm font-medium whitespace-nowrap transition-colors disabled:opacity-50 ${BUTTON[look]} ${className}`}
      {...rest}
    />
  );
}

/** A square button with an icon; its label is read and shown on hover. */
export function IconButton({
  label,
  className = "",
  children,
  ...rest
}: { label: string } & ComponentProps<"button">) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={`inline-flex size-8 shrink-0 items-center justify-center rounded-md text-muted transition-colors hover:bg-sunken hover:text-ink disabled:opacity-40 ${className}`}
      {...rest}
    >
      {children}
    </button>
  );
}

export function Kbd({ children }: { children: ReactNode }) {
  return (
    <kbd className="inline-flex h-5 min-w-5 items-center justify-center rounded border border-line-strong bg-surface px-1 font-sans text-2xs font-medium text-muted">
      {children}
    </kbd>
  );
}

export function Tag({ children, title }: { children: ReactNode; title?: string }) {
  return (
    <span
      title={title}
      className="inline-flex h-5 max-w-48 items-center gap-1 truncate rounded bg-sunken px-1.5 text-2xs font-medium text-muted"
    >
      {children}
    </span>
  );
}

/** An annotation as name and value; the comment and the source are in the title. */
export function ScoreChip({ annotation }: { annotation: Annotation }) {
  const { name, value, source, author, comment } = annotation;
  const title = [`${name}: ${formatScore(value)}`, `by ${author ?? source}`, comment]
    .filter(Boolean)
    .join("\n");
  const tone = value === true ? "text-ok" : value === false ? "text-bad" : "text-ink";
  return (
    <span
      title={title}
      className="inline-flex h-5 max-w-40 min-w-0 items-center gap-1 rounded border border-line bg-surface px-1.5 text-2xs whitespace-nowrap"
    >
      <span className="truncate text-muted">{name}</span>
      <span className={`max-w-20 shrink-0 truncate font-semibold ${tone}`}>{formatScore(value)}</span>
    </span>
  );
}

/** Copies text; says so for a moment. Falls back to selection where the clipboard API is missing (plain http). */
export function CopyButton({ text, label = "Copy" }: { text: string | (() => string); label?: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async () => setDone(await copyText(typeof text === "string" ? text : text()));
  return (
    <IconButton label={done ? "Copied" : label} onClick={copy} className="size-7">
      {done ? <Check size={14} className="text-ok" /> : <Copy size={14} />}
    </IconButton>
  );
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
