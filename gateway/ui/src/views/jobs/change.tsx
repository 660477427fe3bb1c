// Changes a job that is not finished: its name, labels, limits, and the priority of its subtasks.

import { updateJob, type Job, type JobSpec } from "@ui/api/jobs";
import { num } from "@ui/lib/format";
import { duration, durationText, pairs, Unreadable } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { isGraph, jobName } from "@ui/views/jobs/names";

interface Props {
  job: Job;
  onClose: () => void;
  onDone: () => void;
}

/** Percent as a share; 0: no limit. Throws Unreadable. */
export function readShare(text: string): number {
  const typed = text.trim().replace(/\s*%$/, "");
  const percent = Number(typed);
  if (!(percent >= 0 && percent <= 100)) {
    throw new Unreadable(`“${text.trim()}” is not a number from 0 to 100.`, "Failures in %");
  }
  return percent / 100;
}

export function ChangeJob({ job, onClose, onDone }: Props) {
  const graph = isGraph(job);
  const { template, maxParallel, maxFailures, maxFailureShare, closeAfterIdle, labels = {} } = job.spec ?? {};
  const submit = async (data: FormData) => {
    const read = (name: string) => String(data.get(name) ?? "").trim();
    const spec: JobSpec = { name: read("name"), labels: pairs(read("labels"), "Labels") };
    const fields = ["spec.name", "spec.labels", "spec.maxFailures"];
    if (!graph) {
      spec.template = { priority: Number(read("priority") || 0) };
      spec.maxParallel = read("parallel") || "0";
      spec.maxFailureShare = readShare(read("share"));
      fields.push("spec.template.priority", "spec.maxParallel", "spec.maxFailureShare");
    }
    if (job.open) {
      const idle = duration(read("idle"), "Closes after");
      if (idle) spec.closeAfterIdle = idle;
      fields.push("spec.closeAfterIdle");
    }
    // Empty: no limit.
    if (read("failures")) spec.maxFailures = read("failures");
    await updateJob(job.id, spec, fields);
    tell(`${jobName(job)} was changed.`);
    onDone();
  };
  return (
    <FormDialog title="Change the job" submit="Change" onClose={onClose} onSubmit={submit}>
      <Field label="Name">
        <input name="name" maxLength={128} defaultValue={graph ? job.spec?.name : jobName(job)} autocomplete="off" />
      </Field>
      <div class="fields">
        {!graph && (
          <>
            <Field label="Priority" hint="Higher goes first.">
              <input
                name="priority"
                type="number"
                min={-1000}
                max={1000}
                defaultValue={String(template?.priority ?? 0)}
              />
            </Field>
            <Field label="At once" hint="Empty: no limit.">
              <input
                name="parallel"
                type="number"
                min={0}
                defaultValue={String(num(maxParallel) || "")}
              />
            </Field>
          </>
        )}
        <Field label="Failures" hint="One more ends the job. Empty: no limit.">
          <input
            name="failures"
            type="number"
            min={0}
            defaultValue={maxFailures === undefined ? "" : String(num(maxFailures))}
          />
        </Field>
        {!graph && (
          <Field label="Failures in %" hint="More of all subtasks end the job. Empty: no limit.">
            <input
              name="share"
              inputMode="decimal"
              autocomplete="off"
              defaultValue={maxFailureShare ? String(Number((maxFailureShare * 100).toFixed(6))) : ""}
            />
          </Field>
        )}
        {job.open && (
          <Field label="Closes after" hint="Without new items. Empty: 24 h.">
            <input
              name="idle"
              placeholder="such as 1h"
              autocomplete="off"
              defaultValue={durationText(closeAfterIdle)}
            />
          </Field>
        )}
      </div>
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
    </FormDialog>
  );
}
