/* A button with a panel under it, on Radix for focus and placement. The open panel is marked so that page keys stay quiet. */
import * as Radix from "@radix-ui/react-popover";
import { ChevronDown } from "lucide-react";
import type { ReactNode } from "react";

interface PopoverProps {
  label: ReactNode;
  name: string;
  active?: boolean;
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
  align?: "start" | "end";
  tall?: boolean;
  children: ReactNode;
}

export function Popover({
  label,
  name,
  active = false,
  align = "start",
  tall = false,
  children,
  ...state
}: PopoverProps) {
  return (
    <Radix.Root {...state}>
      <Radix.Trigger
        aria-label={name}
        className={`inline-flex shrink-0 ${tall ? "h-9 rounded-lg" : "h-8 rounded-md"} items-center gap-1 border px-2.5 text-sm font-medium whitespace-nowrap transition-colors hover:bg-sunken data-[state=open]:bg-sunken ${
          active ? "border-accent/50 bg-accent-soft text-ink" : "border-line-strong bg-surface text-muted"
        }`}
      >
        {label}
        <ChevronDown size={13} aria-hidden="true" className="-mr-0.5 opacity-70" />
      </Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          data-popover-open=""
          align={align}
          sideOffset={4}
          collisionPadding={8}
          className="z-50 max-h-[min(28rem,var(--radix-popover-content-available-height))] min-w-52 overflow-y-auto rounded-lg border border-line-strong bg-raised p-1 shadow-pop outline-none"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
