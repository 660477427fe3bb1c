// What the page knows: collections kept up to date by live subscriptions, and the cluster's pulse.

import { effect, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { live, type Topic } from "@ui/api/live";
import type { Job } from "@ui/api/jobs";
import type { Node, ProgressItem, Pulse, Queue, Service, Task } from "@ui/api/types";
import { instant, num } from "@ui/lib/format";
import { withProgress } from "@ui/lib/progress";
import { Meter, Series } from "@ui/lib/series";

/** Entities by id or name. A new Map with every change; undefined until the first snapshot. */
export type Collection<T> = ReadonlySignal<ReadonlyMap<string, T> | undefined>;

interface Shared {
  items: Signal<ReadonlyMap<string, unknown> | undefined>;
  users: number;
  stop: () => void;
  linger: ReturnType<typeof setTimeout> | undefined;
}

// A view that is left and entered again finds its data still there.
const LINGER_MS = 10_000;
const shared = new Map<string, Shared>();

const keyOf = (item: unknown): string => {
  const { id, name } = item as { id?: string; name?: string };
  return id ?? name ?? "";
};

/** Replaces items, keeping what an update leaves out because it never changes. */
export function merged<T>(
  old: ReadonlyMap<string, T> | undefined,
  changed: readonly unknown[],
  removed: readonly string[],
): Map<string, T> {
  const items = new Map(old);
  for (const item of changed) {
    const key = keyOf(item);
    const before = items.get(key) as Partial<Task> | undefined;
    let now = item as Partial<Task>;
    if (before?.spec && !now.spec) now = { ...now, spec: before.spec };
    items.set(key, withProgress(now, before) as T);
  }
  for (const key of removed) items.delete(key);
  return items;
}

/** Tasks with what they said; that of another attempt is left out. */
export function reported<T>(
  old: ReadonlyMap<string, T> | undefined,
  said: readonly ProgressItem[],
): ReadonlyMap<string, T> {
  const items = new Map(old);
  for (const { id, attempt, progress } of said) {
    const task = items.get(id) as Partial<Task> | undefined;
    if (task?.attempt === attempt) items.set(id, { ...task, progress } as T);
  }
  return items;
}

function acquire(topic: Topic, filter: unknown): Shared {
  const key = `${topic} ${JSON.stringify(filter)}`;
  let entry = shared.get(key);
  if (!entry) {
    const items = signal<ReadonlyMap<string, unknown> | undefined>(undefined);
    const stop = live.subscribe(topic, filter, {
      snapshot: (all) => {
        items.value = merged(undefined, all, []);
      },
      delta: (changed, removed) => {
        items.value = merged(items.value, changed, removed);
      },
      progress: (said) => {
        items.value = reported(items.value, said as ProgressItem[]);
      },
    });
    entry = { items, stop, users: 0, linger: undefined };
    shared.set(key, entry);
  }
  entry.users += 1;
  clearTimeout(entry.linger);
  return entry;
}

function release(topic: Topic, filter: unknown): void {
  const key = `${topic} ${JSON.stringify(filter)}`;
  const entry = shared.get(key);
  if (!entry) return;
  entry.users -= 1;
  if (entry.users > 0) return;
  entry.linger = setTimeout(() => {
    entry.stop();
    shared.delete(key);
  }, LINGER_MS);
}

function useCollection<T>(topic: Topic, filter: unknown = {}): Collection<T> {
  const key = JSON.stringify(filter);
  const [entry, setEntry] = useState(() => {
    const first = acquire(topic, filter);
    release(topic, filter);
    return first;
  });
  useEffect(() => {
    setEntry(acquire(topic, filter));
    return () => release(topic, filter);
  }, [topic, key]);
  return entry.items as Collection<T>;
}

export const useQueues = () => useCollection<Queue>("queues");
/** The newest jobs, or those with these ids; without what they run. */
export const useJobs = (filter: { ids?: string[] } = {}) => useCollection<Job>("jobs", filter);
/** All nodes, for as long as the page is open. */
export const watchNodes = () =>
  acquire("nodes", {}).items as ReadonlySignal<ReadonlyMap<string, Node> | undefined>;
export const useNodes = () => useCollection<Node>("nodes");
export const useServices = () => useCollection<Service>("services");
export const useTasks = (filter: {
  queue?: string;
  ids?: string[];
  states?: string[];
  limit?: number;
  progress?: boolean;
}) =>
  useCollection<Task>("tasks", filter);

/** The last second of the cluster. */
export const pulse = signal<Pulse | undefined>(undefined);
/** Counts the pulses: what draws `history` depends on it. */
export const beats = signal(0);
/** Per second since the page was opened, over reloads: columns of `pulse`, `node.*`, `queue.*`. */
export let history = new Series();
/** Tasks that a queue finished per second, by name. */
export const queueRates = signal<ReadonlyMap<string, number>>(new Map());
/** This browser's clock, once a second: for ages. */
export const now = signal(Date.now());

const STORED = "quorate.history";
/** The queue of the services' replicas, which no slot is taken by. */
export const SERVICES = "services";

export function startStore(): void {
  history = Series.from(sessionStorage.getItem(STORED), Date.now() / 1000);
  addEventListener("pagehide", () => sessionStorage.setItem(STORED, JSON.stringify(history)));
  setInterval(() => {
    now.value = Date.now();
  }, 1000);
  // Held for good: the history is to have no hole where no view asks for nodes.
  const nodes = acquire("nodes", {});
  const onPulse = (items: unknown[]) => {
    const next = items.at(-1) as Pulse | undefined;
    if (!next) return;
    record(next, nodes.items.value as ReadonlyMap<string, Node> | undefined);
    pulse.value = next;
    beats.value += 1;
  };
  live.subscribe("cluster", {}, { snapshot: onPulse, delta: onPulse });
  meterQueues();
}

function record(next: Pulse, nodes: ReadonlyMap<string, Node> | undefined): void {
  const { rates = {}, latency = {}, queues = [] } = next;
  const time = next.time ? instant(next.time) / 1000 : Date.now() / 1000;
  const row: Record<string, number | null> = {
    submitted: rates.submitted ?? 0,
    started: rates.started ?? 0,
    finished: rates.finished ?? 0,
    failed: rates.failed ?? 0,
    pending: queues.reduce((sum, queue) => sum + num(queue.pending), 0),
    running: queues.reduce((sum, { name, running }) => sum + (name === SERVICES ? 0 : num(running)), 0),
  };
  for (const [name, values] of Object.entries({ wait: latency.queueMs, run: latency.runMs })) {
    row[`${name}.p50`] = values?.p50 ?? null;
    row[`${name}.p90`] = values?.p90 ?? null;
    row[`${name}.p99`] = values?.p99 ?? null;
  }
  for (const queue of queues) row[`queue.${queue.name}`] = num(queue.pending) + num(queue.running);
  if (nodes) {
    let slots = 0;
    let busy = -num(queues.find((queue) => queue.name === SERVICES)?.running);
    let cpu = 0;
    const here = [...nodes.values()].filter((node) => !node.loss);
    for (const node of here) {
      slots += node.slots ?? 0;
      busy += (node.running ?? 0) - (node.stats?.yielded ?? 0);
      cpu += node.stats?.cpu ?? 0;
      row[`node.${node.name}`] = (node.stats?.cpu ?? 0) * 100;
    }
    row["slots"] = slots ? Math.min(100, Math.max(0, (busy / slots) * 100)) : null;
    row["cpu"] = here.length ? (cpu / here.length) * 100 : null;
  }
  history.add(time, row);
}

/** Rates from the queues' counters, for as long as the page is open. */
function meterQueues(): void {
  const meters = new Map<string, Meter>();
  const entry = acquire("queues", {});
  effect(() => {
    const queues = entry.items.value as ReadonlyMap<string, Queue> | undefined;
    const at = now.value / 1000;
    if (!queues) return;
    const rates = new Map<string, number>();
    for (const queue of queues.values()) {
      let meter = meters.get(queue.name);
      if (!meter) meters.set(queue.name, (meter = new Meter()));
      rates.set(queue.name, meter.add(at, num(queue.counts?.finishedTotal)));
    }
    for (const name of meters.keys()) if (!queues.has(name)) meters.delete(name);
    queueRates.value = rates;
  });
}
