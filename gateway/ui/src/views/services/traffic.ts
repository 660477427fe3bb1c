// What this gateway's proxy did lately, from its counters at /v1/gateway/services, which only grow.

import { useEffect, useState } from "preact/hooks";
import { get } from "@ui/api/rest";
import type { Instance, Service } from "@ui/api/types";

export interface Traffic {
  /** Requests and answers of class 5xx, per second. */
  rate: number;
  errors: number;
  inFlight: number;
  /** Milliseconds; undefined without requests. */
  p50: number | undefined;
  p99: number | undefined;
  instances: ReadonlyMap<string, InstanceTraffic>;
}

export interface InstanceTraffic {
  rate: number;
  inFlight: number;
  ejected: boolean;
  /** This gateway's own checks of an outside process; null for what nobody or its node checks. */
  passing: boolean | null;
  /** Median in milliseconds; undefined without requests. */
  latency: number | undefined;
}

interface Histogram {
  bounds: number[];
  buckets: number[];
}

export interface Figures {
  services?: {
    name: string;
    in_flight: number;
    requests: number;
    status_5xx: number;
    instances: {
      id: string;
      in_flight: number;
      requests: number;
      ejected: boolean;
      passing: boolean | null;
      latency: Histogram;
    }[];
  }[];
}

const POLL_MS = 1_000;
// Rates and percentiles are those of so many polls.
const WINDOW = 10;

interface Sample {
  /** Seconds. */
  at: number;
  figures: Figures;
}

export function useTraffic(): ReadonlyMap<string, Traffic> {
  const [traffic, setTraffic] = useState<ReadonlyMap<string, Traffic>>(new Map());
  useEffect(() => {
    const control = new AbortController();
    const samples: Sample[] = [];
    const poll = async () => {
      try {
        const figures = await get<Figures>("v1/gateway/services", { signal: control.signal });
        samples.push({ at: performance.now() / 1000, figures });
        if (samples.length > WINDOW + 1) samples.shift();
        if (samples.length > 1) setTraffic(between(samples[0]!, samples.at(-1)!));
      } catch {
        // The banner tells when the gateway is gone; the last figures stay.
      }
    };
    void poll();
    const timer = setInterval(() => void poll(), POLL_MS);
    return () => {
      control.abort();
      clearInterval(timer);
    };
  }, []);
  return traffic;
}

/** Instances that get requests: healthy on record, and not failing this gateway's checks. */
export function readyOf({ ready = 0, instances = [] }: Service, traffic: Traffic | undefined): number {
  return ready - instances.filter((instance) => failsChecks(instance, traffic)).length;
}

/** On record it is healthy, since it registered itself as that; this gateway found otherwise. */
export function failsChecks(instance: Instance, traffic: Traffic | undefined): boolean {
  const registered = instance.state === "INSTANCE_STATE_HEALTHY";
  return registered && traffic?.instances.get(instance.id)?.passing === false;
}

/** What happened between two samples. A counter that fell belongs to a new process. */
export function between(old: Sample, now: Sample): Map<string, Traffic> {
  const seconds = Math.max(now.at - old.at, 1e-3);
  const before = new Map((old.figures.services ?? []).map((one) => [one.name, one]));
  const found = new Map<string, Traffic>();
  for (const service of now.figures.services ?? []) {
    const past = before.get(service.name);
    const pastInstances = new Map((past?.instances ?? []).map((one) => [one.id, one]));
    const instances = new Map<string, InstanceTraffic>();
    let sum: Histogram | undefined;
    for (const instance of service.instances) {
      const was = pastInstances.get(instance.id);
      const latency = since(was?.latency, instance.latency);
      sum = sum ? { ...sum, buckets: sum.buckets.map((n, at) => n + latency.buckets[at]!) } : latency;
      instances.set(instance.id, {
        rate: grown(was?.requests, instance.requests, past !== undefined) / seconds,
        inFlight: instance.in_flight,
        ejected: instance.ejected,
        passing: instance.passing,
        latency: quantileMs(latency, 0.5),
      });
    }
    found.set(service.name, {
      rate: grown(past?.requests, service.requests, past !== undefined) / seconds,
      errors: grown(past?.status_5xx, service.status_5xx, past !== undefined) / seconds,
      inFlight: service.in_flight,
      p50: sum && quantileMs(sum, 0.5),
      p99: sum && quantileMs(sum, 0.99),
      instances,
    });
  }
  return found;
}

function grown(old: number | undefined, now: number, known: boolean): number {
  if (old === undefined) return known ? now : 0;
  return now >= old ? now - old : now;
}

function since(old: Histogram | undefined, now: Histogram): Histogram {
  if (!old || old.buckets.some((count, at) => count > now.buckets[at]!)) return now;
  return { bounds: now.bounds, buckets: now.buckets.map((n, at) => n - old.buckets[at]!) };
}

/** Interpolated within its bucket; undefined when the histogram is empty. */
export function quantileMs({ bounds, buckets }: Histogram, share: number): number | undefined {
  const count = buckets.reduce((sum, n) => sum + n, 0);
  if (!count) return undefined;
  const rank = share * count;
  let below = 0;
  for (let at = 0; at < buckets.length; at += 1) {
    const size = buckets[at]!;
    if (size && below + size >= rank) {
      const low = at ? bounds[at - 1]! : 0;
      const high = bounds[at] ?? bounds.at(-1)!;
      return (low + ((high - low) * (rank - below)) / size) * 1000;
    }
    below += size;
  }
  return bounds.at(-1)! * 1000;
}
