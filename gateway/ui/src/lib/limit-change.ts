// Keys and shared limits of a task that waits, as people change them. Pure.

import type { TaskSpec } from "@ui/api/types";
import { Unreadable } from "@ui/lib/words";

export const MOST_KEY = 256;
const MOST_LIMITS = 16;
const LIMIT_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** What can be changed, and the labels of its fields. */
export const CHANGEABLE = {
  orderingKey: "Ordering key",
  fairnessKey: "Fairness key",
  limitKey: "Limit key",
  limits: "Shared limits",
} as const;
export type Changeable = keyof typeof CHANGEABLE;
export const CHANGEABLE_NAMES = Object.keys(CHANGEABLE) as Changeable[];
type Limits = Pick<TaskSpec, Changeable>;

/** The name of the check box that says that a key, or all shared limits, are removed. */
export const removes = (name: Changeable): string => `remove-${name}`;

/** The keys and limits of a task as the fields of a form. */
export const limitTexts = (spec: TaskSpec = {}): Record<Changeable, string> => ({
  orderingKey: spec.orderingKey ?? "",
  fairnessKey: spec.fairnessKey ?? "",
  limitKey: spec.limitKey ?? "",
  limits: (spec.limits ?? []).join(", "),
});

/** Names between commas and spaces, each once. */
const namesOf = (text: string): string[] => [...new Set(text.split(/[\s,]+/).filter(Boolean))];

/**
 * What differs in a form from the keys and limits of `before`, and its paths below the task. A box that is checked
 * removes what is there. Throws Unreadable.
 */
export function limitChange(before: TaskSpec, read: (name: string) => string): { spec: Limits; paths: string[] } {
  const old = limitTexts(before);
  const shown = (name: Changeable, text: string) =>
    // A field of one line has no line ends.
    name === "limits" ? namesOf(text).join(" ") : text.replace(/[\r\n]/g, "").trim();
  const spec: Limits = {};
  const paths: string[] = [];
  for (const name of CHANGEABLE_NAMES) {
    const text = shown(name, read(name));
    const removed = read(removes(name));
    if (removed && text) {
      throw new Unreadable(`${CHANGEABLE[name]}: leave the field empty, or do not remove what is there.`);
    }
    if (!removed && text === shown(name, old[name])) continue;
    paths.push(`spec.${name}`);
    if (!text) continue;
    if (name === "limits") spec.limits = limitsOf(text);
    else spec[name] = text;
  }
  return { spec, paths };
}

function limitsOf(text: string): string[] {
  const names = namesOf(text);
  if (names.length > MOST_LIMITS) {
    throw new Unreadable(`Shared limits: ${names.length} are named; a task has at most ${MOST_LIMITS}.`);
  }
  const bad = names.find((name) => !LIMIT_NAME.test(name));
  if (bad) throw new Unreadable(`Shared limits: “${bad}” is not the name of a limit.`);
  return names;
}
