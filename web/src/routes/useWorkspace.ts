/* The workspace every screen reads from: in the URL unless it is the default one. */
import { useSearch } from "@tanstack/react-router";
import { DEFAULT_WORKSPACE } from "./search";

export function useWorkspace(): string {
  return useSearch({ strict: false, select: (search) => search.workspace }) ?? DEFAULT_WORKSPACE;
}
