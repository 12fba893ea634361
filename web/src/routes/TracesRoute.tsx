/* Binds the list to its URL, and puts the first-run screen in the place of an empty workspace. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect } from "react";
import { FirstRun } from "@/features/first-run/FirstRun";
import { TracesScreen } from "@/features/traces/TracesScreen";
import { useLastList } from "./lastList";
import { useWorkspace } from "./useWorkspace";

export function TracesRoute() {
  const workspace = useWorkspace();
  const search = useSearch({ from: "/traces" });
  const navigate = useNavigate();
  const remember = useLastList((last) => last.remember);
  const { filter, from, to, sort } = search;
  useEffect(() => {
    document.title = filter ? `${filter} · Staso` : "Traces · Staso";
    remember({ filter, from, to, sort });
  }, [remember, filter, from, to, sort]);
  const open = useCallback(
    (traceId: string) =>
      void navigate({
        to: "/traces/$traceId",
        params: { traceId },
        search: (old) => ({ workspace: old.workspace }),
      }),
    [navigate],
  );
  return (
    <TracesScreen
      workspace={workspace}
      state={{ filter, from, to, sort }}
      onState={(next, { replace }) =>
        void navigate({ to: "/traces", search: (old) => ({ workspace: old.workspace, ...next }), replace })
      }
      onOpen={open}
      firstRun={<FirstRun workspace={workspace} onFirstTrace={open} />}
    />
  );
}
