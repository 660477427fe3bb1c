import { createLimit, updateLimit } from "@ui/api/actions";
import type { Limit } from "@ui/api/types";
import { countText, rateText, readCount, readRate } from "@ui/lib/limits";
import { Unreadable } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";

interface Props {
  /** Which is edited; a new one is made without. */
  limit?: Limit;
  onClose: () => void;
  onDone: () => void;
}

export function LimitDialog({ limit, onClose, onDone }: Props) {
  const submit = async (data: FormData) => {
    const made = limitOf((name) => String(data.get(name) ?? "").trim(), limit?.name);
    await (limit ? updateLimit(made) : createLimit(made));
    tell(limit ? `The limit ${made.name} was changed.` : `The limit ${made.name} was created.`);
    onDone();
  };
  return (
    <FormDialog
      title={limit ? `Limit ${limit.name}` : "Create a limit"}
      submit={limit ? "Change limit" : "Create limit"}
      onClose={onClose}
      onSubmit={submit}
    >
      {!limit && (
        <Field label="Name" hint="Tasks name it: --limit NAME.">
          <input
            name="name"
            required
            autofocus
            maxLength={64}
            pattern="[a-z0-9][a-z0-9._\-]*"
            placeholder="licence"
            autocapitalize="none"
          />
        </Field>
      )}
      <div class="fields">
        <Field label="Running tasks">
          <input
            name="maxRunning"
            defaultValue={countText(limit?.maxRunning)}
            placeholder="no limit"
            autocomplete="off"
          />
        </Field>
        <Field label="Starts" hint="Such as 10/s, or 100/15m burst 5.">
          <input
            name="rate"
            defaultValue={rateText(limit?.rate)}
            placeholder="no limit"
            autocomplete="off"
          />
        </Field>
      </div>
    </FormDialog>
  );
}

/** The form as a Limit. Throws Unreadable with a sentence. */
export function limitOf(read: (name: string) => string, name?: string): Limit {
  const maxRunning = readCount(read("maxRunning"), "Running tasks");
  const rate = readRate(read("rate"), "Starts");
  if (maxRunning === undefined && rate === undefined) {
    throw new Unreadable("Type at least one limit.");
  }
  return {
    name: name ?? read("name"),
    ...(maxRunning === undefined ? {} : { maxRunning }),
    ...(rate ? { rate } : {}),
  };
}
