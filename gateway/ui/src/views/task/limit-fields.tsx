// The fields of a form about the keys and shared limits of tasks that wait.

import { CHANGEABLE, CHANGEABLE_NAMES, MOST_KEY, removes, type Changeable } from "@ui/lib/limit-change";
import { Field } from "@ui/parts/dialog";

const HINTS: Record<Changeable, string> = {
  orderingKey: "Tasks with the same one run one after another.",
  fairnessKey: "Whose task it is: each key gets an equal share.",
  limitKey: "Shares the queue's limits per key.",
  limits: "Names with commas between; at most 16.",
};

/** Without `values` an empty field leaves the tasks as they are, and a box removes what they have. */
export function LimitFields({ values }: { values?: Record<Changeable, string> }) {
  return (
    <>
      <div class="fields">
        {CHANGEABLE_NAMES.map((name) => (
          <Field key={name} label={CHANGEABLE[name]} hint={HINTS[name]}>
            <input
              name={name}
              maxLength={name === "limits" ? undefined : MOST_KEY}
              placeholder={values ? "none" : "as it is"}
              autocomplete="off"
              autocapitalize="none"
              defaultValue={values?.[name]}
            />
          </Field>
        ))}
      </div>
      {!values && (
        <div class="fields" role="group" aria-label="Remove">
          {CHANGEABLE_NAMES.map((name) => (
            <label key={name} class="check">
              <input name={removes(name)} type="checkbox" /> Remove {CHANGEABLE[name].toLowerCase()}
            </label>
          ))}
        </div>
      )}
    </>
  );
}
