// The form that submits a task: a command or a Python function.

import { useState } from "preact/hooks";
import { createTask } from "@ui/api/actions";
import { useMay } from "@ui/api/caller";
import { pulse } from "@ui/api/store";
import type { Task, TaskSpec } from "@ui/api/types";
import { instant } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Field, FormDialog } from "@ui/parts/dialog";
import { Segments } from "@ui/parts/segments";
import { tell } from "@ui/parts/toasts";
import { taskName } from "@ui/views/task/names";
import { KeyFields } from "@ui/views/tasks/key-fields";
import { OptionFields, ProcessFields, WorkFields } from "@ui/views/tasks/option-fields";
import { KINDS, specOf, type Kind } from "@ui/views/tasks/spec";

interface SubmitProps {
  queues: string[];
  queue: string;
  onClose: () => void;
  onSubmitted: (id: string) => void;
}

export function SubmitDialog({ queues, queue, onClose, onSubmitted }: SubmitProps) {
  const [kind, setKind] = useState<Kind>("command");
  const may = useMay();
  // The queue that is looked at may not have been told yet: it is offered all the same.
  const names = [...new Set(["default", ...(queue ? [queue] : []), ...queues])].sort();
  const submit = async (data: FormData) => {
    const spec = specOf(kind, (name) => String(data.get(name) ?? ""));
    const since = instant(pulse.value?.time);
    const { task } = await createTask(String(data.get("queue")), spec);
    const link = { href: href("tasks", task.id), text: "Open" };
    tell(submitted(task, spec, since), { link });
    onSubmitted(task.id);
  };
  return (
    <FormDialog title="Submit a task" submit="Submit" wide onClose={onClose} onSubmit={submit}>
      <Segments label="What to run" options={KINDS} value={kind} onChange={setKind} />
      <WorkFields kind={kind} />
      <div class="fields">
        <Field label="Queue" of={["queue", "QUEUE_NOT_FOUND", "QUEUE_FULL", "TASKS_PAUSED"]}>
          <select name="queue" defaultValue={queue || "default"}>
            {names.map((name) => (
              <option key={name} selected={name === (queue || "default")}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Name (optional)" of="spec.name">
          <input name="name" maxLength={128} autocomplete="off" />
        </Field>
      </div>
      <details>
        <summary>More options</summary>
        <OptionFields />
        {kind === "command" && <ProcessFields />}
      </details>
      <details>
        <summary>Keys and limits</summary>
        <KeyFields offered={may("limits.read")} />
      </details>
    </FormDialog>
  );
}

/** What became of it: a unique key may have been another task's. */
function submitted(task: Task, { unique, ...spec }: TaskSpec, since: number): string {
  // Clocks of one cluster differ by less than a second.
  if (unique && instant(task.createTime) < since - 1_000) {
    return `A task has the unique key “${unique.key}”: nothing was submitted.`;
  }
  return `${taskName({ ...task, spec })} was submitted.`;
}
