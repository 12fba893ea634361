/*
 * Small hooks every screen needs: a ticking now, keyboard shortcuts that stay out of text fields, the width class of the
 * window, and the live stream.
 */
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { serverNowMs } from "@/api/clock";
import { type Listener, subscribe } from "@/api/live";

/** The server's now in milliseconds, renewed about every `everyMs` while active; frames stop when the tab is hidden. */
export function useNow(everyMs: number | null): number {
  const [now, setNow] = useState(serverNowMs);
  useEffect(() => {
    if (everyMs === null) return;
    setNow(serverNowMs());
    if (everyMs >= 1000) {
      const timer = setInterval(() => setNow(serverNowMs()), everyMs);
      return () => clearInterval(timer);
    }
    let last = performance.now();
    let frame = requestAnimationFrame(function tick(at) {
      if (at - last >= everyMs) {
        last = at;
        setNow(serverNowMs());
      }
      frame = requestAnimationFrame(tick);
    });
    return () => cancelAnimationFrame(frame);
  }, [everyMs]);
  return now;
}

export type Keymap = Record<string, (event: KeyboardEvent) => void>;

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

/** Enter, Space and the arrows belong to the focused control, unless it has just been hidden with its dialog. */
function ownsKey({ target, key }: KeyboardEvent): boolean {
  if (!/^(Enter$| $|Arrow)/.test(key) || !(target instanceof HTMLElement)) return false;
  const control = target.closest<HTMLElement>("button, a, summary, [role=tab], [role=separator]");
  return control?.checkVisibility() ?? false;
}

/** Page-wide single keys. Text fields, open dialogs and keys with modifiers are left alone. */
export function useHotkeys(keymap: Keymap): void {
  const latest = useRef(keymap);
  latest.current = keymap;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target))
        return;
      if (document.querySelector("dialog[open], [data-popover-open]")) return;
      const action = latest.current[event.key];
      if (!action) return;
      if (ownsKey(event)) return;
      event.preventDefault();
      action(event);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}

export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (notify) => {
      const list = matchMedia(query);
      list.addEventListener("change", notify);
      return () => list.removeEventListener("change", notify);
    },
    () => matchMedia(query).matches,
  );
}

/** Wide enough to show two things side by side. */
export const useWide = () => useMedia("(min-width: 900px)");

export function useLive(workspace: string, listener: Listener): void {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => subscribe(workspace, (message) => latest.current(message)), [workspace]);
}

/**
 * A function that runs soon after the first call and then at most once per `everyMs`; a call while it runs leads to
 * exactly one more run.
 */
export function useThrottled(action: () => Promise<unknown>, everyMs: number): () => void {
  const latest = useRef(action);
  latest.current = action;
  const state = useRef({
    waiting: false,
    running: false,
    again: false,
    last: 0,
    timer: 0 as number | undefined,
  });
  useEffect(() => () => window.clearTimeout(state.current.timer), []);
  return useRef(() => {
    const s = state.current;
    if (s.running) s.again = true;
    if (s.running || s.waiting) return;
    s.waiting = true;
    const run = async () => {
      Object.assign(s, { waiting: false, running: true, again: false });
      try {
        await latest.current();
      } finally {
        Object.assign(s, { running: false, last: Date.now() });
        if (s.again) schedule();
      }
    };
    const schedule = () => {
      s.waiting = true;
      s.timer = window.setTimeout(
        () => void run().catch(() => undefined),
        Math.max(60, s.last + everyMs - Date.now()),
      );
    };
    schedule();
  }).current;
}
