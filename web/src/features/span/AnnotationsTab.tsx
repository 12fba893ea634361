/* Scores and labels of a span, and the form that adds one by hand. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { addAnnotation, deleteAnnotation } from "@/api/queries";
import type { Annotation, DataType, NewAnnotation, Span } from "@/api/types";
import { formatMoment, formatScore, nsToMs } from "@/model/format";
import { Button, IconButton } from "@/ui/controls";
import { usePrefs } from "@/ui/prefs";

interface AnnotationsTabProps {
  span: Span;
  workspace: string;
}

export function AnnotationsTab({ span, workspace }: AnnotationsTabProps) {
  const client = useQueryClient();
  const refresh = async () => {
    await Promise.all([
      client.invalidateQueries({ queryKey: ["span", workspace, span.trace_id] }),
      client.invalidateQueries({ queryKey: ["skeleton", workspace, span.trace_id] }),
    ]);
  };
  const remove = useMutation({
    mutationFn: (id: string) => deleteAnnotation(workspace, id),
    onSuccess: refresh,
  });
  return (
    <div className="grid gap-4 p-3 sm:p-4">
      {span.annotations.length === 0 ? (
        <p className="text-muted">
          None yet. Add one below, or in Python:{" "}
          <code className="font-mono text-xs">s.annotate("helpful", value=1)</code>
        </p>
      ) : (
        <ul className="divide-y divide-line overflow-hidden rounded-lg border border-line bg-surface">
          {span.annotations.map((annotation) => (
            <Row
              key={annotation.id}
              annotation={annotation}
              onDelete={() => remove.mutate(annotation.id)}
              busy={remove.isPending}
            />
          ))}
        </ul>
      )}
      {remove.error && (
        <p role="alert" className="text-xs text-bad">
          {remove.error.message}
        </p>
      )}
      <AnnotationForm span={span} workspace={workspace} onAdded={refresh} />
    </div>
  );
}

function Row({
  annotation,
  onDelete,
  busy,
}: {
  annotation: Annotation;
  onDelete: () => void;
  busy: boolean;
}) {
  const zone = usePrefs((prefs) => prefs.zone);
  return (
    <li className="flex items-start gap-3 px-3 py-2">
      <div className="min-w-0 flex-1">
        <div className="flex min-w-0 items-baseline gap-2">
          <span dir="auto" className="truncate font-medium">
            {annotation.name}
          </span>
          <span dir="auto" className="truncate font-semibold tabular-nums">
            {formatScore(annotation.value)}
          </span>
        </div>
        {annotation.comment && (
          <p dir="auto" className="text-sm break-words whitespace-pre-wrap text-muted">
            {annotation.comment}
          </p>
        )}
        <p className="text-2xs text-faint">
          {annotation.author ?? annotation.source},{" "}
          {formatMoment(nsToMs(annotation.created_ns), zone).slice(0, 19)}
        </p>
      </div>
      <IconButton label={`Delete ${annotation.name}`} onClick={onDelete} disabled={busy} className="size-7">
        <Trash2 size={14} />
      </IconButton>
    </li>
  );
}

const TYPES: { type: DataType; label: string }[] = [
  { type: "numeric", label: "Number" },
  { type: "categorical", label: "Label" },
  { type: "boolean", label: "Yes or no" },
];

/** The form's fields as an annotation, or the sentence that says what is missing. */
function readForm(form: FormData, spanId: string, type: DataType): NewAnnotation | string {
  const name = String(form.get("name") ?? "").trim();
  const raw = String(form.get("value") ?? "").trim();
  if (name === "") return "Give it a name.";
  if (raw === "") return "Give it a value.";
  const value = type === "numeric" ? Number(raw) : type === "boolean" ? raw === "yes" : raw;
  if (typeof value === "number" && !Number.isFinite(value)) return "The value is not a number.";
  const comment = String(form.get("comment") ?? "").trim() || null;
  return { span_id: spanId, name, value, data_type: type, comment };
}

function AnnotationForm({
  span,
  workspace,
  onAdded,
}: AnnotationsTabProps & { onAdded: () => Promise<void> }) {
  const [type, setType] = useState<DataType>("numeric");
  const [missing, setMissing] = useState<string | null>(null);
  const add = useMutation({
    mutationFn: (annotation: NewAnnotation) => addAnnotation(workspace, span.trace_id, annotation),
    onSuccess: onAdded,
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const read = readForm(new FormData(form), span.span_id, type);
    setMissing(typeof read === "string" ? read : null);
    if (typeof read !== "string") add.mutate(read, { onSuccess: () => form.reset() });
  };
  const field =
    "h-8 w-full min-w-0 rounded-md border border-line-strong bg-surface px-2 placeholder:text-faint";
  return (
    <form onSubmit={submit} noValidate className="grid gap-2.5 rounded-lg border border-line bg-surface p-3">
      <h3 className="text-xs font-semibold">Add an annotation</h3>
      <label className="grid gap-1 text-xs text-muted">
        Name
        <input name="name" dir="auto" maxLength={200} placeholder="helpful" className={field} />
      </label>
      <div className="grid grid-cols-[minmax(0,auto)_minmax(0,1fr)] gap-2">
        <label className="grid gap-1 text-xs text-muted">
          Type
          <select
            value={type}
            onChange={(event) => setType(event.target.value as DataType)}
            className={field}
          >
            {TYPES.map((each) => (
              <option key={each.type} value={each.type}>
                {each.label}
              </option>
            ))}
          </select>
        </label>
        <div className="grid gap-1 text-xs text-muted">
          <label htmlFor="annotation-value">Value</label>
          {type === "boolean" ? (
            <select id="annotation-value" name="value" className={field}>
              <option value="yes">Yes</option>
              <option value="no">No</option>
            </select>
          ) : (
            <input
              id="annotation-value"
              key={type}
              name="value"
              dir="auto"
              inputMode={type === "numeric" ? "decimal" : "text"}
              placeholder={type === "numeric" ? "0.9" : "refund"}
              className={field}
            />
          )}
        </div>
      </div>
      <label className="grid gap-1 text-xs text-muted">
        Comment
        <textarea
          name="comment"
          dir="auto"
          rows={2}
          placeholder="Optional"
          className={`${field} h-auto py-1.5`}
        />
      </label>
      <div className="flex items-center gap-3">
        <Button type="submit" look="strong" disabled={add.isPending}>
          {add.isPending ? "Adding…" : "Add"}
        </Button>
        <p role="status" className={`text-xs ${missing || add.error ? "text-bad" : "text-muted"}`}>
          {missing ?? add.error?.message ?? (add.isSuccess ? "Added." : "")}
        </p>
      </div>
    </form>
  );
}
