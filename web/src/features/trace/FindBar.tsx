/* Finding a span by its name, and opening or closing the whole tree. */
import { ChevronsDownUp, ChevronsUpDown, Search } from "lucide-react";
import type { RefObject } from "react";
import { formatCount, plural } from "@/model/format";
import { IconButton, Kbd } from "@/ui/controls";

interface FindBarProps {
  inputRef: RefObject<HTMLInputElement | null>;
  text: string;
  onText: (text: string) => void;
  matches: number;
  onNext: (direction: 1 | -1) => void;
  onLeave: () => void;
  onExpandAll: () => void;
  onCollapseAll: () => void;
  shown: number;
  total: number;
}

export function FindBar(props: FindBarProps) {
  const { text, matches, shown, total } = props;
  return (
    <div className="flex h-9 shrink-0 items-center gap-1 border-b border-line px-2">
      <Search size={14} aria-hidden="true" className="ml-1 shrink-0 text-faint" />
      <input
        ref={props.inputRef}
        value={text}
        dir="auto"
        spellCheck={false}
        aria-label="Find a span by name"
        placeholder="Find a span"
        onChange={(event) => props.onText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") props.onNext(event.shiftKey ? -1 : 1);
          if (event.key === "Escape") {
            props.onText("");
            event.currentTarget.blur();
            props.onLeave();
          }
        }}
        className="h-7 min-w-0 flex-1 rounded bg-transparent px-1 placeholder:text-faint focus:outline-none"
      />
      <span role="status" className="px-1 text-xs whitespace-nowrap text-faint tabular-nums">
        {text.trim() !== "" ? (
          <>
            {plural(matches, "match", "matches")} <Kbd>Enter</Kbd>
          </>
        ) : shown === total ? (
          plural(total, "span")
        ) : (
          `${formatCount(shown)} of ${formatCount(total)} spans`
        )}
      </span>
      <IconButton label="Expand all (+)" onClick={props.onExpandAll} className="size-7">
        <ChevronsUpDown size={14} />
      </IconButton>
      <IconButton label="Collapse all (-)" onClick={props.onCollapseAll} className="size-7">
        <ChevronsDownUp size={14} />
      </IconButton>
    </div>
  );
}
