// A form as the spec of a task: what runs, and its options. Pure.

import type { TaskSpec } from "@ui/api/types";
import { hookOf } from "@ui/lib/hooks";
import { keysOf } from "@ui/lib/keys";
import { base64, DAY, duration, pairs, splitWords, Unreadable, whole } from "@ui/lib/words";

export type Kind = "command" | "python";
export const KINDS: { value: Kind; label: string }[] = [
  { value: "command", label: "Command" },
  { value: "python", label: "Python function" },
];

type Read = (name: string) => string;

/** Seconds: the longest run of an attempt, and how far ahead a start may be. */
const MOST_TIMEOUT = 30 * DAY;
const MOST_AHEAD = 366 * DAY;

/** The form as a TaskSpec. Throws Unreadable with a sentence. */
export const specOf = (kind: Kind, read: Read, now = Date.now()): TaskSpec => ({
  ...workOf(kind, read),
  ...optionsOf(read, now),
});

/** What is to run. Throws Unreadable. */
export const workOf = (kind: Kind, read: Read): TaskSpec => (kind === "command" ? commandOf(read) : pythonOf(read));

/** Everything but what is to run. Throws Unreadable. */
export function optionsOf(read: Read, now = Date.now()): TaskSpec {
  const spec: TaskSpec = {};
  const name = read("name").trim();
  if (name) spec.name = name;
  const labels = pairs(read("labels"), "Labels");
  if (Object.keys(labels).length) spec.labels = labels;
  const priority = whole(read("priority"), "Priority", -1000, 1000);
  if (priority !== undefined) spec.priority = priority;
  const maxAttempts = whole(read("attempts"), "Attempts", 1, 1000);
  if (maxAttempts !== undefined) spec.retry = { maxAttempts };
  const timeout = duration(read("timeout"), "Timeout of an attempt", { most: MOST_TIMEOUT });
  if (timeout) spec.timeout = timeout;
  const deadline = duration(read("startDeadline"), "Must start within", { most: MOST_AHEAD });
  if (deadline) spec.startDeadline = deadline;
  const setup = hookOf(read("setup"), "Set-up");
  const cleanup = hookOf(read("cleanup"), "Clean-up");
  if (setup || cleanup) spec.hooks = { ...(setup && { setup }), ...(cleanup && { cleanup }) };
  const delay = duration(read("delay"), "Start in", { most: MOST_AHEAD });
  if (delay) spec.notBefore = new Date(now + Number.parseFloat(delay) * 1000).toISOString();
  return { ...spec, ...keysOf(read) };
}

function commandOf(read: Read): TaskSpec {
  const argv = splitWords(read("command"));
  if (!argv.length) throw new Unreadable("it is empty.", "Command line");
  const env = pairs(read("env"), "Environment");
  const stdin = read("stdin");
  return {
    command: {
      argv,
      ...(Object.keys(env).length ? { env } : {}),
      ...(stdin ? { stdin: base64(stdin) } : {}),
    },
  };
}

function pythonOf(read: Read): TaskSpec {
  const entrypoint = functionOf(read("entrypoint"));
  // Also without arguments: the result is JSON, readable here, only when they are JSON.
  return { python: { entrypoint, json: argumentsOf(read("arguments")) } };
}

/** A function by its name. Throws Unreadable. */
export function functionOf(text: string): string {
  const entrypoint = text.trim();
  if (!/^[\w.]+:[\w.]+$/.test(entrypoint)) throw new Unreadable(`“${entrypoint}” is not module:name.`, "Function");
  return entrypoint;
}

/** Arguments in JSON. Throws Unreadable. */
export function argumentsOf(text: string): string {
  const json = text.trim() || "[]";
  try {
    JSON.parse(json);
  } catch (error) {
    throw new Unreadable(`it is not JSON: ${(error as Error).message}.`, "Arguments (JSON)");
  }
  return json;
}
