import { createQueue } from "@ui/api/actions";
import type { Queue } from "@ui/api/types";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { QueueFields, settingsOf } from "@ui/views/queues/settings";

export function CreateQueueDialog({ onClose }: { onClose: () => void }) {
  const submit = async (data: FormData) => {
    const queue = queueOf((name) => String(data.get(name) ?? "").trim());
    await createQueue(queue);
    tell(`The queue ${queue.name} was created.`);
  };
  return (
    <FormDialog title="Create a queue" submit="Create queue" wide onClose={onClose} onSubmit={submit}>
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
      <QueueFields />
    </FormDialog>
  );
}

/** The form as a Queue. Throws Unreadable with a sentence. */
export function queueOf(read: (name: string) => string): Partial<Queue> & { name: string } {
  return { name: read("name"), ...settingsOf(read) };
}
