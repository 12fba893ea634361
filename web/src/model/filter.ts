/*
 * The one filter grammar, as far as the browser needs it: splitting the bar's text into terms, telling an unfinished or
 * misspelt one before the server is asked, and letting the menus read and rewrite single `field:a,b` terms without
 * disturbing what a person typed. The server remains the judge of meaning.
 */

export const FIELDS = [
  "status",
  "state",
  "agent",
  "version",
  "kind",
  "name",
  "span",
  "service",
  "environment",
  "session",
  "user",
  "model",
  "tag",
  "trace",
  "duration",
  "cost",
  "tokens",
  "spans",
  "errors",
] as const;

export type Operator = ":" | ">" | ">=" | "<" | "<=";

export type Token =
  | { type: "term"; text: string; field: string; op: Operator; values: string[] }
  | { type: "word"; text: string; value: string }
  | { type: "or" | "not" | "open" | "close"; text: string };

export interface FilterProblem {
  message: string;
}

/** Splits the text; never throws. An unclosed quote ends with the text. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text[at] ?? "";
    if (/\s/.test(char)) at++;
    else if (char === "(" || char === ")") {
      tokens.push({ type: char === "(" ? "open" : "close", text: char });
      at++;
    } else if (char === "-" && /[^\s]/.test(text[at + 1] ?? "")) {
      tokens.push({ type: "not", text: "-" });
      at++;
    } else {
      const end = chunkEnd(text, at);
      tokens.push(classify(text.slice(at, end)));
      at = end;
    }
  }
  return tokens;
}

function chunkEnd(text: string, from: number): number {
  let quoted = false;
  let at = from;
  for (; at < text.length; at++) {
    const char = text[at] ?? "";
    if (quoted && char === "\\") at++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && /[\s()]/.test(char)) break;
  }
  return Math.min(at, text.length);
}

function classify(text: string): Token {
  if (text === "OR") return { type: "or", text };
  if (text === "NOT") return { type: "not", text };
  const term = /^([A-Za-z_][\w.-]*)(:|>=|<=|>|<)(.*)$/s.exec(text);
  if (!term) return { type: "word", text, value: unquote(text) };
  const [, field = "", op = ":", rest = ""] = term;
  return { type: "term", text, field: field.toLowerCase(), op: op as Operator, values: splitValues(rest) };
}

function splitValues(text: string): string[] {
  const values: string[] = [];
  let current = "";
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? "";
    if (quoted && char === "\\") current += char + (text[++i] ?? "");
    else if (char === '"') {
      quoted = !quoted;
      current += char;
    } else if (char === "," && !quoted) {
      values.push(unquote(current));
      current = "";
    } else current += char;
  }
  values.push(unquote(current));
  return values.filter((value) => value !== "");
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  const inner = text.length > 1 && text.endsWith('"') ? text.slice(1, -1) : text.slice(1);
  return inner.replace(/\\(.)/gs, "$1");
}

/** A value as the grammar wants it: quoted when it holds anything that would end or split it. */
export function quote(value: string): string {
  return /^[^\s"(),:<>\\-][^\s"(),<>\\]*$/.test(value) ? value : `"${value.replace(/(["\\])/g, "\\$1")}"`;
}

/** What is wrong with the text, or null. Only what is certain: the server decides the rest. */
export function problemOf(text: string): FilterProblem | null {
  let depth = 0;
  if (countQuotes(text) % 2 === 1) return { message: 'A quote is open. Close it with ".' };
  const tokens = tokenize(text);
  for (const [i, token] of tokens.entries()) {
    if (token.type === "open") depth++;
    if (token.type === "close" && --depth < 0) return { message: "A ) has no ( before it." };
    if (token.type === "or" && (i === 0 || i === tokens.length - 1)) {
      return { message: "OR needs a term on both sides." };
    }
    if (token.type === "term" && !isField(token.field)) {
      return {
        message: `There is no field “${token.field}”. Fields: ${FIELDS.join(", ")}, metadata.<path>.`,
      };
    }
    if (token.type === "term" && token.values.length === 0) {
      return { message: `${token.field}${token.op} needs a value.` };
    }
  }
  return depth > 0 ? { message: "A ( is open. Close it with )." } : null;
}

function countQuotes(text: string): number {
  return (text.replace(/\\./gs, "").match(/"/g) ?? []).length;
}

export function isField(field: string): boolean {
  return (FIELDS as readonly string[]).includes(field) || /^metadata\.\S+/.test(field);
}

/** Fields that continue the word before the caret, with the text each would give. */
export function completions(text: string, caret: number): { field: string; text: string; caret: number }[] {
  const before = text.slice(0, caret);
  const word = /(?:^|[\s(-])([A-Za-z_]*)$/.exec(before)?.[1];
  if (word === undefined || (before.match(/"/g) ?? []).length % 2 === 1) return [];
  const head = before.slice(0, before.length - word.length);
  return FIELDS.filter((field) => field.startsWith(word.toLowerCase()) && field !== word).map((field) => {
    const grown = `${head}${field}:`;
    return { field, text: grown + text.slice(caret), caret: grown.length };
  });
}

/** The values of the plain, top-level `field:a,b` term, which is the one a menu shows as ticked. */
export function fieldValues(text: string, field: string): string[] {
  const term = plainTerms(tokenize(text)).find((t) => t.field === field);
  return term ? term.values : [];
}

type Term = Extract<Token, { type: "term" }>;

/** Terms a menu may rewrite: `:` terms outside parentheses, not negated, in a text without OR. */
function plainTerms(tokens: Token[]): Term[] {
  if (tokens.some((t) => t.type === "or")) return [];
  const out: Term[] = [];
  let depth = 0;
  for (const [i, token] of tokens.entries()) {
    if (token.type === "open") depth++;
    if (token.type === "close") depth--;
    if (token.type === "term" && depth === 0 && token.op === ":" && tokens[i - 1]?.type !== "not")
      out.push(token);
  }
  return out;
}

/** The text with the plain term of `field` set to `values`; none removes it. A text with OR is wrapped before adding. */
export function withFieldValues(text: string, field: string, values: string[]): string {
  const tokens = tokenize(text);
  const old = plainTerms(tokens).find((t) => t.field === field);
  const term = values.length > 0 ? `${field}:${values.map(quote).join(",")}` : null;
  if (old) return render(tokens.flatMap((t) => (t === old ? (term ? [term] : []) : [t.text])));
  if (!term) return render(tokens.map((t) => t.text));
  const body = render(tokens.map((t) => t.text));
  if (tokens.some((t) => t.type === "or")) return `(${body}) ${term}`;
  return body ? `${body} ${term}` : term;
}

export function toggleFieldValue(text: string, field: string, value: string): string {
  const now = fieldValues(text, field);
  const next = now.includes(value) ? now.filter((v) => v !== value) : [...now, value];
  return withFieldValues(text, field, next);
}

/** Both conditions at once; each side keeps its own meaning. */
export function allOf(...texts: string[]): string {
  const parts = texts.map((t) => t.trim()).filter((t) => t !== "");
  return parts.map((t) => (parts.length > 1 && /(^|\s)OR(\s|$)/.test(t) ? `(${t})` : t)).join(" ");
}

/** One space between terms, none inside parentheses or after a minus: the canonical text. */
export function canonical(text: string): string {
  return render(tokenize(text).map((t) => t.text));
}

function render(texts: string[]): string {
  return texts
    .join(" ")
    .replace(/(^|\s)- /g, "$1-")
    .replace(/\(\s+/g, "(")
    .replace(/\s+\)/g, ")");
}
