// The fields of a form about a task: what runs, and its options. Names are those that `spec.ts` reads.

import { Field } from "@ui/parts/dialog";
import type { Kind } from "@ui/views/tasks/spec";

/** What a form begins with, by the names of its fields. */
export type Texts = Readonly<Record<string, string>>;

interface WorkProps {
  kind: Kind;
  values?: Texts;
  /** Of the command line, and of the function. */
  commandHint?: string;
  functionHint?: string;
}

/** What is to run: a command line, or a function with its arguments. */
export function WorkFields({
  kind,
  values = {},
  commandHint = "Split like a shell does; not given to one.",
  functionHint = "Importable on the nodes, as module:name.",
}: WorkProps) {
  return kind === "command" ? (
    <Field label="Command line" hint={commandHint} of="spec.command.argv">
      <input
        name="command"
        class="mono"
        placeholder="echo hello"
        autofocus
        required
        autocomplete="off"
        defaultValue={values.command}
      />
    </Field>
  ) : (
    <>
      <Field label="Function" hint={functionHint} of="spec.python.entrypoint">
        <input
          name="entrypoint"
          class="mono"
          placeholder="math:hypot"
          autofocus
          required
          autocomplete="off"
          defaultValue={values.entrypoint}
        />
      </Field>
      <ArgumentsField value={values.arguments} />
    </>
  );
}

export function ArgumentsField({ value }: { value?: string | undefined }) {
  const hint = (
    <>
      A list, or <code>{'{"args": [...], "kwargs": {...}}'}</code>.
    </>
  );
  return (
    <Field label="Arguments (JSON)" hint={hint} of="spec.python.json">
      <textarea name="arguments" class="mono" rows={3} placeholder="[3, 4]" defaultValue={value} />
    </Field>
  );
}

/** Whether a form has the field: one that begins with values has those of them. */
const has = (values: Texts | undefined, name: string): boolean => !values || name in values;

/** Priority, attempts, times, hooks and labels. */
export function OptionFields({ values: given }: { values?: Texts }) {
  const values = given ?? {};
  const text = (name: string, label: string, of: string, placeholder: string, hint?: string) => (
    <Field label={label} of={of} {...(hint && { hint })}>
      <input name={name} placeholder={placeholder} autocomplete="off" defaultValue={values[name]} />
    </Field>
  );
  return (
    <>
      <div class="fields short">
        <Field label="Priority" hint="-1,000 to 1,000; higher goes first." of="spec.priority">
          <input name="priority" type="number" min={-1000} max={1000} placeholder="0" defaultValue={values.priority} />
        </Field>
        <Field label="Attempts" hint="1 to 1,000." of="spec.retry.max_attempts">
          <input name="attempts" type="number" min={1} max={1000} placeholder="1" defaultValue={values.attempts} />
        </Field>
        {text("timeout", "Timeout of an attempt", "spec.timeout", "none; such as 30s", "At most 30 d.")}
        {text("delay", "Start in", "spec.not_before", "now; such as 10m", "At most 366 d.")}
        {text("startDeadline", "Must start within", "spec.start_deadline", "none; such as 10m", "At most 366 d.")}
      </div>
      <div class="fields">
        <Field label="Set-up" hint="Runs before each attempt." of="spec.hooks.setup">
          <input
            name="setup"
            class="mono"
            placeholder="mkdir -p data, or module:function"
            autocomplete="off"
            defaultValue={values.setup}
          />
        </Field>
        <Field label="Clean-up" hint="Runs after each attempt, however it ended." of="spec.hooks.cleanup">
          <input
            name="cleanup"
            class="mono"
            placeholder="rm -r data, or module:function"
            autocomplete="off"
            defaultValue={values.cleanup}
          />
        </Field>
      </div>
      {has(given, "labels") && (
        <Field label="Labels" hint="One key=value on each line; at most 32." of="spec.labels">
          <textarea name="labels" class="mono" rows={2} placeholder="team=mail" defaultValue={values.labels} />
        </Field>
      )}
    </>
  );
}

/** Of a command alone. */
export function ProcessFields({ values }: { values?: Texts }) {
  return (
    <>
      {has(values, "env") && (
        <Field label="Environment" hint="One NAME=value on each line." of="spec.command.env">
          <textarea name="env" class="mono" rows={2} defaultValue={values?.env} />
        </Field>
      )}
      {has(values, "stdin") && (
        <Field label="Standard input" of="spec.command.stdin">
          <textarea name="stdin" class="mono" rows={2} defaultValue={values?.stdin} />
        </Field>
      )}
    </>
  );
}
