/* The time window: a look-back that stays current, or two moments in the zone the person reads times in. */
import { Clock } from "lucide-react";
import { type FormEvent, useState } from "react";
import type { Zone } from "@/model/format";
import { inputToNs, LOOK_BACKS, nsToInput, type TimeWindow, windowLabel } from "@/model/timeRange";
import { Button } from "@/ui/controls";
import { Popover } from "@/ui/Popover";

interface TimeMenuProps {
  window: TimeWindow;
  zone: Zone;
  onChange: (window: TimeWindow) => void;
}

export function TimeMenu({ window, zone, onChange }: TimeMenuProps) {
  const [open, setOpen] = useState(false);
  const choose = (next: TimeWindow) => {
    onChange(next);
    setOpen(false);
  };
  const apply = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    choose({ from: inputToNs(String(form.get("from")), zone), to: inputToNs(String(form.get("to")), zone) });
  };
  const active = Boolean(window.from || window.to);
  const field = "h-8 w-full rounded-md border border-line-strong bg-surface px-2 text-sm";
  return (
    <Popover
      name="Time"
      align="end"
      tall
      active={active}
      open={open}
      onOpenChange={setOpen}
      label={
        <>
          <Clock size={14} aria-hidden="true" />
          {windowLabel(window, zone)}
        </>
      }
    >
      {LOOK_BACKS.map((choice) => {
        const on = choice.from === window.from && !window.to;
        return (
          <button
            key={choice.label}
            type="button"
            role="menuitemradio"
            aria-checked={on}
            onClick={() => choose({ from: choice.from, to: undefined })}
            className={`flex h-8 w-full items-center rounded px-2 text-left hover:bg-sunken ${on ? "font-semibold text-accent" : ""}`}
          >
            {choice.label}
          </button>
        );
      })}
      <form onSubmit={apply} className="mt-1 grid gap-2 border-t border-line p-2">
        <label className="grid gap-1 text-xs text-muted">
          From ({zone === "utc" ? "UTC" : "local time"})
          <input
            type="datetime-local"
            name="from"
            defaultValue={nsToInput(window.from, zone)}
            className={field}
          />
        </label>
        <label className="grid gap-1 text-xs text-muted">
          To
          <input
            type="datetime-local"
            name="to"
            defaultValue={nsToInput(window.to, zone)}
            className={field}
          />
        </label>
        <Button type="submit" look="strong">
          Show this window
        </Button>
      </form>
    </Popover>
  );
}
