// Numbers, sizes, durations and instants for people. Pure: `now` is an argument.

import type { Task } from "@ui/api/types";

const counts = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** protobuf's JSON has int64 as strings and leaves zeros out. */
export function num(value: string | number | undefined | null): number {
  if (value === undefined || value === null || value === "") return 0;
  return Number(value);
}

/** 12345 -> "12,345" */
export function count(value: string | number | undefined | null): string {
  return counts.format(num(value));
}

/** 12345 -> "12.3k": where there is room for five characters only. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${trim(value / 1e9)}G`;
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e4) return `${trim(value / 1e3)}k`;
  if (size >= 100 || Number.isInteger(value)) return counts.format(value);
  return trim(value);
}

function trim(value: number): string {
  const size = Math.abs(value);
  const text = size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Per second. */
export function rate(value: number): string {
  if (value > 0 && value < 0.01) return "<0.01";
  return short(value);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes. */
export function bytes(value: string | number | undefined | null): string {
  let left = num(value);
  let unit = 0;
  while (left >= 1024 && unit < UNITS.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? left : trim(left)} ${UNITS[unit]}`;
}

/** 0.42 -> "42 %" */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Milliseconds: "3 ms", "1.2 s", "4 min 10 s", "3 h 5 min", "2 d 4 h". */
export function span(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  const value = Math.max(0, ms);
  if (value < 1) return value === 0 ? "0 ms" : `${trim(value)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 59_950) return `${trim(Math.round(value / 100) / 10)} s`;
  const seconds = Math.round(value / 1000);
  if (seconds < 3600) return join(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return join(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.floor(minutes / 60);
  return join(Math.floor(hours / 24), "d", hours % 24, "h");
}

function join(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** A protobuf Timestamp in JSON as milliseconds; NaN when unset. */
export function instant(text: string | undefined | null): number {
  return text ? Date.parse(text) : Number.NaN;
}

/** "just now", "12 s ago", "5 min ago", "3 h ago", "2 d ago"; "in 5 s" for what lies ahead. */
export function ago(text: string | undefined | null, now: number): string {
  const at = instant(text);
  if (Number.isNaN(at)) return "–";
  const past = now - at;
  if (past < -1500) return `in ${coarse(-past)}`;
  if (past < 1500) return "just now";
  return `${coarse(past)} ago`;
}

/** One unit only. */
export function coarse(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A protobuf Duration in JSON ("1.5s") as milliseconds; NaN when unset. */
export function durationMs(text: string | undefined | null): number {
  return text ? Number.parseFloat(text) * 1000 : Number.NaN;
}

/** "2026-03-01 14:05:09.123", local time. */
export function clock(text: string | undefined | null): string {
  const at = instant(text);
  if (Number.isNaN(at)) return "–";
  const date = new Date(at);
  const pad = (value: number, width = 2) => String(value).padStart(width, "0");
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return `${day} ${time}.${pad(date.getMilliseconds(), 3)}`;
}

/** "2026-03-01 14:05", local time; with seconds where there are some. */
export const minute = (text: string | undefined | null): string => clock(text).slice(0, 19).replace(/:00$/, "");

/** "TASK_STATE_RUNNING" -> "running" */
export function plain(value: string | undefined, prefix: string): string {
  if (!value) return "";
  return value.replace(prefix, "").replaceAll("_", " ").toLowerCase();
}

/** Whether it waits because its last attempt asked to run again later. */
export const isSnoozed = ({ state, attempts }: Task): boolean =>
  state === "TASK_STATE_SCHEDULED" && attempts?.at(-1)?.error?.type === "SNOOZED";

/** A task's state for people: "assigned" is running on the wire, but its attempt has not started. */
export function shownState(task: Task): string {
  const started = task.attempts?.at(-1)?.startTime;
  if (task.suspended) return "suspended";
  if (isSnoozed(task)) return "snoozed";
  return task.state === "TASK_STATE_RUNNING" && !started ? "assigned" : plain(task.state, "TASK_STATE_");
}

/** "1 node", "2 nodes" */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** The last 8 digits: the first ones of a UUIDv7 are its time, alike in neighbours. */
export function shortId(id: string): string {
  return id.length > 12 ? `…${id.slice(-8)}` : id;
}
