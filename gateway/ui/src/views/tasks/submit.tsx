// The form that submits a task: a command or a Python function.

import { useState } from "preact/hooks";
import { createTask } from "@ui/api/actions";
import type { TaskSpec } from "@ui/api/types";
import { hookOf } from "@ui/lib/hooks";
import { href } from "@ui/lib/router";
import { base64, duration, pairs, splitWords, Unreadable } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { Segments } from "@ui/parts/segments";
import { tell } from "@ui/parts/toasts";
import { taskName } from "@ui/views/task/names";

export type Kind = "command" | "python";
export const KINDS: { value: Kind; label: string }[] = [
  { value: "command", label: "Command" },
  { value: "python", label: "Python function" },
];

interface SubmitProps {
  queues: string[];
  queue: string;
  onClose: () => void;
  onSubmitted: (id: string) => void;
}

export function SubmitDialog({ queues, queue, onClose, onSubmitted }: SubmitProps) {
  const [kind, setKind] = useState<Kind>("command");
  const names = [...new Set(["default", ...queues])].sort();
  const submit = async (data: FormData) => {
    const spec = specOf(kind, (name) => String(data.get(name) ?? ""));
    const { task } = await createTask(String(data.get("queue")), spec);
    tell(`${taskName({ ...task, spec })} was submitted.`, {
      link: { href: href("tasks", task.id), text: "Open" },
    });
    onSubmitted(task.id);
  };
  return (
    <FormDialog title="Submit a task" submit="Submit" wide onClose={onClose} onSubmit={submit}>
      <Segments label="What to run" options={KINDS} value={kind} onChange={setKind} />
      <WorkFields kind={kind} />
      <div class="fields">
        <Field label="Queue">
          <select name="queue" defaultValue={queue || "default"}>
            {names.map((name) => (
              <option key={name} selected={name === (queue || "default")}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Name (optional)">
          <input name="name" maxLength={128} />
        </Field>
      </div>
      <details>
        <summary>More options</summary>
        <div class="fields">
          <Field label="Priority" hint="Higher goes first.">
            <input name="priority" type="number" min={-1000} max={1000} placeholder="0" />
          </Field>
          <Field label="Attempts">
            <input name="attempts" type="number" min={1} max={1000} placeholder="1" />
          </Field>
          <Field label="Timeout of an attempt">
            <input name="timeout" placeholder="none; such as 30s or 5m" />
          </Field>
          <Field label="Start in">
            <input name="delay" placeholder="now; such as 10m" />
          </Field>
          <Field label="Must start within">
            <input name="startDeadline" placeholder="no limit; such as 10m" />
          </Field>
        </div>
        <div class="fields">
          <Field label="Set-up" hint="Runs before each attempt.">
            <input name="setup" class="mono" placeholder="mkdir -p data, or module:function" autocomplete="off" />
          </Field>
          <Field label="Clean-up" hint="Runs after each attempt, however it ended.">
            <input name="cleanup" class="mono" placeholder="rm -r data, or module:function" autocomplete="off" />
          </Field>
        </div>
        <Field label="Labels" hint="One key=value on each line.">
          <textarea name="labels" class="mono" rows={2} placeholder="team=mail" />
        </Field>
        {kind === "command" && (
          <>
            <Field label="Environment" hint="One NAME=value on each line.">
              <textarea name="env" class="mono" rows={2} />
            </Field>
            <Field label="Standard input">
              <textarea name="stdin" class="mono" rows={2} />
            </Field>
          </>
        )}
      </details>
    </FormDialog>
  );
}

interface WorkProps {
  kind: Kind;
  /** Of the command line, and of the function. */
  commandHint?: string;
  functionHint?: string;
}

/** What is to run: a command line, or a function with its arguments. */
export function WorkFields({
  kind,
  commandHint = "Split like a shell does; not given to one.",
  functionHint = "Importable on the nodes, as module:name.",
}: WorkProps) {
  return kind === "command" ? (
    <Field label="Command line" hint={commandHint}>
      <input name="command" class="mono" placeholder="echo hello" autofocus required />
    </Field>
  ) : (
    <>
      <Field label="Function" hint={functionHint}>
        <input name="entrypoint" class="mono" placeholder="math:hypot" autofocus required />
      </Field>
      <Field
        label="Arguments (JSON)"
        hint={
          <>
            A list, or <code>{'{"args": [...], "kwargs": {...}}'}</code>.
          </>
        }
      >
        <textarea name="arguments" class="mono" rows={3} placeholder="[3, 4]" />
      </Field>
    </>
  );
}

/** The form as a TaskSpec. Throws Unreadable with a sentence. */
export function specOf(kind: Kind, read: (name: string) => string, now = Date.now()): TaskSpec {
  const spec: TaskSpec = kind === "command" ? commandOf(read) : pythonOf(read);
  const name = read("name").trim();
  if (name) spec.name = name;
  const labels = pairs(read("labels"), "Labels");
  if (Object.keys(labels).length) spec.labels = labels;
  if (read("priority")) spec.priority = Number(read("priority"));
  if (read("attempts")) spec.retry = { maxAttempts: Number(read("attempts")) };
  const timeout = duration(read("timeout"), "Timeout");
  if (timeout) spec.timeout = timeout;
  const deadline = duration(read("startDeadline"), "Must start within");
  if (deadline) spec.startDeadline = deadline;
  const setup = hookOf(read("setup"), "Set-up");
  const cleanup = hookOf(read("cleanup"), "Clean-up");
  if (setup || cleanup) spec.hooks = { ...(setup && { setup }), ...(cleanup && { cleanup }) };
  const delay = duration(read("delay"), "Start in");
  if (delay) spec.notBefore = new Date(now + Number.parseFloat(delay) * 1000).toISOString();
  return spec;
}

function commandOf(read: (name: string) => string): TaskSpec {
  const argv = splitWords(read("command"));
  if (!argv.length) throw new Unreadable("The command line is empty.");
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

function pythonOf(read: (name: string) => string): TaskSpec {
  const entrypoint = read("entrypoint").trim();
  if (!/^[\w.]+:[\w.]+$/.test(entrypoint)) {
    throw new Unreadable(`“${entrypoint}” is not module:name.`);
  }
  // Also without arguments: the result is JSON, readable here, only when they are JSON.
  const json = read("arguments").trim() || "[]";
  try {
    JSON.parse(json);
  } catch (error) {
    throw new Unreadable(`The arguments are not JSON: ${(error as Error).message}.`);
  }
  return { python: { entrypoint, json } };
}
