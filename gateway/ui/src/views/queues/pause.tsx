// Pauses a queue: what stops, why, and for how long.

import { pauseQueue } from "@ui/api/actions";
import type { Queue } from "@ui/api/types";
import { clock } from "@ui/lib/format";
import { duration } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";

/** Who paused a queue, why and until when. */
export function pausedWords({ pause = {} }: Queue): string {
  return [
    `Paused by ${pause.pausedBy || "a caller"}`,
    pause.until && `until ${clock(pause.until)}`,
    pause.reason && `(${pause.reason})`,
  ]
    .filter(Boolean)
    .join(" ");
}

export function PauseDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const submit = async (data: FormData) => {
    const read = (field: string) => String(data.get(field) ?? "").trim();
    const seconds = duration(read("for"), "For");
    await pauseQueue(name, {
      scope: `PAUSE_SCOPE_${read("scope")}`,
      reason: read("reason"),
      ...(seconds && { until: new Date(Date.now() + Number.parseFloat(seconds) * 1000).toISOString() }),
    });
    tell(`${name} is paused.`);
  };
  return (
    <FormDialog title={`Pause the queue ${name}`} submit="Pause" onClose={onClose} onSubmit={submit}>
      <Field label="What stops">
        <select name="scope">
          <option value="DISPATCH">No task starts</option>
          <option value="ADMISSION">No new task is accepted</option>
          <option value="BOTH">Both</option>
        </select>
      </Field>
      <div class="fields">
        <Field label="For" hint="Empty: until somebody resumes it.">
          <input name="for" placeholder="such as 30m" autocomplete="off" />
        </Field>
        <Field label="Reason">
          <input name="reason" maxLength={256} />
        </Field>
      </div>
    </FormDialog>
  );
}
