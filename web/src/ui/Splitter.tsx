/* A vertical bar that is dragged, or moved with the arrow keys, to give one side more room. */
import type { PointerEvent } from "react";

interface SplitterProps {
  label: string;
  value: number;
  min: number;
  max: number;
  /** 1 when moving right makes the value larger, -1 when smaller. */
  direction: 1 | -1;
  onChange: (value: number) => void;
  className?: string;
}

export function Splitter({ label, value, min, max, direction, onChange, className = "" }: SplitterProps) {
  const set = (next: number) => onChange(Math.min(max, Math.max(min, next)));
  const drag = (event: PointerEvent<HTMLDivElement>) => {
    event.preventDefault();
    const bar = event.currentTarget;
    const from = event.clientX;
    bar.setPointerCapture(event.pointerId);
    const move = (e: globalThis.PointerEvent) => set(value + (e.clientX - from) * direction);
    bar.addEventListener("pointermove", move);
    bar.addEventListener("lostpointercapture", () => bar.removeEventListener("pointermove", move), {
      once: true,
    });
  };
  return (
    <div
      role="separator"
      tabIndex={0}
      aria-label={label}
      aria-orientation="vertical"
      aria-valuenow={Math.round(value)}
      aria-valuemin={min}
      aria-valuemax={max}
      onPointerDown={drag}
      onKeyDown={(event) => {
        const step = { ArrowLeft: -24, ArrowRight: 24 }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        set(value + step * direction);
      }}
      className={`group relative z-10 w-px shrink-0 cursor-col-resize touch-none bg-line after:absolute after:inset-y-0 after:-left-1.5 after:w-3 hover:bg-accent focus-visible:bg-accent ${className}`}
    />
  );
}
