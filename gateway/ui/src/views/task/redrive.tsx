// Runs a failed task again with changes: the fields of a form, or its whole specification in JSON.

import { useEffect, useRef, useState } from "preact/hooks";
import { getSpec } from "@ui/api/actions";
import { useMay } from "@ui/api/caller";
import { useQueues } from "@ui/api/store";
import type { Task, TaskSpec } from "@ui/api/types";
import { bytes, clock } from "@ui/lib/format";
import { base64Size } from "@ui/lib/words";
import { Loading } from "@ui/parts/basics";
import { Field, FormDialog } from "@ui/parts/dialog";
import { Segments } from "@ui/parts/segments";
import { tell } from "@ui/parts/toasts";
import { taskName } from "@ui/views/task/names";
import { Redrive } from "@ui/views/task/redrive-calls";
import {
  hasTypedArguments,
  kindOf,
  readSpec,
  redriveSpec,
  redriveTexts,
  SPEC,
  specText,
  type Texts,
} from "@ui/views/task/redrive-spec";
import { KeyFields } from "@ui/views/tasks/key-fields";
import { OptionFields, ProcessFields, WorkFields } from "@ui/views/tasks/option-fields";

type Way = "fields" | "spec";
const WAYS: { value: Way; label: string }[] = [
  { value: "fields", label: "Fields" },
  { value: "spec", label: "Whole specification" },
];

interface Props {
  task: Task;
  onClose: () => void;
  onDone: () => void;
}

/** What a form begins with. */
interface Begun {
  spec: TaskSpec;
  texts: Texts;
  /** Counts: the fields are drawn anew with other texts. */
  round: number;
}

export function RedriveDialog({ task, onClose, onDone }: Props) {
  const [begun, setBegun] = useState<Begun>();
  const [problem, setProblem] = useState<Error>();
  const [way, setWay] = useState<Way>("fields");
  const inside = useRef<HTMLDivElement>(null);
  const [redrive] = useState(() => new Redrive({ id: task.id, queue: task.queue }));
  const [held, setHeld] = useState("");
  // A task without a name of its own is called by what it runs, which changes.
  const [name] = useState(() => taskName(task));
  const queues = [...(useQueues().value?.keys() ?? [task.queue])].sort();
  const may = useMay();
  useEffect(() => {
    const abort = new AbortController();
    getSpec(task.id, { signal: abort.signal }).then(
      (spec) => setBegun({ spec, texts: redriveTexts(spec), round: 0 }),
      (error: Error) => abort.signal.aborted || setProblem(error),
    );
    return () => abort.abort();
  }, [task.id]);
  const specOf = ({ spec, texts }: Begun, data: FormData): TaskSpec => {
    const read = (name: string) => String(data.get(name) ?? "").replaceAll("\r\n", "\n");
    return way === "spec" ? readSpec(read("spec")) : redriveSpec(spec, texts, read);
  };
  const submit = async (data: FormData) => {
    const queue = String(data.get("queue") ?? task.queue);
    try {
      await redrive.run(specOf(begun!, data), queue);
    } finally {
      setHeld(redrive.heldUntil);
    }
    tell(`${name} will run again${queue === task.queue ? "" : ` in ${queue}`}.`);
    onDone();
  };
  /** The other way goes on with what was typed. */
  const turn = (next: Way) => {
    const form = inside.current?.closest("form");
    if (next === way || !begun || !form) return;
    try {
      const spec = specOf(begun, new FormData(form));
      setBegun({ spec, texts: redriveTexts(spec), round: begun.round + 1 });
      setProblem(undefined);
      setWay(next);
    } catch (error) {
      setProblem(error as Error);
    }
  };
  return (
    <FormDialog
      title={`Retry ${name} with changes`}
      submit="Retry"
      wide
      disabled={!begun}
      problem={problem}
      onClose={onClose}
      onSubmit={submit}
    >
      {!begun && !problem && <Loading rows={4} />}
      {begun && (
        <div class="stack" ref={inside}>
          <p class="muted">
            It keeps its id and its past attempts. What you change is on record from now on, in place of what it ran.
          </p>
          {held && (
            <p class="notice">
              It waits in {task.queue} until {clock(held).slice(11, 16)}, because it was not moved. Retry it once more, or
              change it on its page.
            </p>
          )}
          <Segments label="What to change" options={WAYS} value={way} onChange={turn} />
          <Field
            label="Queue"
            {...(may("tasks.submit") ? {} : { hint: "Your role may not submit to another one." })}
            of={["queue", "QUEUE_NOT_FOUND", "QUEUE_FULL", "TASKS_PAUSED", "TASK_NOT_ACCEPTED"]}
          >
            <select name="queue" disabled={!may("tasks.submit")}>
              {queues.map((name) => (
                <option key={name} selected={name === task.queue}>
                  {name}
                </option>
              ))}
            </select>
          </Field>
          {way === "spec" ? (
            <Field label={SPEC} hint="As over REST; see “Retry” in the documentation of failed tasks." of="spec">
              <textarea
                name="spec"
                class="mono"
                rows={16}
                required
                spellcheck={false}
                defaultValue={specText(begun.spec)}
              />
            </Field>
          ) : (
            <SpecFields key={begun.round} begun={begun} limits={may("limits.read")} />
          )}
        </div>
      )}
    </FormDialog>
  );
}

function SpecFields({ begun: { spec, texts }, limits }: { begun: Begun; limits: boolean }) {
  const kind = kindOf(spec);
  return (
    <>
      {kind === "command" || (texts.entrypoint && hasTypedArguments(spec)) ? (
        <WorkFields kind={kind} values={texts} />
      ) : (
        <Pickled spec={spec} />
      )}
      {spec.payloadBlob && (
        <p class="muted">
          Its {kind === "command" ? "standard input is" : "arguments are"} in the blob store,{" "}
          {bytes(spec.payloadBlob.size)}
          {kind === "python" && hasTypedArguments(spec) && ": what you type takes their place"}.
        </p>
      )}
      <OptionFields values={texts} />
      {kind === "command" && <ProcessFields values={texts} />}
      {LINES.some((name) => !(name in texts) && (kind === "command" || name === "labels")) && (
        <p class="muted">Some values have several lines or are binary: change them in the whole specification.</p>
      )}
      <details>
        <summary>Keys and limits</summary>
        <KeyFields values={texts} offered={limits} />
      </details>
    </>
  );
}

const LINES = ["labels", "env", "stdin"];

/** Of a pickle nothing can be typed. */
function Pickled({ spec: { python } }: { spec: TaskSpec }) {
  return (
    <p class="muted">
      {python?.entrypoint && <code>{python.entrypoint}</code>} Its arguments are a pickle
      {python?.pickle && ` of ${bytes(base64Size(python.pickle))}`}: they stay as they are.
    </p>
  );
}
