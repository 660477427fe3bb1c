// Asks what is to be changed of many tasks; before anything is, it is counted.

import { useQueues } from "@ui/api/store";
import { Field, FormDialog } from "@ui/parts/dialog";
import { LimitFields } from "@ui/views/task/limit-fields";
import { PlacingFields } from "@ui/views/task/placing-fields";
import { changeOf, type Change } from "@ui/views/tasks/update-many";

interface Props {
  /** Such as "3 tasks". */
  what: string;
  onClose: () => void;
  /** Count, and ask once more. */
  onChange: (change: Change) => Promise<void>;
}

export function UpdateDialog({ what, onClose, onChange }: Props) {
  const queues = [...(useQueues().value?.keys() ?? [])].sort();
  return (
    <FormDialog
      title={`Change ${what}`}
      submit="Count and change"
      onClose={onClose}
      onSubmit={(data) => onChange(changeOf((name) => String(data.get(name) ?? "")))}
    >
      <p class="muted">Fields that are left empty stay as they are. Only tasks that wait are changed.</p>
      <div class="fields">
        <Field label="Move to queue">
          <select name="queue">
            <option value="">as it is</option>
            {queues.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Priority" hint="Higher goes first.">
          <input name="priority" type="number" min={-1000} max={1000} />
        </Field>
        <Field label="Start in">
          <input name="delay" placeholder="such as 10m" autocomplete="off" />
        </Field>
        <Field label="Timeout of an attempt">
          <input name="timeout" placeholder="such as 30s or 5m" autocomplete="off" />
        </Field>
        <Field label="Must start within">
          <input name="startDeadline" placeholder="such as 10m" autocomplete="off" />
        </Field>
      </div>
      <label class="check">
        <input name="now" type="checkbox" /> May start now
      </label>
      <Field label="Labels" hint="One key=value on each line; they replace all others.">
        <textarea name="labels" class="mono" rows={2} />
      </Field>
      <label class="check">
        <input name="clear" type="checkbox" /> Remove all labels
      </label>
      <details>
        <summary>Keys and limits</summary>
        <LimitFields />
      </details>
      <details>
        <summary>Placement</summary>
        <p class="muted">Rules replace those of the same kind; the first two fields are one kind.</p>
        <PlacingFields />
        <label class="check">
          <input name="anyNode" type="checkbox" /> Remove all placement rules
        </label>
      </details>
    </FormDialog>
  );
}
