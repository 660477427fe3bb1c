// Says when what is shown may be old, and goes away by itself.

import { effect, signal } from "@preact/signals";
import { live } from "@ui/api/live";
import { pulse, watchNodes } from "@ui/api/store";
import type { Node } from "@ui/api/types";
import { wanted } from "@ui/api/token";
import { Icon } from "@ui/parts/icons";
import { tell } from "@ui/parts/toasts";
import { num } from "@ui/lib/format";
import { href } from "@ui/lib/router";

// A failover can be over within milliseconds: what was said stays long enough to be read.
const LEAST_MS = 1_500;
// The first connection may take this long without a word about it.
const GRACE_MS = 800;

// Of one moment; a rack takes many nodes with it.
const TOASTS = 3;

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
  tellLostNodes();
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

/** Nodes that are lost while the page is open; those from before are in the list. */
function tellLostNodes(): void {
  const known = new Map<string, string | undefined>();
  let first = true;
  const nodes = watchNodes();
  effect(() => {
    const all = nodes.value;
    if (!all) return;
    const fresh = [...all.values()].filter(({ name, loss }) => loss && known.get(name) !== loss.time);
    known.clear();
    for (const { name, loss } of all.values()) if (loss) known.set(name, loss.time);
    if (!first) tellLost(fresh);
    first = false;
  });
}

function tellLost(fresh: readonly Node[]): void {
  for (const { name, loss } of fresh.slice(0, TOASTS)) {
    tell(`${name} is lost: ${loss?.why}`, {
      failed: true,
      link: { href: href("nodes", name), text: "Show" },
    });
  }
  if (fresh.length > TOASTS) {
    tell(`${fresh.length - TOASTS} more nodes are lost.`, {
      failed: true,
      link: { href: href("nodes"), text: "Show" },
    });
  }
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
