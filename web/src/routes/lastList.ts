/* The list a person came from, so that going back from a trace finds the same filter. Per tab, gone with it. */
import { create } from "zustand";
import type { TracesSearch } from "./search";

interface LastList {
  search: TracesSearch;
  remember: (search: TracesSearch) => void;
}

export const useLastList = create<LastList>()((set) => ({
  search: {},
  remember: (search) => set({ search }),
}));
