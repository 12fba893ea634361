/*
 * The typed bar: the filter's text as it stands in the URL, edited as a draft and committed on Enter or after a pause.
 * What is certainly wrong is said under the bar at once; what only the server can know is said there too when it answers.
 */
import { Search, X } from "lucide-react";
import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from "react";
import { completions, problemOf } from "@/model/filter";
import { IconButton, Kbd } from "@/ui/controls";

interface FilterBarProps {
  value: string;
  onCommit: (text: string) => void;
  refused: string | null;
  inputRef: RefObject<HTMLInputElement | null>;
  onLeave: () => void;
}

const PAUSE_MS = 600;

export function FilterBar({ value, onCommit, refused, inputRef, onLeave }: FilterBarProps) {
  const [draft, setDraft] = useState(value);
  const [caret, setCaret] = useState(0);
  const [focused, setFocused] = useState(false);
  const committed = useRef(value);
  useEffect(() => {
    // A menu, a link or the back button changed the URL; what the bar committed itself is already its draft.
    if (value !== committed.current) setDraft(value);
    committed.current = value;
  }, [value]);

  const problem = problemOf(draft);
  const commit = (text: string) => {
    if (text.trim() === committed.current || problemOf(text)) return;
    committed.current = text.trim();
    onCommit(text.trim());
  };
  const latestCommit = useRef(commit);
  latestCommit.current = commit;
  useEffect(() => {
    const timer = setTimeout(() => latestCommit.current(draft), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [draft]);

  const offers = focused ? completions(draft, caret).slice(0, 8) : [];
  const complete = (offer: { text: string; caret: number }) => {
    setDraft(offer.text);
    setCaret(offer.caret);
    requestAnimationFrame(() => {
      inputRef.current?.focus();
      inputRef.current?.setSelectionRange(offer.caret, offer.caret);
    });
  };
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    const wordBefore = /[A-Za-z_]$/.test(draft.slice(0, caret));
    if (event.key === "Enter") commit(draft);
    if (event.key === "Escape") {
      inputRef.current?.blur();
      onLeave();
    }
    if (event.key === "Tab" && !event.shiftKey && wordBefore && offers[0]) {
      event.preventDefault();
      complete(offers[0]);
    }
  };
  const said =
    problem && !(focused && /[:("]$|OR$/.test(draft.trim()))
      ? problem.message
      : draft.trim() === value
        ? refused
        : null;

  return (
    <search className="relative min-w-0 flex-1">
      <Search
        size={15}
        aria-hidden="true"
        className="pointer-events-none absolute top-2.5 left-2.5 text-faint"
      />
      <input
        ref={inputRef}
        value={draft}
        dir="auto"
        spellCheck={false}
        autoComplete="off"
        aria-label="Filter"
        aria-invalid={said !== null}
        aria-describedby="filter-said"
        placeholder='Filter…  status:error  agent:billing  cost>0.1  "refund"'
        onChange={(event) => {
          setDraft(event.target.value);
          setCaret(event.target.selectionStart ?? event.target.value.length);
        }}
        onSelect={(event) => setCaret(event.currentTarget.selectionStart ?? 0)}
        onFocus={() => setFocused(true)}
        onBlur={() => setFocused(false)}
        onKeyDown={onKeyDown}
        className="h-9 w-full rounded-lg border border-line-strong bg-surface pr-9 pl-8 font-mono text-xs placeholder:font-sans placeholder:text-sm placeholder:text-faint focus:border-accent focus:outline-2 focus:outline-offset-0 focus:outline-accent/25 aria-invalid:border-bad"
      />
      <span className="absolute top-1 right-1">
        {draft !== "" ? (
          <IconButton
            label="Clear the filter"
            className="size-7"
            onClick={() => {
              setDraft("");
              commit("");
            }}
          >
            <X size={14} />
          </IconButton>
        ) : (
          <span className="pointer-events-none hidden p-1 sm:inline-flex">
            <Kbd>/</Kbd>
          </span>
        )}
      </span>
      {offers.length > 0 && (
        <div className="absolute inset-x-0 top-10 z-30 flex flex-wrap items-center gap-1 rounded-lg border border-line-strong bg-raised p-1.5 shadow-pop">
          {offers.map((offer, i) => (
            <button
              key={offer.field}
              type="button"
              tabIndex={-1}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => complete(offer)}
              className="rounded bg-sunken px-1.5 py-0.5 font-mono text-xs text-muted hover:bg-accent-soft hover:text-ink"
            >
              {offer.field}
              {i === 0 && /[A-Za-z_]$/.test(draft.slice(0, caret)) && (
                <span className="ml-1 text-2xs text-faint">Tab</span>
              )}
            </button>
          ))}
          <span className="ml-auto px-1 text-2xs text-faint">
            NOT, OR, ( ), a,b for any of, * for anything
          </span>
        </div>
      )}
      <p id="filter-said" role="status" className={said ? "mt-1 text-xs text-bad" : "sr-only"}>
        {said}
      </p>
    </search>
  );
}
