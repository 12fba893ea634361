/*
 * What a person chose once and expects to find again: kept in localStorage, per browser. `public/theme.js` reads the theme
 * from the same key before the first paint.
 */
import { create } from "zustand";
import { persist } from "zustand/middleware";
import type { Zone } from "@/model/format";

export type Theme = "system" | "light" | "dark";

interface Prefs {
  theme: Theme;
  zone: Zone;
  panelWidth: number;
  treeWidth: number;
  toggleTheme: () => void;
  toggleZone: () => void;
  setPanelWidth: (px: number) => void;
  setTreeWidth: (px: number) => void;
}

const systemDark = matchMedia("(prefers-color-scheme: dark)");

export function isDark(theme: Theme): boolean {
  return theme === "dark" || (theme === "system" && systemDark.matches);
}

export const usePrefs = create<Prefs>()(
  persist(
    (set) => ({
      theme: "system",
      zone: "local",
      panelWidth: 480,
      treeWidth: 380,
      // A toggle always changes what is seen; choosing what the system says anyway returns to following it.
      toggleTheme: () =>
        set(({ theme }) => {
          const dark = !isDark(theme);
          return { theme: dark === systemDark.matches ? "system" : dark ? "dark" : "light" };
        }),
      toggleZone: () => set(({ zone }) => ({ zone: zone === "local" ? "utc" : "local" })),
      setPanelWidth: (px) => set({ panelWidth: Math.round(px) }),
      setTreeWidth: (px) => set({ treeWidth: Math.round(px) }),
    }),
    {
      name: "staso.prefs",
      partialize: ({ theme, zone, panelWidth, treeWidth }) => ({ theme, zone, panelWidth, treeWidth }),
    },
  ),
);

function applyTheme(): void {
  document.documentElement.dataset.theme = isDark(usePrefs.getState().theme) ? "dark" : "light";
}

/** Keeps the page's theme in step with the choice and with the system. */
export function followTheme(): void {
  applyTheme();
  usePrefs.subscribe(applyTheme);
  systemDark.addEventListener("change", applyTheme);
}
