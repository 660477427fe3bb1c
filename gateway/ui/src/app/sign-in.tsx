// Asks for a token, where the cluster asks for one.

import { effect } from "@preact/signals";
import { live } from "@ui/api/live";
import { get } from "@ui/api/rest";
import { loginAddress, personOf, caller, readSession, session, signOut } from "@ui/api/session";
import { pulse } from "@ui/api/store";
import { signIn, token, wanted } from "@ui/api/token";
import { Button, Empty } from "@ui/parts/basics";
import { Icon } from "@ui/parts/icons";
import { tell } from "@ui/parts/toasts";

/** A browser does not say why a WebSocket failed: a plain call does. */
export function startSignIn(): void {
  effect(() => {
    if (live.up.value === false) get("v1/cluster").catch(() => undefined);
  });
  effect(() => {
    token.value;
    void readSession();
  });
}

async function leave(): Promise<void> {
  try {
    await signOut();
  } catch (error) {
    tell((error as Error).message, { failed: true });
  }
}

/** Who is signed in, and a way out. Nothing where nobody is asked who they are. */
export function SignedIn() {
  const person = personOf(caller.value?.name);
  const out = token.value !== "" || session.value.signedIn;
  if (!person && !out) return null;
  return (
    <div class="person" role="group" aria-label="Signed in">
      {person && (
        <span>
          {person.name} {person.role && <small>{person.role}</small>}
        </span>
      )}
      {out && (
        <Button kind="quiet" onClick={() => void leave()}>
          Sign out
        </Button>
      )}
    </div>
  );
}

/** A token is asked for, and there is no former state of the cluster to show meanwhile. */
export const signedOut = (): boolean => wanted.value !== "" && !pulse.value;

/** Instead of views without anything in them. */
export function SignedOut() {
  return (
    <Empty page icon="lock" title="Sign in to see this cluster">
      <p>
        Who runs it makes tokens with <code>quorate tokens create</code>. Of a local cluster,{" "}
        <code>quorate status</code> names the file that yours is in.
      </p>
    </Empty>
  );
}

export function SignIn() {
  if (!wanted.value) return null;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    signIn(String(new FormData(form).get("token") ?? ""));
    live.wake();
  };
  return (
    <form class="banner sign-in" aria-label="Sign in" onSubmit={submit}>
      <Icon name="warning" />
      <label for="token">{wanted.value} Token:</label>
      <input
        id="token"
        name="token"
        type="password"
        class="mono"
        autocomplete="off"
        required
        autofocus
      />
      <Button type="submit" kind="primary">
        Sign in
      </Button>
      {session.value.signIn && (
        <a class="button" href={loginAddress()}>
          Sign in with your identity provider
        </a>
      )}
    </form>
  );
}
