// An array as people type it: what runs, how often, and on which items. Pure.

import type { JobSpec } from "@ui/api/jobs";
import type { TaskSpec } from "@ui/api/types";
import { base64, Unreadable } from "@ui/lib/words";
import { specOf, type Kind } from "@ui/views/tasks/spec";

/** Where the subtasks come from: a range of numbers, or lines. */
export type Source = "count" | "items";
type Read = (name: string) => string;

/** Subtasks of one job, and bytes of all items in one call: limits of the cluster. */
const MOST_SUBTASKS = 10_000_000;
const MOST_BYTES = 16 * 2 ** 20;

/** The form as a JobSpec. Throws Unreadable with a sentence. */
export function arrayOf(kind: Kind, source: Source, read: Read, checked: Read): JobSpec {
  const template = templateOf(specOf(kind, read));
  const spec: JobSpec = { template };
  const name = read("name").trim();
  if (name) spec.name = name;
  if (template.labels) spec.labels = template.labels;
  if (source === "count") {
    spec.count = whole(read("count"), "Subtasks", 0, MOST_SUBTASKS);
    const first = read("first").trim();
    if (first) spec.firstIndex = whole(first, "First index", 0);
  } else {
    const items = itemsOf(read("items"), template, Boolean(checked("json")));
    if (items.length) spec.items = items;
    if (checked("open")) spec.open = true;
    else if (!items.length) throw new Unreadable("Items: type one on each line, or keep the job open.");
  }
  const parallel = read("parallel").trim();
  if (parallel) spec.maxParallel = whole(parallel, "At once", 1);
  const failures = read("failures").trim();
  if (failures) spec.maxFailures = whole(failures, "Failures", 0);
  const reduce = reduceOf(read);
  if (reduce) spec.reduce = reduce;
  return spec;
}

/** Arguments as an object: those of an array follow the item. */
function templateOf(spec: TaskSpec): TaskSpec {
  if (!spec.python?.json) return spec;
  return { ...spec, python: { ...spec.python, json: argumentsOf(spec.python.json) } };
}

function argumentsOf(json: string): string {
  const value: unknown = JSON.parse(json);
  if (Array.isArray(value)) return `{"args":${json},"kwargs":{}}`;
  if (typeof value === "object" && value !== null) {
    if (Object.keys(value).every((key) => key === "args" || key === "kwargs")) return json;
  }
  throw new Unreadable('The arguments are neither a list nor {"args": [...], "kwargs": {...}}.');
}

function reduceOf(read: Read): JobSpec["reduce"] {
  const entrypoint = read("reduce").trim();
  const fanIn = read("fanIn").trim();
  if (!entrypoint) {
    if (fanIn) throw new Unreadable("Fan-in is of a reduce: name its function.");
    return undefined;
  }
  if (!/^[\w.]+:[\w.]+$/.test(entrypoint)) {
    throw new Unreadable(`“${entrypoint}” is not module:name.`, "Reduce");
  }
  const template: TaskSpec = { python: { entrypoint, json: '{"args":[],"kwargs":{}}' } };
  return fanIn ? { template, fanIn: whole(fanIn, "Fan-in", 2, MOST_SUBTASKS) } : { template };
}

/**
 * Lines as the items of a job, in base64. A program gets the line itself, a function the line as a string or,
 * with `asJson`, the value that it is.
 */
export function itemsOf(text: string, template: TaskSpec | undefined, asJson: boolean): string[] {
  const lines = text.split(/\r?\n/);
  // What stands behind the last line's end is no line.
  if (lines.at(-1) === "") lines.pop();
  let size = 0;
  return lines.map((line, at) => {
    let item = line;
    if (template?.python) {
      item = asJson ? line.trim() : JSON.stringify(line);
      if (asJson) {
        try {
          JSON.parse(item);
        } catch {
          throw new Unreadable(`line ${at + 1}, “${line.slice(0, 40)}”, is not JSON.`, "Items");
        }
      }
    }
    const encoded = base64(item);
    size += encoded.length;
    if (size > MOST_BYTES) {
      throw new Unreadable("The items are more than 12 MiB: submit them from a file, with quorate submit.");
    }
    return encoded;
  });
}

/** Whether items can be typed for it: those of a function with pickled arguments cannot. */
export const takesLines = (template: TaskSpec | undefined): boolean =>
  Boolean(template?.command || template?.python?.json !== undefined);

function whole(text: string, label: string, least: number, most = Number.MAX_SAFE_INTEGER): string {
  const typed = text.trim().replaceAll(",", "");
  if (!/^\d{1,16}$/.test(typed) || Number(typed) < least || Number(typed) > most) {
    const bound = most < Number.MAX_SAFE_INTEGER ? `${least} to ${most}` : `at least ${least}`;
    throw new Unreadable(`“${text.trim()}” is not a whole number of ${bound}.`, label);
  }
  return typed;
}
