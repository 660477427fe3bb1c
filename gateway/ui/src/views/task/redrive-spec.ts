// A spec as the fields of a form, and the form as a spec: what is left as it was stays, also what no field shows. Pure.

import type { Task, TaskSpec } from "@ui/api/types";
import { hookText } from "@ui/lib/hooks";
import { keyTexts } from "@ui/lib/keys";
import { escaped, visible } from "@ui/lib/visible";
import { durationText, joinWords, textOf, Unreadable } from "@ui/lib/words";
import { argumentsOf, functionOf, optionsOf, workOf, type Kind } from "@ui/views/tasks/spec";

export type Texts = Record<string, string>;
type Read = (name: string) => string;

export const kindOf = (spec: TaskSpec): Kind => (spec.python ? "python" : "command");

/** Whether its arguments can be typed: a pickle cannot. */
export const hasTypedArguments = ({ python }: TaskSpec): boolean => Boolean(python) && !python!.pickle;

/** Lines that `pairs` reads back; undefined where it would not. */
function lines(values: Record<string, string> = {}): string | undefined {
  const entries = Object.entries(values);
  const plain = entries.every(([key, value]) => !/[\r\n]/.test(key + value) && key === key.trim() && value === value.trim());
  return plain ? entries.map(([key, value]) => `${key}=${value}`).join("\n") : undefined;
}

/** The fields of the form. One that is left out cannot be edited there. */
export function redriveTexts(spec: TaskSpec): Texts {
  const { command, python, hooks } = spec;
  const texts: Record<string, string | undefined> = {
    name: spec.name ?? "",
    labels: lines(spec.labels),
    priority: spec.priority ? String(spec.priority) : "",
    attempts: spec.retry?.maxAttempts ? String(spec.retry.maxAttempts) : "",
    timeout: durationText(spec.timeout),
    startDeadline: durationText(spec.startDeadline),
    delay: "",
    setup: hooks?.setup ? hookText(hooks.setup) : "",
    cleanup: hooks?.cleanup ? hookText(hooks.cleanup) : "",
    ...keyTexts(spec),
  };
  if (command) {
    texts.command = joinWords(command.argv ?? []);
    texts.env = lines(command.env);
    texts.stdin = spec.payloadBlob ? undefined : textOf(command.stdin ?? "");
  }
  if (python) {
    texts.entrypoint = python.entrypoint ?? "";
    if (hasTypedArguments(spec)) texts.arguments = python.json ?? "";
  }
  return Object.fromEntries(
    Object.entries(texts).flatMap(([name, text]) => (text === undefined ? [] : [[name, visible(text)]])),
  );
}

/** Fields of the form, and how the spec takes over what they are in `made`. */
const PARTS: readonly [string[], (spec: TaskSpec, made: TaskSpec) => void][] = [
  ...(["name", "labels", "priority", "timeout", "startDeadline"] as const).map(
    (name): [string[], (spec: TaskSpec, made: TaskSpec) => void] => [[name], (spec, made) => take(spec, made, name)],
  ),
  [["delay"], (spec, made) => take(spec, made, "notBefore")],
  [
    ["attempts"],
    (spec, made) => {
      spec.retry = { ...spec.retry, maxAttempts: made.retry?.maxAttempts ?? 0 };
    },
  ],
  [["setup"], (spec, made) => hook(spec, made, "setup")],
  [["cleanup"], (spec, made) => hook(spec, made, "cleanup")],
  [["uniqueKey", "onConflict", "uniqueFor"], (spec, made) => take(spec, made, "unique")],
  ...(["orderingKey", "fairnessKey", "limitKey", "limits"] as const).map(
    (name): [string[], (spec: TaskSpec, made: TaskSpec) => void] => [[name], (spec, made) => take(spec, made, name)],
  ),
];

function take(spec: TaskSpec, made: TaskSpec, name: keyof TaskSpec): void {
  if (made[name] === undefined) delete spec[name];
  else Object.assign(spec, { [name]: made[name] });
}

function hook(spec: TaskSpec, made: TaskSpec, name: "setup" | "cleanup"): void {
  const hooks = { ...spec.hooks };
  const wanted = made.hooks?.[name];
  if (wanted) hooks[name] = { ...wanted, ...(hooks[name]?.timeout && { timeout: hooks[name].timeout }) };
  else delete hooks[name];
  if (hooks.setup || hooks.cleanup) spec.hooks = hooks;
  else delete spec.hooks;
}

/** The spec with what differs in the form from what it began with. Throws Unreadable. */
export function redriveSpec(old: TaskSpec, before: Texts, read: Read): TaskSpec {
  const spec = structuredClone(old);
  const differs = (name: string) => name in before && read(name).trim() !== before[name]!.trim();
  // What is not edited is not read: what a form cannot show would be refused.
  const made = optionsOf((name) => (differs(name) || name in KEEPS ? read(name) : ""));
  for (const [names, takeOver] of PARTS) if (names.some(differs)) takeOver(spec, made);
  if (spec.command) {
    const work = workOf("command", (name) => (name === "command" || differs(name) ? read(name) : "")).command!;
    if (differs("command")) spec.command.argv = work.argv!;
    if (differs("env")) spec.command.env = work.env ?? {};
    // Spaces of standard input count.
    if ("stdin" in before && read("stdin") !== before.stdin) {
      spec.command.stdin = workOf("command", (name) => (name === "env" ? "" : read(name))).command!.stdin ?? "";
    }
  }
  if (spec.python) {
    if (differs("entrypoint")) spec.python.entrypoint = functionOf(read("entrypoint"));
    if (differs("arguments")) {
      spec.python.json = argumentsOf(read("arguments"));
      delete spec.payloadBlob;
    }
  }
  return spec;
}

/** Read together with others of their part. */
const KEEPS: Record<string, true> = { uniqueKey: true, onConflict: true, uniqueFor: true };

/** The spec as a text to edit. */
export const specText = (spec: TaskSpec): string => escaped(JSON.stringify(spec, null, 2));

/** A spec that was edited as a text. Throws Unreadable. */
export function readSpec(text: string): TaskSpec {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Unreadable(`it is not JSON: ${(error as Error).message}.`, SPEC);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Unreadable("it is not an object in JSON.", SPEC);
  }
  return value as TaskSpec;
}

export const SPEC = "Specification (JSON)";

/** Whether it can be run again with another spec: subtasks and replicas cannot. */
export const canRedrive = (task: Task): boolean => !task.id.includes(".") && !task.spec?.service;
