/*
 * The start of an input or output as one readable line. Previews are the first characters of JSON, often cut in the middle,
 * so this reads tokens instead of parsing: strings lose their quotes and escapes, members are told apart by a dot, and
 * braces disappear. A single member that only wraps the value, such as the SDK's "result", is unwrapped.
 */
const TOKENS = /"((?:[^"\\]|\\.)*)("|\\?$)|[{}[\],:]|[^\s"{}[\],:]+/gs;
const WRAPPERS = new Set([
  "result",
  "output",
  "value",
  "text",
  "content",
  "question",
  "query",
  "input",
  "prompt",
]);

export function readable(preview: string): string {
  const text = preview.trim();
  if (!/^["{[]/.test(text)) return text;
  const parts = tokensOf(text);
  const only = soleKey(parts);
  const words: string[] = [];
  for (const [i, part] of parts.entries()) {
    const isKey = parts[i + 1]?.mark === ":";
    if (part.mark === ",") words.push(" · ");
    else if (part.mark !== null) continue;
    else if (!isKey) words.push(part.text);
    else if (part.text !== only) words.push(`${part.text}: `);
  }
  return words.join("").replace(/\s+/g, " ").trim();
}

interface Part {
  text: string;
  mark: string | null;
}

function tokensOf(text: string): Part[] {
  const parts: Part[] = [];
  for (const match of text.matchAll(TOKENS)) {
    const [whole, inside] = match;
    if (inside !== undefined) parts.push({ text: plain(inside), mark: null });
    else if (/^[{}[\],:]$/.test(whole)) parts.push({ text: whole, mark: whole });
    else parts.push({ text: whole, mark: null });
  }
  return parts;
}

function plain(inside: string): string {
  return inside.replace(
    /\\(?:u([0-9a-fA-F]{4})|(.))/gs,
    (_all, code: string | undefined, char: string | undefined) => {
      if (code) return String.fromCharCode(Number.parseInt(code, 16));
      return char && "nrtbf".includes(char) ? " " : (char ?? "");
    },
  );
}

/** The key of an object with one member whose name says nothing a reader needs. */
function soleKey(parts: Part[]): string | null {
  if (parts[0]?.mark !== "{" || parts[2]?.mark !== ":") return null;
  const key = parts[1]?.text ?? "";
  if (!WRAPPERS.has(key)) return null;
  let depth = 0;
  for (const { mark } of parts) {
    if (mark === "{" || mark === "[") depth++;
    if (mark === "}" || mark === "]") depth--;
    if (mark === "," && depth === 1) return null;
  }
  return key;
}
