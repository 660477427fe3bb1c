// The fields of a form about the nodes that may run a task.

import type { PlacingForm } from "@ui/lib/placing";
import { Field } from "@ui/parts/dialog";

const FIELDS: readonly [keyof PlacingForm, string, string][] = [
  ["where", "Only on nodes with", "One rule on each line, such as disk=ssd, zone in a,b or !gpu."],
  ["prefer", "Rather on nodes with", "One rule on each line."],
  ["tolerate", "Tolerates taints", "One KEY or KEY=VALUE on each line; * is all."],
  ["near", "Near tasks with the label", "One key=value on each line."],
  ["apart", "Apart from tasks with the label", "One key=value on each line."],
];

export function PlacingFields({ values }: { values?: PlacingForm }) {
  return (
    <>
      {FIELDS.map(([name, label, hint]) => (
        <Field key={name} label={label} hint={hint}>
          <textarea name={name} class="mono" rows={2} defaultValue={values?.[name]} />
        </Field>
      ))}
    </>
  );
}

/** What the fields hold. */
export function readPlacing(read: (name: string) => string): PlacingForm {
  const [where, prefer, tolerate, near, apart] = FIELDS.map(([name]) => read(name));
  return { where: where!, prefer: prefer!, tolerate: tolerate!, near: near!, apart: apart! };
}
