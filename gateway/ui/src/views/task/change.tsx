// Changes a task that waits: queue, priority, labels, keys and limits, when it may start, and where.

import { updateTask } from "@ui/api/actions";
import { useQueues } from "@ui/api/store";
import type { Task, TaskSpec } from "@ui/api/types";
import { limitChange, limitTexts } from "@ui/lib/limit-change";
import { placingChange, placingForm } from "@ui/lib/placing";
import { duration, pairs } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { LimitFields } from "@ui/views/task/limit-fields";
import { taskName } from "@ui/views/task/names";
import { PlacingFields, readPlacing } from "@ui/views/task/placing-fields";

interface Props {
  task: Task;
  onClose: () => void;
  onDone: () => void;
}

export const canChange = ({ state }: Task) =>
  ["TASK_STATE_PENDING", "TASK_STATE_SCHEDULED", "TASK_STATE_PAUSED"].includes(state);

export function ChangeDialog({ task, onClose, onDone }: Props) {
  const { priority = 0, labels = {} } = task.spec ?? {};
  const placed = placingForm(task.spec?.placement);
  const queues = [...(useQueues().value?.keys() ?? [task.queue])].sort();
  const submit = async (data: FormData) => {
    const read = (name: string) => String(data.get(name) ?? "").trim();
    const spec: TaskSpec = {
      priority: Number(read("priority") || 0),
      labels: pairs(read("labels"), "Labels"),
    };
    const paths = ["spec.priority", "spec.labels"];
    const delay = duration(read("delay"), "Start in");
    if (delay) spec.notBefore = new Date(Date.now() + Number.parseFloat(delay) * 1000).toISOString();
    if (delay || data.get("now")) paths.push("spec.notBefore");
    const deadline = duration(read("startDeadline"), "Must start within");
    if (deadline) {
      spec.startDeadline = deadline;
      paths.push("spec.startDeadline");
    }
    const placing = placingChange(placed, readPlacing(read));
    if (placing.paths.length) {
      spec.placement = placing.rules;
      paths.push(...placing.paths.map((path) => `spec.${path}`));
    }
    const limited = limitChange(task.spec ?? {}, read);
    Object.assign(spec, limited.spec);
    paths.push(...limited.paths);
    const queue = read("queue");
    await updateTask(task.id, spec, paths, queue === task.queue ? "" : queue);
    tell(`${taskName(task)} was changed.`);
    onDone();
  };
  return (
    <FormDialog title="Change the task" submit="Change" onClose={onClose} onSubmit={submit}>
      <div class="fields">
        <Field label="Queue">
          <select name="queue" defaultValue={task.queue}>
            {queues.map((name) => (
              <option key={name} selected={name === task.queue}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Priority" hint="Higher goes first.">
          <input name="priority" type="number" min={-1000} max={1000} defaultValue={String(priority)} />
        </Field>
        <Field label="Start in" hint="Empty: as it is.">
          <input name="delay" placeholder="such as 10m" autocomplete="off" />
        </Field>
        <Field label="Must start within" hint="Empty: as it is.">
          <input name="startDeadline" placeholder="such as 10m" autocomplete="off" />
        </Field>
      </div>
      {task.state === "TASK_STATE_SCHEDULED" && (
        <label class="check">
          <input name="now" type="checkbox" /> May start now
        </label>
      )}
      <Field label="Labels" hint="One key=value on each line.">
        <textarea
          name="labels"
          class="mono"
          rows={2}
          defaultValue={Object.entries(labels)
            .map(([key, value]) => `${key}=${value}`)
            .join("\n")}
        />
      </Field>
      <details>
        <summary>Keys and limits</summary>
        <LimitFields values={limitTexts(task.spec)} />
      </details>
      <details>
        <summary>Placement</summary>
        <PlacingFields values={placed} />
      </details>
    </FormDialog>
  );
}
