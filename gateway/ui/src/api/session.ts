// Who is signed in: by a token that was typed, or with the gateway's identity provider, whose session
// is a cookie that this page cannot read.

import { signal } from "@preact/signals";
import { getCaller } from "@ui/api/actions";
import { BASE, get, post } from "@ui/api/rest";
import { forget, token } from "@ui/api/token";
import type { Caller } from "@ui/api/types";

interface Session {
  /** The gateway has an identity provider. */
  signIn?: boolean;
  signedIn?: boolean;
  /** At the provider. */
  name?: string;
}

export const session = signal<Session>({});
/** As the cluster names the caller; undefined until it has answered. */
export const caller = signal<Caller | undefined>(undefined);

/** Ask both: when the page is loaded, and when the token has changed. */
export async function readSession(): Promise<void> {
  const used = token.value;
  const [found, known] = await Promise.all([
    get<Session>("auth/session").catch(() => ({})),
    getCaller().catch(() => ({ caller: undefined })),
  ]);
  if (used !== token.value) return;
  session.value = found;
  caller.value = known.caller;
}

export interface Person {
  name: string;
  role: string;
}

/** Of `operator:alice`; undefined for nobody. */
export function personOf(name: string | undefined): Person | undefined {
  if (!name || name === "anonymous") return undefined;
  const at = name.indexOf(":");
  return { name: name.slice(at + 1), role: at < 0 ? "" : name.slice(0, at) };
}

/** Where signing in with the provider begins; it leads back to this view. */
export function loginAddress(): string {
  const url = new URL("auth/login", BASE);
  url.searchParams.set("next", `/${location.hash}`);
  return url.href;
}

/** Forget the token, and end the session of the gateway and of the provider. The page is loaded anew:
 * nothing of what was seen stays. Raises Problem when the session could not be ended: it goes on. */
export async function signOut(): Promise<void> {
  let next = "";
  if (session.value.signedIn) {
    next = (await post<{ endSessionUrl?: string }>("auth/logout")).endSessionUrl ?? "";
  }
  forget();
  if (next) location.assign(next);
  else location.reload();
}
