/* The keys, on one card. `?` opens it on every screen; the native dialog keeps the focus and closes on Escape. */
import { X } from "lucide-react";
import { useEffect, useRef } from "react";
import { IconButton, Kbd } from "./controls";

const GROUPS: { title: string; keys: [string[], string][] }[] = [
  {
    title: "Everywhere",
    keys: [
      [["?"], "Show or hide this card"],
      [["t"], "Light or dark"],
      [["u"], "Local time or UTC"],
      [["/"], "Filter, or find in a trace"],
      [["Esc"], "Close, or go back"],
    ],
  },
  {
    title: "Traces",
    keys: [
      [["j", "↓"], "Next row"],
      [["k", "↑"], "Previous row"],
      [["Enter"], "Open the trace"],
      [["n"], "Show the new traces"],
      [["g", "G"], "First row, last row"],
    ],
  },
  {
    title: "Trace",
    keys: [
      [["j", "↓"], "Next span"],
      [["k", "↑"], "Previous span"],
      [["→"], "Expand, or go to the first child"],
      [["←"], "Collapse, or go to the parent"],
      [["e", "E"], "Next error, previous error"],
      [["Enter"], "Go to the span's panel"],
      [["+", "−"], "Expand all, collapse all"],
    ],
  },
];

export function HelpDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    if (open && !element?.open) element?.showModal();
    if (!open && element?.open) element.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      onClose={onClose}
      onKeyDown={(event) => event.key === "?" && onClose()}
      aria-labelledby="help-title"
      className="m-auto w-[min(46rem,calc(100vw-2rem))] rounded-xl border border-line-strong bg-raised p-5 text-ink shadow-pop backdrop:bg-black/45"
    >
      <div className="mb-3 flex items-center justify-between">
        <h2 id="help-title" className="text-base font-semibold">
          Keyboard
        </h2>
        <IconButton label="Close" onClick={onClose}>
          <X size={16} />
        </IconButton>
      </div>
      <div className="grid gap-6 sm:grid-cols-3">
        {GROUPS.map((group) => (
          <section key={group.title}>
            <h3 className="mb-2 text-2xs font-semibold tracking-wider text-faint uppercase">{group.title}</h3>
            <dl className="space-y-1.5">
              {group.keys.map(([keys, what]) => (
                <div key={what} className="flex items-center gap-2">
                  <dt className="flex w-14 shrink-0 gap-1">
                    {keys.map((key) => (
                      <Kbd key={key}>{key}</Kbd>
                    ))}
                  </dt>
                  <dd className="text-xs text-muted">{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}
