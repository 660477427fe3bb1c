import { createQueue } from "@ui/api/actions";
import type { Queue } from "@ui/api/types";
import { duration } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";

export function CreateQueueDialog({ onClose }: { onClose: () => void }) {
  const submit = async (data: FormData) => {
    const queue = queueOf((name) => String(data.get(name) ?? "").trim());
    await createQueue(queue);
    tell(`The queue ${queue.name} was created.`);
  };
  return (
    <FormDialog title="Create a queue" submit="Create queue" onClose={onClose} onSubmit={submit}>
      <Field label="Name" hint="a-z 0-9 . _ - ; the first a letter or digit.">
        <input
          name="name"
          required
          autofocus
          maxLength={64}
          pattern="[a-z0-9][a-z0-9._\-]*"
          placeholder="reports"
          autocapitalize="none"
        />
      </Field>
      <Field label="Placement" hint="How a node is chosen for its tasks.">
        <select name="placement">
          <option value="PLACEMENT_STRATEGY_LEAST_LOADED">Least loaded node</option>
          <option value="PLACEMENT_STRATEGY_ROUND_ROBIN">Each node in turn</option>
          <option value="PLACEMENT_STRATEGY_CONSISTENT_HASH">Same node for the same key</option>
        </select>
      </Field>
      <Field label="Nodes without contact" hint="What becomes of tasks on a node that hears nobody.">
        <select name="disconnect">
          <option value="DISCONNECT_POLICY_KEEP">Tasks run on</option>
          <option value="DISCONNECT_POLICY_STOP">Tasks are ended</option>
        </select>
      </Field>
      <div class="fields">
        <Field label="Keep finished tasks for">
          <input name="age" placeholder="24h" />
        </Field>
        <Field label="Keep at most">
          <input name="count" type="number" min={1} max={1000000} placeholder="100000" />
        </Field>
      </div>
    </FormDialog>
  );
}

/** The form as a Queue. Throws Unreadable with a sentence. */
export function queueOf(read: (name: string) => string): Partial<Queue> & { name: string } {
  const age = duration(read("age"), "Keep finished tasks for");
  const most = read("count");
  return {
    name: read("name"),
    placement: read("placement"),
    disconnect: read("disconnect"),
    ...(age || most
      ? { retention: { ...(age ? { age } : {}), ...(most ? { count: most } : {}) } }
      : {}),
  };
}
