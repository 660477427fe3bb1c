// The keys and shared limits of a task as people write them. Pure.

import type { TaskSpec } from "@ui/api/types";
import { DAY, duration, durationText, Unreadable } from "@ui/lib/words";

export const MOST_KEY = 256;
export const MOST_LIMITS = 16;
const MOST_WINDOW = 31 * DAY;
const LIMIT_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

export const CONFLICTS = [
  { value: "UNIQUE_CONFLICT_RETURN_EXISTING", label: "Return that task" },
  { value: "UNIQUE_CONFLICT_REJECT", label: "Refuse the new one" },
  { value: "UNIQUE_CONFLICT_REPLACE", label: "Replace that task" },
] as const;

type Keys = Pick<TaskSpec, "unique" | "orderingKey" | "fairnessKey" | "limitKey" | "limits">;

/** The fields of a form as the keys of a spec. Throws Unreadable. */
export function keysOf(read: (name: string) => string): Keys {
  const keys: Keys = {};
  const key = read("uniqueKey").trim();
  const window = duration(read("uniqueFor"), "Unique for", { least: 1, most: MOST_WINDOW });
  if (window && !key) throw new Unreadable("“Unique for” needs a key.", "Unique key");
  if (key) {
    const onConflict = read("onConflict");
    keys.unique = { key, ...(onConflict && { onConflict }), ...(window && { window }) };
  }
  for (const name of ["orderingKey", "fairnessKey", "limitKey"] as const) {
    const text = read(name).trim();
    if (text) keys[name] = text;
  }
  const limits = limitNames(read("limits"));
  if (limits.length > MOST_LIMITS) {
    throw new Unreadable(`${limits.length} are named; a task has at most ${MOST_LIMITS}.`, "Shared limits");
  }
  const bad = limits.find((name) => !LIMIT_NAME.test(name));
  if (bad) throw new Unreadable(`“${bad}” is not the name of a limit.`, "Shared limits");
  if (limits.length) keys.limits = limits;
  return keys;
}

/** Names between commas and spaces, each once. */
export const limitNames = (text: string): string[] => [...new Set(text.split(/[\s,]+/).filter(Boolean))];

/** The keys of a spec as the fields of a form. */
export const keyTexts = (spec: TaskSpec): Record<string, string> => ({
  uniqueKey: spec.unique?.key ?? "",
  onConflict: spec.unique?.onConflict ?? CONFLICTS[0].value,
  uniqueFor: durationText(spec.unique?.window),
  orderingKey: spec.orderingKey ?? "",
  fairnessKey: spec.fairnessKey ?? "",
  limitKey: spec.limitKey ?? "",
  limits: (spec.limits ?? []).join(", "),
});
