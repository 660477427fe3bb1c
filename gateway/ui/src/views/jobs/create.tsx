// The form that creates an array: one command or function, for each of some lines or numbers.

import { useState } from "preact/hooks";
import { useMay } from "@ui/api/caller";
import { createJob } from "@ui/api/jobs";
import { useQueues } from "@ui/api/store";
import { go, href } from "@ui/lib/router";
import { Field, FormDialog } from "@ui/parts/dialog";
import { Segments } from "@ui/parts/segments";
import { tell } from "@ui/parts/toasts";
import { arrayOf, type Source } from "@ui/views/jobs/array-spec";
import { jobName } from "@ui/views/jobs/names";
import { LimitFields } from "@ui/views/tasks/key-fields";
import { WorkFields } from "@ui/views/tasks/option-fields";
import { KINDS, type Kind } from "@ui/views/tasks/spec";

const SOURCES: { value: Source; label: string }[] = [
  { value: "items", label: "For each line" },
  { value: "count", label: "So many times" },
];

export function CreateArray({ onClose }: { onClose: () => void }) {
  const [kind, setKind] = useState<Kind>("command");
  const [source, setSource] = useState<Source>("items");
  const may = useMay();
  const queues = [...new Set(["default", ...(useQueues().value?.keys() ?? [])])].sort();
  const submit = async (data: FormData) => {
    const read = (name: string) => String(data.get(name) ?? "");
    const spec = arrayOf(kind, source, read, read);
    const { job } = await createJob(read("queue"), spec);
    tell(`${jobName(job)} was created.`);
    go(href("jobs", job.id));
  };
  const item = source === "items" ? "line" : "index";
  return (
    <FormDialog title="Create a job" submit="Create job" wide onClose={onClose} onSubmit={submit}>
      <Segments label="What to run" options={KINDS} value={kind} onChange={setKind} />
      <WorkFields
        kind={kind}
        commandHint={
          source === "items"
            ? "Split like a shell does. {} is the line, {index} its number from 0."
            : "Split like a shell does. {index} is the number of the run."
        }
        functionHint={`As module:name. It gets the ${item} first, then the arguments.`}
      />
      <Segments label="How often" options={SOURCES} value={source} onChange={setSource} />
      {source === "items" ? (
        <>
          <Field label="Items" hint="One on each line; each is a subtask.">
            <textarea name="items" class="mono" rows={4} placeholder={"red\ngreen"} />
          </Field>
          <div class="checks">
            {kind === "python" && (
              <label class="check">
                <input name="json" type="checkbox" /> Lines are JSON values
              </label>
            )}
            <label class="check">
              <input name="open" type="checkbox" /> Keep it open: more items follow
            </label>
          </div>
        </>
      ) : (
        <div class="fields">
          <Field label="Subtasks">
            <input name="count" inputMode="numeric" placeholder="1000" required autocomplete="off" />
          </Field>
          <Field label="First index">
            <input name="first" inputMode="numeric" placeholder="0" autocomplete="off" />
          </Field>
        </div>
      )}
      <div class="fields">
        <Field label="At once" hint="Empty: no limit.">
          <input name="parallel" inputMode="numeric" autocomplete="off" />
        </Field>
        <Field label="Failures" hint="One more ends the job. Empty: no limit.">
          <input name="failures" inputMode="numeric" autocomplete="off" />
        </Field>
        <Field label="Queue">
          <select name="queue" defaultValue="default">
            {queues.map((name) => (
              <option key={name} selected={name === "default"}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Name (optional)">
          <input name="name" maxLength={128} autocomplete="off" />
        </Field>
      </div>
      <details>
        <summary>More options</summary>
        <div class="fields">
          <Field label="Reduce" hint="A function that gets all results, as module:name.">
            <input name="reduce" class="mono" placeholder="none; such as builtins:sum" />
          </Field>
          <Field label="Fan-in" hint="Results that one reduce gets. Empty: all.">
            <input name="fanIn" inputMode="numeric" autocomplete="off" />
          </Field>
          <Field label="Priority" hint="Higher goes first.">
            <input name="priority" type="number" min={-1000} max={1000} placeholder="0" />
          </Field>
          <Field label="Attempts of a subtask">
            <input name="attempts" type="number" min={1} max={250} placeholder="1" />
          </Field>
          <Field label="Timeout of an attempt">
            <input name="timeout" placeholder="none; such as 30s or 5m" />
          </Field>
        </div>
        <Field label="Labels" hint="One key=value on each line.">
          <textarea name="labels" class="mono" rows={2} placeholder="team=mail" />
        </Field>
        <LimitFields offered={may("limits.read")} />
        {kind === "command" && (
          <Field label="Environment" hint="One NAME=value on each line.">
            <textarea name="env" class="mono" rows={2} />
          </Field>
        )}
      </details>
    </FormDialog>
  );
}
