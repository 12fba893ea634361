/* Text as it is, in its own direction; a very long one is shown in part until asked for whole. */
import { useState } from "react";
import { formatBytes } from "@/model/format";

const PART = 50_000;

export function TextView({ text, mono = false }: { text: string; mono?: boolean }) {
  const [whole, setWhole] = useState(false);
  const cut = !whole && text.length > PART * 1.2;
  return (
    <div className="overflow-hidden rounded-lg border border-line bg-surface">
      <pre
        dir="auto"
        className={`max-h-[32rem] overflow-auto p-3 break-words whitespace-pre-wrap ${mono ? "font-mono text-xs leading-5" : "font-sans text-sm leading-relaxed"}`}
      >
        {text === "" ? <span className="text-faint">(empty text)</span> : cut ? text.slice(0, PART) : text}
      </pre>
      {cut && (
        <button
          type="button"
          onClick={() => setWhole(true)}
          className="w-full border-t border-line py-1.5 text-xs font-medium text-accent hover:bg-sunken"
        >
          Show all {formatBytes(text.length)}
        </button>
      )}
    </div>
  );
}
