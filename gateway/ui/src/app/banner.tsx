// Says when what is shown may be old, and goes away by itself.

import { effect, signal } from "@preact/signals";
import { live } from "@ui/api/live";
import { pulse } from "@ui/api/store";
import { wanted } from "@ui/api/token";
import { Icon } from "@ui/parts/icons";
import { tell } from "@ui/parts/toasts";
import { num } from "@ui/lib/format";

// A failover can be over within milliseconds: what was said stays long enough to be read.
const LEAST_MS = 1_500;
// The first connection may take this long without a word about it.
const GRACE_MS = 800;

const text = signal("");

export function startBanner(): void {
  let since = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const began = Date.now();
  effect(() => {
    // Who is asked for a token has lost nothing.
    const problem = wanted.value ? "" : problemOf(live.up.value, live.leader.value);
    clearTimeout(timer);
    if (problem) {
      const show = () => {
        if (!text.value) since = Date.now();
        text.value = problem;
      };
      if (Date.now() - began < GRACE_MS) timer = setTimeout(show, GRACE_MS);
      else show();
    } else if (text.peek()) {
      const clear = () => {
        text.value = "";
      };
      timer = setTimeout(clear, Math.max(0, since + LEAST_MS - Date.now()));
    }
  });
  tellNewLeaders();
}

export function problemOf(up: boolean | undefined, leader: boolean): string {
  if (up === false) return "Connection lost — showing the last state, reconnecting…";
  if (!leader) return "Leader lost — showing the last state, reconnecting…";
  return "";
}

/** Also says it when the change was too quick for a banner. */
function tellNewLeaders(): void {
  let epoch = 0;
  effect(() => {
    const cluster = pulse.value?.cluster;
    const next = num(cluster?.epoch);
    if (epoch && next > epoch) {
      const name = cluster?.schedulers?.find((one) => one.leader)?.name ?? "another scheduler";
      tell(`${name} leads now (epoch ${next}).`);
    }
    if (next) epoch = next;
  });
}

export function Banner() {
  return (
    <div class="banner-place" role="status" aria-live="assertive">
      {text.value && (
        <div class="banner">
          <Icon name="warning" />
          {text.value}
        </div>
      )}
    </div>
  );
}
