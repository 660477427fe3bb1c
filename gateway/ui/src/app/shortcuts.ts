// Keys that work everywhere. In fields and dialogs only what belongs to them.

import { signal } from "@preact/signals";
import { VIEWS } from "@ui/app/registry";
import { go, href } from "@ui/lib/router";

export const helpShown = signal(false);
const CHORD_MS = 1_200;
let chord = Number.NEGATIVE_INFINITY;

export function startShortcuts(): void {
  addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    const typing = target.matches("input, textarea, select");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && typing) {
      target.blur();
      return;
    }
    if (typing) return;
    if (act(event.key)) event.preventDefault();
  });
}

function act(key: string): boolean {
  if (performance.now() - chord < CHORD_MS) {
    chord = Number.NEGATIVE_INFINITY;
    const view = VIEWS.find((one) => one.key === key);
    if (view) go(href(view.id));
    return view !== undefined;
  }
  if (key === "g") {
    chord = performance.now();
    return true;
  }
  if (key === "?") {
    helpShown.value = true;
    return true;
  }
  const marked = key === "/" ? "[data-search]" : key === "c" ? "[data-create]" : "";
  const element = marked ? document.querySelector<HTMLElement>(marked) : null;
  if (!element) return false;
  if (element.matches("input")) element.focus();
  else (element.querySelector("button") ?? element).click();
  return true;
}
