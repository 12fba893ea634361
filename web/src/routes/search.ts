/*
 * The URL's search part as plain text pairs, so that links read as a person would write them. Each route says which keys it
 * knows; anything else in the URL is dropped.
 */
import type { Sort } from "@/api/queries";
import { cleanBound } from "@/model/timeRange";

export type RawSearch = Record<string, unknown>;

export function parseSearch(text: string): RawSearch {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: RawSearch): string {
  const out = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (typeof value === "string" && value !== "") out.set(key, value);
  }
  const text = out.toString();
  return text ? `?${text}` : "";
}

const word = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);
const SORTS = ["duration", "cost", "tokens", "spans"];

export interface RootSearch {
  workspace?: string | undefined;
}

export const rootSearch = (raw: RawSearch): RootSearch => ({ workspace: word(raw.workspace) });

export interface TracesSearch {
  filter?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  sort?: Sort | undefined;
}

export const tracesSearch = (raw: RawSearch): TracesSearch => ({
  filter: word(raw.filter),
  from: cleanBound(raw.from),
  to: cleanBound(raw.to),
  sort: SORTS.includes(String(raw.sort)) ? (raw.sort as Sort) : undefined,
});

export interface TraceSearch {
  span?: string | undefined;
  tab?: string | undefined;
}

export const traceSearch = (raw: RawSearch): TraceSearch => ({
  span: typeof raw.span === "string" && /^[0-9a-f-]{1,36}$/i.test(raw.span) ? raw.span : undefined,
  tab: word(raw.tab),
});

export const DEFAULT_WORKSPACE = "default";
