// Hash routing: `#/tasks?queue=mail`. Nothing of the path belongs to us, so the page works below
// any prefix, and the server needs to know one address only.

import { signal } from "@preact/signals";

export interface Route {
  /** "tasks" of "#/tasks/123?x=1" */
  view: string;
  /** "123"; empty when there is none. */
  rest: string;
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#\/?/, "");
  const at = text.indexOf("?");
  const path = at < 0 ? text : text.slice(0, at);
  const [view = "", ...rest] = path.split("/");
  return {
    view,
    rest: rest.map(decodeSafely).join("/"),
    query: new URLSearchParams(at < 0 ? "" : text.slice(at + 1)),
  };
}

function decodeSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A link to a view. Empty and undefined parameters are left out. */
export function href(
  view: string,
  rest = "",
  query: Record<string, string | undefined> = {},
): string {
  const kept = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) kept.set(key, value);
  const path = rest ? `${view}/${encodeURIComponent(rest)}` : view;
  return `#/${path}${kept.size ? `?${kept}` : ""}`;
}

export const route = signal<Route>(parseRoute(""));

export function startRouter(): void {
  const read = () => {
    route.value = parseRoute(location.hash);
  };
  addEventListener("hashchange", read);
  read();
}

export function go(to: string): void {
  location.hash = to;
}

/** Changes the address without a new entry in the history. */
export function replace(to: string): void {
  history.replaceState(null, "", to);
  route.value = parseRoute(to);
}
