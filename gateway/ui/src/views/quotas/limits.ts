// The limits of a quota: what each is called, how it is written, and how a form is read. Pure.

import type { Caller, Int64, Quota, QuotaLimits } from "@ui/api/types";
import { bytes, count, num } from "@ui/lib/format";
import { sizeInBytes, Unreadable } from "@ui/lib/words";

export type LimitName = keyof QuotaLimits;
export type Kind = "caller" | "queue";

export interface Limit {
  name: LimitName;
  /** The column's. */
  title: string;
  /** The field's. */
  label: string;
  /** Queues have it too. */
  ofQueues: boolean;
}

export const LIMITS: readonly Limit[] = [
  { name: "liveTasks", title: "Live tasks", label: "Tasks that are not finished", ofQueues: true },
  { name: "storedBytes", title: "Stored", label: "Bytes on record", ofQueues: true },
  { name: "blobBytes", title: "Large values", label: "Bytes of large values", ofQueues: true },
  { name: "requestsPerSecond", title: "Calls/s", label: "Calls per second", ofQueues: false },
  { name: "openWatches", title: "Watches", label: "Open watches", ofQueues: false },
  { name: "openWaits", title: "Waits", label: "Calls that wait for a task", ofQueues: false },
  { name: "openStreams", title: "Streams", label: "Other open streams", ofQueues: false },
];

/** Whom a quota is for that has none of its own. */
export const EVERYBODY = "*";
const UNLIMITED = "unlimited";

const isBytes = (name: LimitName): boolean => name === "storedBytes" || name === "blobBytes";

export const kindOf = (quota: Quota): Kind => (quota.caller ? "caller" : "queue");
export const nameOf = (quota: Quota): string => quota.caller || quota.queue || "";
export const keyOf = (quota: Quota): string => `${kindOf(quota)}/${nameOf(quota)}`;

/** "the caller submitter:ci", "every other queue" */
export function subject(kind: Kind, name: string): string {
  return name === EVERYBODY ? `every other ${kind}` : `the ${kind} ${name}`;
}

export const isSet = (quota: Quota): boolean =>
  Object.values(quota.limits ?? {}).some((value) => value !== undefined);

export function amount(name: LimitName, value: Int64 | undefined): string {
  return isBytes(name) ? bytes(value) : count(value);
}

export function limitText(name: LimitName, value: Int64 | undefined): string {
  return num(value) < 0 ? UNLIMITED : amount(name, value);
}

/** How much of a limit is used, from 0 to 1 and beyond; undefined where it cannot be full. */
export function shareOf(quota: Quota, name: LimitName): number | undefined {
  const most = quota.inForce?.[name];
  const used = quota.usage?.[name];
  if (most === undefined || used === undefined || num(most) < 0) return undefined;
  return num(most) === 0 ? 1 : num(used) / num(most);
}

/** What a field shows of a limit that is set: what `readLimit` reads back. */
export function fieldText(name: LimitName, value: Int64 | undefined): string {
  if (value === undefined) return "";
  if (num(value) < 0) return UNLIMITED;
  if (!isBytes(name) || num(value) === 0) return String(value);
  for (const [unit, size] of [["G", 2 ** 30], ["M", 2 ** 20], ["K", 2 ** 10]] as const) {
    if (num(value) % size === 0) return `${num(value) / size}${unit}`;
  }
  return String(value);
}

/** A field as a limit; undefined: the default. Throws Unreadable. */
export function readLimit({ name, label }: Limit, text: string): string | undefined {
  const typed = text.trim().toLowerCase();
  if (typed === "" || typed === "default") return undefined;
  if (typed === UNLIMITED) return "-1";
  if (isBytes(name)) return String(sizeInBytes(typed, label));
  const digits = typed.replaceAll(",", "");
  if (!/^\d{1,15}$/.test(digits)) {
    throw new Unreadable(`“${text.trim()}” is neither a whole number nor “${UNLIMITED}”.`, label);
  }
  return String(Number(digits));
}

/** The form as a Quota. Throws Unreadable. */
export function quotaOf(kind: Kind, name: string, read: (field: string) => string): Quota {
  const limits: QuotaLimits = {};
  for (const limit of LIMITS) {
    if (kind === "queue" && !limit.ofQueues) continue;
    const value = readLimit(limit, read(limit.name));
    if (value !== undefined) limits[limit.name] = value;
  }
  return { [kind]: name, limits };
}

/** Whether somebody may set quotas. A cluster of an earlier version does not say: it will refuse. */
export function maySet(caller: Caller | undefined): boolean {
  if (!caller?.name) return true;
  return (caller.permissions ?? []).includes("quotas.write") && !caller.patterns?.length;
}
