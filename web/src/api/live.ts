/*
 * One live stream per browser and workspace. The tab that holds a Web Lock reads the server's events and passes them to the
 * others over a BroadcastChannel; when it closes, the next tab takes over and everyone reads afresh, because what happened
 * in between is unknown. Without locks (plain http on another host) each tab reads its own stream.
 */
import { urlOf } from "./client";
import type { LiveChange } from "./types";

export type LiveMessage =
  | { type: "change"; change: LiveChange }
  | { type: "reset" }
  | { type: "state"; up: boolean };

export type Listener = (message: LiveMessage) => void;

interface Stream {
  listeners: Set<Listener>;
  up: boolean;
  close: () => void;
}

const streams = new Map<string, Stream>();

export function subscribe(workspace: string, listener: Listener): () => void {
  const stream = streams.get(workspace) ?? open(workspace);
  stream.listeners.add(listener);
  listener({ type: "state", up: stream.up });
  return () => {
    stream.listeners.delete(listener);
    // A screen change unsubscribes and subscribes at once; the stream outlives that moment.
    setTimeout(() => {
      if (stream.listeners.size === 0 && streams.get(workspace) === stream) {
        streams.delete(workspace);
        stream.close();
      }
    }, 1000);
  };
}

function open(workspace: string): Stream {
  const listeners = new Set<Listener>();
  const stop = new AbortController();
  const channel = new BroadcastChannel(`staso.live.${workspace}`);
  const stream: Stream = { listeners, up: false, close: () => stop.abort() };
  const deliver = (message: LiveMessage) => {
    if (message.type === "state") stream.up = message.up;
    for (const listener of [...listeners]) listener(message);
  };
  const tell = (message: LiveMessage) => {
    deliver(message);
    channel.postMessage(message);
  };
  let leading = false;
  channel.onmessage = (event: MessageEvent<LiveMessage | { type: "ask" }>) => {
    if (event.data.type !== "ask") {
      deliver(event.data);
    } else if (leading) channel.postMessage({ type: "state", up: stream.up });
  };
  channel.postMessage({ type: "ask" });
  stop.signal.addEventListener("abort", () => channel.close());
  const lead = () => {
    leading = true;
    return read(workspace, tell, stop.signal);
  };
  if (navigator.locks) {
    navigator.locks.request(`staso.live.${workspace}`, { signal: stop.signal }, lead).catch(() => undefined);
  } else void lead();
  streams.set(workspace, stream);
  return stream;
}

/** Reads until aborted. The browser reconnects by itself with Last-Event-ID; a refused stream is tried again here. */
function read(workspace: string, tell: Listener, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let source: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const connect = (fresh: boolean) => {
      source = new EventSource(urlOf("/api/live", { workspace }));
      source.addEventListener("hello", () => {
        // A stream made anew has no Last-Event-ID: what came between the first read and now must be read again.
        if (fresh) tell({ type: "reset" });
        fresh = false;
        tell({ type: "state", up: true });
      });
      source.addEventListener("reset", () => tell({ type: "reset" }));
      source.addEventListener("trace", (event) => {
        const change = parseChange((event as MessageEvent<string>).data);
        if (change) tell({ type: "change", change });
      });
      source.onerror = () => {
        tell({ type: "state", up: false });
        if (source?.readyState === EventSource.CLOSED && !signal.aborted)
          timer = setTimeout(() => connect(true), 2000);
      };
    };
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      source?.close();
      resolve();
    });
    if (!signal.aborted) connect(true);
  });
}

function parseChange(data: string): LiveChange | null {
  try {
    const value = JSON.parse(data) as LiveChange;
    return typeof value.trace_id === "string" ? value : null;
  } catch {
    return null;
  }
}
