/*
 * A JSON value as rows of a virtual list: only opened branches are walked, long arrays open in slices, so that a value of
 * twenty megabytes costs what is on the screen. Integers that a double would round keep their digits.
 */

/** A number whose exact text matters more than its double. */
export class ExactNumber {
  constructor(readonly text: string) {}
}

export type Parsed = { ok: true; value: unknown } | { ok: false; reason: string };

// Every string and number of a JSON text, so that digits inside strings are told from numbers.
const SCALARS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;

/** Parses once; the exact-number pass runs only when the text holds a run of digits that could be rounded. */
export function parseJson(text: string): Parsed {
  try {
    if (!/\d{16,}/.test(text)) return { ok: true, value: JSON.parse(text) };
    JSON.parse(text);
    const mark = newMark();
    const marked = text.replace(SCALARS, (token) => (isRounded(token) ? `"${mark}${token}"` : token));
    const revive = (_key: string, value: unknown) =>
      typeof value === "string" && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value;
    return { ok: true, value: JSON.parse(marked, revive) };
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

// Unguessable per parse, so that no payload can pose as a marked number. (randomUUID is missing on plain-http hosts.)
function newMark(): string {
  return `exact-${crypto.getRandomValues(new Uint32Array(4)).join("-")}:`;
}

function isRounded(token: string): boolean {
  return /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token));
}

export type JsonKind = "object" | "array" | "string" | "number" | "boolean" | "null" | "slice";

export interface JsonRow {
  /** Unique in the tree: keys joined by a character no key can be confused by after escaping. */
  path: string;
  depth: number;
  label: string | null;
  kind: JsonKind;
  value: unknown;
  /** Number of members of an object, array or slice. */
  size: number;
  open: boolean;
}

export const SLICE = 100;

export function kindOf(value: unknown): JsonKind {
  if (value === null || value === undefined) return "null";
  if (value instanceof ExactNumber) return "number";
  if (Array.isArray(value)) return "array";
  const type = typeof value;
  if (type === "object") return "object";
  return type === "string" || type === "boolean" ? type : "number";
}

const escapeKey = (key: string) => key.replaceAll("~", "~0").replaceAll("/", "~1");

/** What is open at first: the outer levels, as long as they stay small. */
export function defaultOpen(value: unknown, rowBudget = 60): Set<string> {
  const open = new Set<string>();
  let rows = 1;
  let level: { path: string; value: unknown }[] = [{ path: "", value }];
  for (let depth = 0; depth < 4 && level.length > 0; depth++) {
    const next: { path: string; value: unknown }[] = [];
    for (const node of level) {
      const size = sizeOf(node.value);
      if (size === 0 || rows + size > rowBudget) {
        if (depth === 0 && size > 0) open.add(node.path);
        continue;
      }
      open.add(node.path);
      rows += size;
      next.push(...childrenOf(node.value, node.path));
    }
    level = next;
  }
  return open;
}

function childrenOf(value: unknown, path: string): { path: string; value: unknown }[] {
  if (Array.isArray(value)) return value.map((item, i) => ({ path: `${path}/${i}`, value: item }));
  if (kindOf(value) !== "object") return [];
  return Object.entries(value as object).map(([key, item]) => ({
    path: `${path}/${escapeKey(key)}`,
    value: item,
  }));
}

function sizeOf(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  return kindOf(value) === "object" ? Object.keys(value as object).length : 0;
}

/** Rows in display order. */
export function flattenJson(value: unknown, open: ReadonlySet<string>): JsonRow[] {
  const out: JsonRow[] = [];
  const walk = (label: string | null, node: unknown, path: string, depth: number) => {
    const kind = kindOf(node);
    const size = sizeOf(node);
    const isOpen = size > 0 && open.has(path);
    out.push({ path, depth, label, kind, value: node, size, open: isOpen });
    if (!isOpen) return;
    if (Array.isArray(node)) walkItems(node, 0, node.length, path, depth + 1);
    else
      for (const [key, item] of Object.entries(node as object))
        walk(key, item, `${path}/${escapeKey(key)}`, depth + 1);
  };
  const walkItems = (items: unknown[], from: number, to: number, path: string, depth: number) => {
    if (to - from <= SLICE) {
      for (let i = from; i < to; i++) walk(String(i), items[i], `${path}/${i}`, depth);
      return;
    }
    const width = sliceWidth(to - from);
    for (let at = from; at < to; at += width) {
      const end = Math.min(to, at + width);
      const slicePath = `${path}/~[${at}-${end}`;
      const isOpen = open.has(slicePath);
      out.push({
        path: slicePath,
        depth,
        label: `${at} … ${end - 1}`,
        kind: "slice",
        value: null,
        size: end - at,
        open: isOpen,
      });
      if (isOpen) walkItems(items, at, end, path, depth + 1);
    }
  };
  walk(null, value, "", 0);
  return out;
}

/** Slices nest so that no level shows more than a hundred of them. */
function sliceWidth(count: number): number {
  let width = SLICE;
  while (count / width > SLICE) width *= SLICE;
  return width;
}

/** Indented text that keeps exact numbers. */
export function prettyJson(value: unknown): string {
  const exact: string[] = [];
  const mark = newMark();
  const replace = (_key: string, node: unknown) =>
    node instanceof ExactNumber ? `${mark}${exact.push(node.text) - 1}` : node;
  const text = JSON.stringify(value, replace, 2) ?? "null";
  if (exact.length === 0) return text;
  return text.replace(new RegExp(`"${mark}(\\d+)"`, "g"), (_all, i) => exact[Number(i)] ?? "");
}

export function scalarText(value: unknown): string {
  if (value instanceof ExactNumber) return value.text;
  return value === undefined ? "null" : JSON.stringify(value);
}
