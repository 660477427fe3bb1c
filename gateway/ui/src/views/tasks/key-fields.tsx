// The fields of a form about the keys and shared limits of a task.

import { useEffect, useState } from "preact/hooks";
import { listLimits } from "@ui/api/actions";
import { CONFLICTS, limitNames, MOST_KEY } from "@ui/lib/keys";
import { Field } from "@ui/parts/dialog";
import type { Texts } from "@ui/views/tasks/option-fields";

// More are typed rather than picked.
const OFFERED = 12;

interface Props {
  values?: Texts;
  /** The caller may read the shared limits. */
  offered: boolean;
}

export function KeyFields({ values = {}, offered }: Props) {
  const [unique, setUnique] = useState(values.uniqueKey ?? "");
  return (
    <>
      <div class="fields">
        <Field
          label="Unique key"
          hint="At most one unfinished task of the queue has it."
          of={["spec.unique", "TASK_ALREADY_EXISTS", "TOO_MANY_UNIQUE_WINDOWS"]}
        >
          <input
            name="uniqueKey"
            maxLength={MOST_KEY}
            placeholder="none"
            autocomplete="off"
            value={unique}
            onInput={(event) => setUnique(event.currentTarget.value)}
          />
        </Field>
        <Field label="If a task has the key" of="spec.unique.on_conflict">
          <select name="onConflict" disabled={!unique.trim()} defaultValue={values.onConflict}>
            {CONFLICTS.map(({ value, label }) => (
              <option key={value} value={value} selected={value === values.onConflict}>
                {label}
              </option>
            ))}
          </select>
        </Field>
        <Field
          label="Unique for"
          hint="1 s to 31 d from its creation, if it succeeds."
          of="spec.unique.window"
        >
          <input
            name="uniqueFor"
            placeholder="until it is finished"
            autocomplete="off"
            defaultValue={values.uniqueFor}
          />
        </Field>
      </div>
      <div class="fields">
        <Key
          name="orderingKey"
          label="Ordering key"
          of="spec.ordering_key"
          hint="Tasks with the same one run one after another."
          value={values.orderingKey}
        />
      </div>
      <LimitFields values={values} offered={offered} />
    </>
  );
}

/** Those that jobs have, too. */
export function LimitFields({ values = {}, offered }: Props) {
  return (
    <>
      <div class="fields">
        <Key
          name="fairnessKey"
          label="Fairness key"
          of="spec.fairness_key"
          hint="Whose work it is: each key gets an equal share."
          value={values.fairnessKey}
        />
        <Key
          name="limitKey"
          label="Limit key"
          of="spec.limit_key"
          hint="Shares the queue's limits per key."
          value={values.limitKey}
        />
      </div>
      <SharedLimits value={values.limits ?? ""} offered={offered} />
    </>
  );
}

interface KeyProps {
  name: string;
  label: string;
  of: string;
  hint: string;
  value?: string;
}

function Key({ name, label, of, hint, value }: KeyProps) {
  return (
    <Field label={label} hint={hint} of={of}>
      <input name={name} maxLength={MOST_KEY} placeholder="none" autocomplete="off" defaultValue={value} />
    </Field>
  );
}

/** Names that are typed, or picked of those that there are. */
function SharedLimits({ value, offered }: { value: string; offered: boolean }) {
  const [text, setText] = useState(value);
  const [known, setKnown] = useState<string[]>([]);
  useEffect(() => {
    if (!offered) return undefined;
    const abort = new AbortController();
    listLimits({ pageSize: OFFERED }, { signal: abort.signal }).then(
      ({ limits }) => setKnown((limits ?? []).map(({ name }) => name)),
      // They can be typed all the same.
      () => {},
    );
    return () => abort.abort();
  }, [offered]);
  const named = limitNames(text);
  const toggle = (name: string) =>
    setText((named.includes(name) ? named.filter((one) => one !== name) : [...named, name]).join(", "));
  return (
    <div>
      <Field label="Shared limits" hint="Names with commas between; at most 16." of={["spec.limits", "LIMIT_NOT_FOUND"]}>
        <input
          name="limits"
          placeholder="none"
          autocomplete="off"
          autocapitalize="none"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </Field>
      {known.length > 0 && (
        <div class="chips offered" role="group" aria-label="Limits of the cluster">
          {known.map((name) => (
            <button
              key={name}
              type="button"
              class="chip"
              aria-pressed={named.includes(name)}
              onClick={() => toggle(name)}
            >
              {name}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
