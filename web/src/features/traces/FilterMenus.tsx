/*
 * The filters as controls: each menu reads and rewrites its own `field:…` term in the one filter text, so that bar, menus
 * and URL always say the same. Values and counts come from the server.
 */
import { useQuery } from "@tanstack/react-query";
import { Check } from "lucide-react";
import { type FormEvent, type ReactNode, useState } from "react";
import { facetsQuery } from "@/api/queries";
import type { SpanKind } from "@/api/types";
import { fieldValues, toggleFieldValue, withFieldValues } from "@/model/filter";
import { formatCompact } from "@/model/format";
import { Button } from "@/ui/controls";
import { type Fate, FateIcon, fateLabel, KindIcon } from "@/ui/marks";
import { Popover } from "@/ui/Popover";

interface MenusProps {
  workspace: string;
  filter: string;
  onChange: (filter: string) => void;
}

const STATES = ["running", "stalled", "interrupted", "done", "unknown"];
const STATUSES = ["ok", "error", "timeout"];
const KINDS = ["agent", "llm", "tool", "retriever", "chain", "custom"];

export function FilterMenus(props: MenusProps) {
  return (
    <>
      <ValueMenu
        {...props}
        field="state"
        label="State"
        known={STATES}
        mark={(v) => v !== "done" && <FateIcon fate={v as Fate} />}
      />
      <ValueMenu
        {...props}
        field="status"
        label="Status"
        known={STATUSES}
        mark={(v) => <FateIcon fate={v as Fate} />}
      />
      <ValueMenu {...props} field="agent" label="Agent" />
      <ValueMenu
        {...props}
        field="kind"
        label="Kind"
        known={KINDS}
        mark={(v) => <KindIcon kind={v as SpanKind} />}
      />
      <NameMenu {...props} />
    </>
  );
}

interface ValueMenuProps extends MenusProps {
  field: string;
  label: string;
  known?: string[];
  mark?: (value: string) => ReactNode;
}

function ValueMenu({ workspace, filter, onChange, field, label, known, mark }: ValueMenuProps) {
  const [open, setOpen] = useState(false);
  // A trace's state moves with time and is not counted by the server.
  const facets = useQuery(facetsQuery(workspace, field, open && field !== "state"));
  const chosen = fieldValues(filter, field);
  const counts = new Map(facets.data?.values.map(({ value, count }) => [value, Number(count)]));
  const values = [...new Set([...(known ?? []), ...counts.keys(), ...chosen])];
  return (
    <Popover
      name={`${label} filter`}
      label={<MenuLabel label={label} chosen={chosen} />}
      active={chosen.length > 0}
      open={open}
      onOpenChange={setOpen}
    >
      {facets.isPending && open && !known && <p className="px-2 py-1.5 text-muted">Loading…</p>}
      {facets.isError && <p className="max-w-60 px-2 py-1.5 text-xs text-bad">{facets.error.message}</p>}
      {!facets.isPending && values.length === 0 && (
        <p className="px-2 py-1.5 text-muted">No {label.toLowerCase()} seen yet.</p>
      )}
      {values.map((value) => {
        const on = chosen.includes(value);
        return (
          <button
            key={value}
            type="button"
            role="menuitemcheckbox"
            aria-checked={on}
            onClick={() => onChange(toggleFieldValue(filter, field, value))}
            className="flex h-8 w-full items-center gap-2 rounded px-2 text-left hover:bg-sunken"
          >
            <span
              className={`grid size-4 place-items-center rounded border ${on ? "border-accent bg-accent text-on-accent" : "border-line-strong"}`}
            >
              {on && <Check size={11} strokeWidth={3} aria-hidden="true" />}
            </span>
            {mark?.(value)}
            <span dir="auto" className="max-w-64 flex-1 truncate">
              {field === "state" && value === "unknown" ? fateLabel("unknown").toLowerCase() : value}
            </span>
            {counts.has(value) && (
              <span className="pl-3 text-xs text-faint tabular-nums">{formatCompact(counts.get(value))}</span>
            )}
          </button>
        );
      })}
      {chosen.length > 0 && (
        <div className="mt-1 border-t border-line pt-1">
          <Button
            look="quiet"
            className="w-full"
            onClick={() => onChange(withFieldValues(filter, field, []))}
          >
            Clear
          </Button>
        </div>
      )}
    </Popover>
  );
}

function MenuLabel({ label, chosen }: { label: string; chosen: string[] }) {
  if (chosen.length === 0) return label;
  return (
    <>
      <span className="text-muted">{label}:</span>
      <span dir="auto" className="max-w-32 truncate">
        {chosen.length > 2 ? `${chosen.length} of them` : chosen.join(", ")}
      </span>
    </>
  );
}

function NameMenu({ filter, onChange }: MenusProps) {
  const [open, setOpen] = useState(false);
  const chosen = fieldValues(filter, "name");
  const apply = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = String(form.get("name") ?? "").trim();
    onChange(withFieldValues(filter, "name", text ? [text] : []));
    setOpen(false);
  };
  return (
    <Popover
      name="Name filter"
      label={<MenuLabel label="Name" chosen={chosen} />}
      active={chosen.length > 0}
      open={open}
      onOpenChange={setOpen}
    >
      <form onSubmit={apply} className="flex w-72 items-center gap-1.5 p-1">
        <input
          name="name"
          defaultValue={chosen.join(",")}
          dir="auto"
          aria-label="Part of the root span's name"
          placeholder="Part of the root's name"
          className="h-8 min-w-0 flex-1 rounded-md border border-line-strong bg-surface px-2 placeholder:text-faint"
        />
        <Button type="submit" look="strong">
          Apply
        </Button>
      </form>
    </Popover>
  );
}
