// The token with which this page calls, where the cluster asks for one. It is kept for the tab
// alone: another tab, or the next day, asks again.

import { signal } from "@preact/signals";

const KEY = "quorate.token";
// What may stand in a header and in a subprotocol.
const SHAPE = /^[A-Za-z0-9._~+-]+$/;

/** What was typed; empty when nobody asked for it. */
export const token = signal(stored());
/** Why a token is asked for; empty while none is. */
export const wanted = signal("");

export function signIn(typed: string): void {
  if (!SHAPE.test(typed.trim())) {
    wanted.value = "That is no token.";
    return;
  }
  token.value = typed.trim();
  wanted.value = "";
  try {
    sessionStorage.setItem(KEY, token.value);
  } catch {
    // Storage may be forbidden: then it lasts as long as the page.
  }
}

/** No token any longer, in this tab. */
export function forget(): void {
  token.value = "";
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // It was never kept.
  }
}

/** The cluster did not take this token. What is heard late, of a former one, says nothing. */
export function refused(used: string): void {
  if (used !== token.value) return;
  wanted.value = token.value
    ? "The cluster does not take this token, or no longer."
    : "This cluster asks who you are.";
}

function stored(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
