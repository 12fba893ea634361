/*
 * Where an exception came from: reads the frames of Python and JavaScript stack traces, so that the innermost frame of the
 * person's own code can be named above the text. The text itself is always shown unchanged.
 */

export interface Frame {
  file: string;
  line: number;
  name: string | null;
}

const PYTHON = /^\s*File "([^"\n]+)", line (\d+)(?:, in (.+))?$/;
const JAVASCRIPT = /^\s*at (?:(.+?) \()?([^()\n]+?):(\d+):\d+\)?$/;

/** Frames outermost first, as Python prints them. */
export function framesOf(stack: string): Frame[] {
  const python: Frame[] = [];
  const javascript: Frame[] = [];
  for (const line of stack.slice(0, 1_000_000).split("\n")) {
    if (line.length > 2000) continue;
    const py = PYTHON.exec(line);
    if (py) python.push({ file: py[1] ?? "", line: Number(py[2]), name: py[3]?.trim() ?? null });
    const js = py ? null : JAVASCRIPT.exec(line);
    if (js) javascript.push({ file: js[2] ?? "", line: Number(js[3]), name: js[1] ?? null });
  }
  return python.length > 0 ? python : javascript.reverse();
}

const FOREIGN = /site-packages|dist-packages|node_modules|lib\/python\d|^<frozen|^node:|\/staso\//;

/** The innermost frame outside libraries; else the innermost frame. */
export function originOf(stack: string): Frame | null {
  const frames = framesOf(stack);
  return frames.findLast((frame) => !FOREIGN.test(frame.file)) ?? frames.at(-1) ?? null;
}
