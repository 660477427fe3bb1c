// Appends lines to an open array.

import { appendItems, closeJob, getJob, type Job } from "@ui/api/jobs";
import { num, plural } from "@ui/lib/format";
import { Unreadable } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { itemsOf } from "@ui/views/jobs/array-spec";
import { jobName } from "@ui/views/jobs/names";

interface Props {
  job: Job;
  onClose: () => void;
  onDone: () => void;
}

export function AppendItems({ job, onClose, onDone }: Props) {
  const submit = async (data: FormData) => {
    // As it is now: the position of the first item is how many there are.
    const now = (await getJob(job.id)).job;
    const items = itemsOf(String(data.get("items") ?? ""), now.spec?.template, Boolean(data.get("json")));
    if (!items.length) throw new Unreadable("Items: type one on each line.");
    await appendItems(job.id, num(now.count), items);
    if (data.get("last")) await closeJob(job.id);
    tell(`${plural(items.length, "item")} appended to ${jobName(job)}.`);
    onDone();
  };
  return (
    <FormDialog title="Append items" submit="Append" onClose={onClose} onSubmit={submit}>
      <Field label="Items" hint="One on each line; each is a subtask.">
        <textarea name="items" class="mono" rows={5} autofocus />
      </Field>
      <div class="checks">
        {job.spec?.template?.python && (
          <label class="check">
            <input name="json" type="checkbox" /> Lines are JSON values
          </label>
        )}
        <label class="check">
          <input name="last" type="checkbox" /> No more follow: close the job
        </label>
      </div>
    </FormDialog>
  );
}
