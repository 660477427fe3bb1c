// What can be done with the selected tasks, or with all that the filter lets through.

import { useEffect, useRef, useState } from "preact/hooks";
import { cancelTask, deleteTask, listTasks, retryTask, type UpdateRequest } from "@ui/api/actions";
import type { May } from "@ui/api/caller";
import type { Task } from "@ui/api/types";
import { count, plural } from "@ui/lib/format";
import { Unreadable } from "@ui/lib/words";
import { Button } from "@ui/parts/basics";
import { confirm } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { canCancel, canRetry, isFinal } from "@ui/views/task/names";
import { Problem } from "@ui/api/rest";
import { bulk, type Progress } from "@ui/views/tasks/bulk";
import { cancelMany, ofIds } from "@ui/views/tasks/cancel-many";
import type { Filter } from "@ui/views/tasks/filter";
import { actOnAll, countAll, requestOf } from "@ui/views/tasks/whole";
import { matcher } from "@ui/views/tasks/pager";
import { UpdateDialog } from "@ui/views/tasks/update-dialog";
import { preview, requestsOf, updateMany, type Change } from "@ui/views/tasks/update-many";

interface BulkBarProps {
  selected: ReadonlySet<string>;
  filter: Filter;
  may: May;
  taskOf: (id: string) => Task | undefined;
  onClear: () => void;
}

const VERBS = {
  retry: { act: retryTask, applies: canRetry, done: "to be tried again" },
  cancel: { act: cancelTask, applies: canCancel, done: "cancelled" },
  delete: { act: deleteTask, applies: isFinal, done: "deleted" },
} as const;
type Verb = keyof typeof VERBS;

export function BulkBar({ selected, filter, may, taskOf, onClear }: BulkBarProps) {
  const [everything, setEverything] = useState(false);
  const [progress, setProgress] = useState<Progress & { total?: number }>();
  const [changing, setChanging] = useState(false);
  const stop = useRef<AbortController | undefined>(undefined);
  useEffect(() => setEverything(false), [selected]);
  useEffect(() => () => stop.current?.abort(), []);
  if (!selected.size && !progress) return null;

  const run = async (verb: Verb, total?: number) => {
    const control = new AbortController();
    stop.current = control;
    const show = (now: Progress) => setProgress({ ...now, total });
    show({ done: 0, skipped: 0, failed: 0, message: "" });
    try {
      const end = await carryOut(verb, show, control.signal);
      tell(summary(end, VERBS[verb].done), { failed: end.failed > 0 });
    } catch (error) {
      tell((error as Error).message, { failed: true });
    }
    setProgress(undefined);
    onClear();
  };
  const carryOut = async (verb: Verb, show: (now: Progress) => void, signal: AbortSignal) => {
    const { act, applies } = VERBS[verb];
    try {
      if (everything) return await actOnAll(verb, requestOf(verb, filter), show, signal);
      if (verb === "cancel") return await cancelMany(ofIds([...selected]), show, signal);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    const ids = everything
      ? matching(filter, applies, signal)
      : chosen([...selected], (id) => {
          const task = taskOf(id);
          return !task || applies(task);
        });
    return bulk(ids, act, show, signal);
  };
  const all = everything ? "all matching tasks" : plural(selected.size, "task");
  const change = async (made: Change) => {
    const calls = requestsOf(everything ? undefined : [...selected], filter);
    const found = await updateMany(calls, made, true, () => {}, new AbortController().signal);
    if (!found.updated) throw new Unreadable(`${preview(found)} Nothing is to be done.`);
    const title = `Change ${plural(found.updated, "task")}`;
    confirm({
      title: `${title}?`,
      text: preview(found),
      submit: title,
      danger: false,
      act: async () => {
        void update(calls, made);
      },
    });
  };
  const update = async (calls: readonly UpdateRequest[], made: Change) => {
    const control = new AbortController();
    stop.current = control;
    setProgress({ done: 0, skipped: 0, failed: 0, message: "" });
    try {
      const { updated, notWaiting, others, refused } = await updateMany(
        calls, made, false, setProgress, control.signal,
      );
      const message = "the other queue did not accept them";
      const end = { done: updated, skipped: notWaiting + others, failed: refused, message };
      tell(summary(end, "changed"), { failed: refused > 0 });
    } catch (error) {
      tell((error as Error).message, { failed: true });
    }
    setProgress(undefined);
    onClear();
  };
  const ask = async (verb: Verb) => {
    let what = all;
    let text = CONSEQUENCES[verb];
    let total: number | undefined;
    if (everything) {
      try {
        const { tasks, running } = await countAll(verb, requestOf(verb, filter));
        total = tasks;
        what = plural(tasks, "task");
        if (verb === "cancel") {
          text = `${count(tasks - running)} waiting, ${count(running)} assigned or running. ${text}`;
        }
      } catch (error) {
        // A scheduler of an earlier version does not count.
        if (!isMissing(error)) {
          tell((error as Error).message, { failed: true });
          return;
        }
      }
    }
    if (verb === "retry" && !everything) {
      void run(verb);
      return;
    }
    const title = `${verb[0]!.toUpperCase()}${verb.slice(1)} ${what}?`;
    confirm({
      title,
      text,
      submit: title.slice(0, -1),
      danger: verb !== "retry",
      act: async () => {
        void run(verb, total);
      },
    });
  };
  return (
    <div class="bulk" role="region" aria-label="Selected tasks">
      {progress ? (
        <>
          {progress.total !== undefined && (
            <progress max={progress.total} value={progress.done} aria-label="Tasks done" />
          )}
          <span>
            {count(progress.done)} {progress.total !== undefined && `of ${count(progress.total)} `}done
            {progress.skipped > 0 && `, ${count(progress.skipped)} not applicable`}
            {progress.failed > 0 && `, ${count(progress.failed)} failed`}
          </span>
          <Button onClick={() => stop.current?.abort()}>Stop</Button>
        </>
      ) : (
        <>
          <strong>{everything ? "All matching" : count(selected.size)} selected</strong>
          {!everything && (
            <button type="button" class="link" onClick={() => setEverything(true)}>
              Select all that match the filter
            </button>
          )}
          <span class="push" />
          {may("tasks.control") && (
            <>
              <Button icon="edit" onClick={() => setChanging(true)}>
                Change
              </Button>
              <Button icon="retry" onClick={() => void ask("retry")}>
                Retry
              </Button>
              <Button icon="cancel" onClick={() => void ask("cancel")}>
                Cancel
              </Button>
              <Button icon="trash" kind="danger" onClick={() => void ask("delete")}>
                Delete
              </Button>
            </>
          )}
          {changing && (
            <UpdateDialog what={all} onClose={() => setChanging(false)} onChange={change} />
          )}
          <Button kind="quiet" icon="close" title="Clear the selection" onClick={onClear} />
        </>
      )}
    </div>
  );
}

const CONSEQUENCES: Record<Verb, string> = {
  retry: "Failed, cancelled and expired ones get fresh attempts; others are left alone.",
  cancel: "Waiting tasks are cancelled at once. Running attempts are ended first. Finished tasks stay as they are.",
  delete: "Records, results and errors of finished ones are gone for good. Others are left alone.",
};

/** A scheduler of an earlier version has no such call. */
const isMissing = (error: unknown): boolean =>
  error instanceof Problem && error.details.code === "UNIMPLEMENTED";

function summary({ done, skipped, failed, message }: Progress, what: string): string {
  const parts = [`${plural(done, "task")} ${what}`];
  if (skipped) parts.push(`${count(skipped)} not applicable`);
  if (failed) parts.push(`${count(failed)} failed: ${message}`);
  const text = parts.join(", ");
  return text.endsWith(".") ? text : `${text}.`;
}

async function* chosen(ids: string[], applies: (id: string) => boolean): AsyncGenerator<string> {
  for (const id of ids) if (applies(id)) yield id;
}

/** Ids of all tasks that the filter lets through and the action applies to. */
async function* matching(
  { queue, states, text }: Filter,
  applies: (task: Task) => boolean,
  signal: AbortSignal,
): AsyncGenerator<string> {
  // Also looked for here: a scheduler of an earlier version would list, and we delete, all tasks.
  const matches = matcher(text);
  let pageToken = "";
  do {
    const page = await listTasks({ queue, states, text, pageSize: 1000, pageToken }, { signal });
    for (const task of page.tasks ?? []) {
      if (applies(task) && (!matches || matches(task))) yield task.id;
    }
    pageToken = page.nextPageToken ?? "";
  } while (pageToken && !signal.aborted);
}
