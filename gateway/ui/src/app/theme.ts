// Light, dark, or as the system has it. `public/theme.js` applies the choice before the first paint.

import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const STORED = "quorate.theme";
const ORDER: Theme[] = ["system", "light", "dark"];

export const theme = signal<Theme>("system");
/** Grows when colours changed: canvases are drawn anew. */
export const themeVersion = signal(0);

export function startTheme(): void {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") theme.value = chosen;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    themeVersion.value += 1;
  });
}

export function nextTheme(): void {
  const next = ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length]!;
  theme.value = next;
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, next);
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
  themeVersion.value += 1;
}
