/*
 * The whole trace in a strip, drawn once on a canvas: time goes right, rows go down, errors are drawn last so that one among
 * ten thousand is still seen. A frame marks the rows on the screen; clicking or dragging goes there.
 */
import { type PointerEvent, type RefObject, useEffect, useRef } from "react";
import type { Skeleton } from "@/api/types";
import { extentOf, type TimeRange } from "@/model/timeScale";
import { useMedia } from "@/ui/hooks";
import { isDark, usePrefs } from "@/ui/prefs";

interface MinimapProps {
  skeleton: Skeleton;
  visible: Int32Array;
  range: TimeRange;
  until: number | null;
  /** The frame that marks the rows on the screen; `placeFrame` moves it without a render, because scrolling is frequent. */
  frame: RefObject<HTMLDivElement | null>;
  onGo: (position: number) => void;
}

const HEIGHT = 44;

export function Minimap({ skeleton, visible, range, until, frame, onGo }: MinimapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = isDark(usePrefs((prefs) => prefs.theme));
  useMedia("(prefers-color-scheme: dark)");
  // Redrawing ten thousand bars at every tick is not worth it: a strip this small moves visibly about twice a second.
  const drawnRange = useRef(range);
  const grown = (range.end - drawnRange.current.end) / (range.end - range.start);
  if (
    range.end < drawnRange.current.end ||
    range.start !== drawnRange.current.start ||
    grown > 0.01 ||
    until === null
  ) {
    drawnRange.current = range;
  }
  const shown = drawnRange.current;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme changes the colours that are read from the page.
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const paint = () => draw(element, skeleton, visible, shown);
    paint();
    const observer = new ResizeObserver(paint);
    observer.observe(element);
    return () => observer.disconnect();
  }, [skeleton, visible, shown, dark]);

  const count = Math.max(1, visible.length);
  const go = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const fraction = (event.clientY - box.top) / box.height;
    onGo(Math.min(count - 1, Math.max(0, Math.floor(fraction * count))));
  };
  return (
    <div
      aria-hidden="true"
      data-testid="minimap"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        go(event);
      }}
      onPointerMove={(event) => event.buttons === 1 && go(event)}
      className="relative shrink-0 cursor-pointer touch-none border-b border-line bg-sunken"
      style={{ height: HEIGHT }}
    >
      <canvas ref={canvas} className="absolute inset-0 size-full" />
      <div ref={frame} className="absolute inset-x-0 border-y border-accent/60 bg-accent/10" />
    </div>
  );
}

/** Puts the frame round positions `first` to `last` of `count`; nothing is framed when everything is on the screen. */
export function placeFrame(frame: HTMLDivElement | null, first: number, last: number, count: number): void {
  if (!frame) return;
  const height = Math.max(6, ((last - first + 1) / Math.max(1, count)) * 100);
  frame.hidden = height >= 100;
  frame.style.height = `${height}%`;
  frame.style.top = `${Math.min((first / Math.max(1, count)) * 100, 100 - height)}%`;
}

function draw(element: HTMLCanvasElement, skeleton: Skeleton, visible: Int32Array, range: TimeRange): void {
  const context = element.getContext("2d");
  if (!context) return;
  const scale = window.devicePixelRatio || 1;
  const width = element.clientWidth;
  element.width = Math.round(width * scale);
  element.height = Math.round(HEIGHT * scale);
  context.scale(scale, scale);
  const style = getComputedStyle(element);
  const colours = new Map<string, string>();
  const colour = (name: string) => {
    const known = colours.get(name);
    if (known) return known;
    const value = style.getPropertyValue(name) || "#888";
    colours.set(name, value);
    return value;
  };
  const inner = HEIGHT - 8;
  const step = Math.min(6, inner / Math.max(1, visible.length));
  const thick = Math.max(1, step - (step > 2 ? 1 : 0));
  const bar = (position: number, row: number, least: number) => {
    const start = skeleton.start_offset_ns[row] ?? 0;
    const duration = skeleton.duration_ns[row] ?? range.end - start;
    const { left, width: part } = extentOf(range, start, duration);
    context.fillRect(
      left * width,
      4 + position * step,
      Math.max(least, part * width),
      Math.max(least, thick),
    );
  };
  context.globalAlpha = 0.85;
  const errors: [number, number][] = [];
  for (let position = 0; position < visible.length; position++) {
    const row = visible[position] ?? 0;
    if (skeleton.error[row]) errors.push([position, row]);
    else {
      context.fillStyle = colour(`--kind-${skeleton.kind[row] ?? "custom"}`);
      bar(position, row, 1);
    }
  }
  context.globalAlpha = 1;
  context.fillStyle = colour("--bad");
  for (const [position, row] of errors) bar(position, row, 3);
}
