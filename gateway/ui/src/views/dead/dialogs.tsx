// What is asked before the tasks of a group, or all failed tasks, are retried or deleted: how many there
// are is counted first, by a dry run.

import { useEffect, useState } from "preact/hooks";
import type { WholeRequest } from "@ui/api/actions";
import type { DeadLetterGroup } from "@ui/api/types";
import { plural } from "@ui/lib/format";
import { Unreadable } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { actOnAll, countAll } from "@ui/views/tasks/whole";

interface Props {
  /** All failed tasks when undefined. */
  group?: DeadLetterGroup;
  /** Of the view; all when empty. */
  queue: string;
  onClose: () => void;
  onDone: () => void;
}

const FAILED = ["TASK_STATE_FAILED", "TASK_STATE_EXPIRED"];

function filterOf({ group, queue }: Props): WholeRequest {
  if (!group) return { queue, states: FAILED };
  return { queue: group.queue, states: FAILED, errorGroup: group.id };
}

/** How many tasks are meant; undefined until it is known. */
function useCount(count: () => Promise<number>): number | undefined {
  const [found, setFound] = useState<number>();
  useEffect(() => {
    let gone = false;
    count().then(
      (number) => gone || setFound(number),
      () => gone || setFound(-1),
    );
    return () => {
      gone = true;
    };
  }, []);
  return found;
}

const words = (found: number | undefined) =>
  found === undefined ? "Counting …" : found < 0 ? "" : `${plural(found, "task")}. `;

/** Do it to all of them; how many. */
async function all(verb: "retry" | "delete", request: WholeRequest): Promise<number> {
  return (await actOnAll(verb, request, () => {}, new AbortController().signal)).done;
}

export function RetryDialog(props: Props) {
  const filter = filterOf(props);
  const found = useCount(async () => (await countAll("retry", filter)).tasks);
  const submit = async (data: FormData) => {
    const text = String(data.get("rate") ?? "").trim();
    const rate = text ? Number(text) : 0;
    if (!Number.isFinite(rate) || rate < 0) throw new Unreadable("Type a number of tasks a second.");
    const done = await all("retry", { ...filter, maxRate: rate });
    tell(`${plural(done, "task")} will run again.`);
    props.onDone();
  };
  return (
    <FormDialog
      title={props.group ? "Retry the group?" : "Retry all failed tasks?"}
      submit="Retry"
      onClose={props.onClose}
      onSubmit={submit}
    >
      <p data-testid="count">
        {words(found)}They get all of their attempts anew and keep their past ones.
      </p>
      <Field label="Tasks a second" hint="Empty: all at once. Later ones are scheduled until their turn.">
        <input name="rate" inputMode="decimal" placeholder="all at once" autocomplete="off" />
      </Field>
    </FormDialog>
  );
}

export function DeleteDialog(props: Props) {
  const filter = filterOf(props);
  const found = useCount(async () => (await countAll("delete", filter)).tasks);
  return (
    <FormDialog
      title="Delete the group?"
      submit="Delete"
      danger
      onClose={props.onClose}
      onSubmit={async () => {
        const done = await all("delete", filter);
        tell(`${plural(done, "task")} deleted.`);
        props.onDone();
      }}
    >
      <p data-testid="count">{words(found)}Their errors and payloads are lost.</p>
    </FormDialog>
  );
}
