/* A JSON value as a tree of virtual rows: branches open on demand, so a value of many megabytes costs what is shown. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronRight } from "lucide-react";
import { type KeyboardEvent, useMemo, useRef, useState } from "react";
import { formatCount } from "@/model/format";
import { defaultOpen, flattenJson, type JsonRow, scalarText } from "@/model/json";

const LONG = 240;

interface JsonTreeProps {
  value: unknown;
  label: string;
  hideRoot?: boolean;
}

export function JsonTree({ value, label, hideRoot = false }: JsonTreeProps) {
  const [open, setOpen] = useState<ReadonlySet<string>>(() => defaultOpen(value));
  const [whole, setWhole] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => flattenJson(value, open).slice(hideRoot ? 1 : 0), [value, open, hideRoot]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => 22,
    getItemKey: (index) => rows[index]?.path ?? index,
    overscan: 12,
    initialRect: { width: 400, height: 512 },
  });
  const toggle = (path: string) => {
    const next = new Set(open);
    if (!next.delete(path)) next.add(path);
    setOpen(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[active];
    const to = { ArrowDown: active + 1, ArrowUp: active - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined) {
      const next = Math.min(rows.length - 1, Math.max(0, to));
      setActive(next);
      virtual.scrollToIndex(next, { align: "auto" });
    } else if (row && row.size > 0 && event.key === (row.open ? "ArrowLeft" : "ArrowRight")) toggle(row.path);
    else if (row && row.size > 0 && (event.key === "Enter" || event.key === " ")) toggle(row.path);
    else return;
    // The page's own arrow keys move the span tree; here they belong to this tree.
    event.preventDefault();
    event.stopPropagation();
  };
  const activeRow = rows[active];
  return (
    <div
      ref={box}
      role="tree"
      tabIndex={0}
      aria-label={label}
      aria-activedescendant={activeRow ? rowId(label, activeRow.path) : undefined}
      onKeyDown={onKeyDown}
      className="group/tree max-h-[32rem] overflow-auto rounded-lg border border-line bg-surface py-1.5 font-mono text-xs focus-visible:outline-2"
    >
      <div className="relative" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <div
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              id={rowId(label, row.path)}
              role="treeitem"
              tabIndex={-1}
              aria-level={row.depth + 1}
              aria-expanded={row.size > 0 ? row.open : undefined}
              aria-selected={item.index === active}
              onClick={() => {
                setActive(item.index);
                if (row.size > 0) toggle(row.path);
              }}
              onKeyDown={onKeyDown}
              className={`absolute inset-x-0 top-0 flex min-h-[22px] items-start gap-1 px-2 py-px leading-5 ${row.size > 0 ? "cursor-pointer hover:bg-sunken/70" : ""} ${item.index === active ? "group-focus-visible/tree:bg-accent-soft" : ""}`}
              style={{
                transform: `translateY(${item.start}px)`,
                paddingLeft: 8 + (row.depth - (hideRoot ? 1 : 0)) * 14,
              }}
            >
              <ChevronRight
                size={12}
                aria-hidden="true"
                className={`mt-1 shrink-0 text-faint ${row.size > 0 ? "" : "invisible"} ${row.open ? "rotate-90" : ""}`}
              />
              {row.label !== null && (
                <span className={`shrink-0 ${row.kind === "slice" ? "text-faint" : "text-kind-retriever"}`}>
                  <bdi>{row.label}</bdi>
                  <span className="text-faint">:</span>
                </span>
              )}
              <Value
                row={row}
                whole={whole.has(row.path)}
                onWhole={() => setWhole(new Set([...whole, row.path]))}
              />
            </div>
          );
        })}
      </div>
    </div>
  );
}

const rowId = (label: string, path: string) => `json-${label}-${path}`.replace(/\s/g, "_");

const TONES: Partial<Record<JsonRow["kind"], string>> = {
  string: "text-kind-llm",
  number: "text-kind-tool",
  boolean: "text-kind-agent",
  null: "text-faint",
};

function Value({ row, whole, onWhole }: { row: JsonRow; whole: boolean; onWhole: () => void }) {
  if (row.kind === "object")
    return (
      <span className="text-faint">{row.size === 0 ? "{}" : row.open ? "{" : `{ ${summary(row)} }`}</span>
    );
  if (row.kind === "array")
    return <span className="text-faint">{row.size === 0 ? "[]" : `[ ${formatCount(row.size)} ]`}</span>;
  if (row.kind === "slice") return <span className="text-faint">{row.open ? "" : "…"}</span>;
  if (row.kind !== "string") return <span className={TONES[row.kind]}>{scalarText(row.value)}</span>;
  const text = row.value as string;
  const cut = !whole && text.length > LONG;
  return (
    <span dir="auto" className={`min-w-0 break-words whitespace-pre-wrap ${TONES.string}`}>
      {cut ? `${text.slice(0, LONG)}…` : text === "" ? '""' : text}
      {cut && (
        <button
          type="button"
          tabIndex={-1}
          onClick={(event) => {
            event.stopPropagation();
            onWhole();
          }}
          className="ml-1 rounded bg-sunken px-1 font-sans text-2xs font-medium text-accent hover:bg-accent-soft"
        >
          {formatCount(text.length)} characters
        </button>
      )}
    </span>
  );
}

function summary(row: JsonRow): string {
  const keys: string[] = [];
  for (const key in row.value as object) {
    if (keys.length === 4) break;
    keys.push(key.slice(0, 24));
  }
  return keys.join(", ") + (row.size > keys.length ? ", …" : "");
}
