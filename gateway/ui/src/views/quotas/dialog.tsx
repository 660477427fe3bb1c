import { useState } from "preact/hooks";
import { setQuota } from "@ui/api/actions";
import type { Quota } from "@ui/api/types";
import { Unreadable } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import {
  fieldText,
  isSet,
  keyOf,
  kindOf,
  LIMITS,
  limitText,
  nameOf,
  quotaOf,
  subject,
  type Kind,
} from "@ui/views/quotas/limits";

interface Props {
  /** Which is edited; a new one is made without. */
  quota?: Quota;
  /** Those that are there. */
  known: readonly Quota[];
  onClose: () => void;
  onDone: () => void;
}

export function QuotaDialog({ quota, known, onClose, onDone }: Props) {
  const [kind, setKind] = useState<Kind>(quota ? kindOf(quota) : "caller");
  const submit = async (data: FormData) => {
    const read = (name: string) => String(data.get(name) ?? "").trim();
    const name = quota ? nameOf(quota) : read("name");
    const made = quotaOf(kind, name, read);
    if (!quota) {
      // It would be set as a whole: what is not typed here would be lost.
      const there = known.find((one) => keyOf(one) === keyOf(made));
      if (there && isSet(there)) {
        throw new Unreadable(`There is a quota for ${subject(kind, name)}: edit that one.`);
      }
      if (!isSet(made)) throw new Unreadable("Type at least one limit.");
    }
    await setQuota(made);
    tell(`The quota of ${subject(kind, name)} was set.`);
    onDone();
  };
  return (
    <FormDialog
      title={quota ? `Quota of ${subject(kind, nameOf(quota))}` : "Set a quota"}
      submit="Set quota"
      wide
      onClose={onClose}
      onSubmit={submit}
    >
      {!quota && (
        <div class="fields">
          <Field label="Of">
            <select
              name="kind"
              value={kind}
              onChange={(event) => setKind(event.currentTarget.value as Kind)}
            >
              <option value="caller">A caller</option>
              <option value="queue">A queue</option>
            </select>
          </Field>
          <Field label="Name" hint="* is for all that have no quota of their own.">
            <input
              name="name"
              required
              autofocus
              maxLength={160}
              placeholder={kind === "caller" ? "submitter:ci" : "reports"}
              autocapitalize="none"
            />
          </Field>
        </div>
      )}
      <div class="fields pairs">
        {LIMITS.filter((limit) => kind === "caller" || limit.ofQueues).map((limit) => (
          <Field key={limit.name} label={limit.label}>
            <input
              name={limit.name}
              defaultValue={fieldText(limit.name, quota?.limits?.[limit.name])}
              placeholder={
                quota?.inForce?.[limit.name] === undefined || quota.limits?.[limit.name] !== undefined
                  ? "default"
                  : `${limitText(limit.name, quota.inForce[limit.name])} (default)`
              }
              autocapitalize="none"
              autocomplete="off"
            />
          </Field>
        ))}
      </div>
      <p class="muted">
        Empty: the default. 0 refuses all that is new. <code>unlimited</code>: no limit. Bytes as{" "}
        <code>512M</code> or <code>2G</code>.
      </p>
    </FormDialog>
  );
}
