// The newest tasks of a group of dead letters.

import { useEffect, useState } from "preact/hooks";
import { listTasks } from "@ui/api/actions";
import type { DeadLetterGroup, Task } from "@ui/api/types";
import { shortId } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Ago, Button, Failure, Loading } from "@ui/parts/basics";
import { canRetry, taskName } from "@ui/views/task/names";
import { RedriveDialog } from "@ui/views/task/redrive";
import { canRedrive } from "@ui/views/task/redrive-spec";

const SHOWN = 10;

interface Props {
  group: DeadLetterGroup;
  /** The caller may retry them. */
  control: boolean;
  onRetried: () => void;
}

export function GroupTasks({ group: { queue, id }, control, onRetried }: Props) {
  const [tasks, setTasks] = useState<Task[]>();
  const [changed, setChanged] = useState<Task>();
  const [failure, setFailure] = useState("");
  useEffect(() => {
    const abort = new AbortController();
    listTasks({ queue, errorGroup: id, pageSize: SHOWN }, { signal: abort.signal })
      .then((page) => setTasks(page.tasks ?? []))
      .catch((error: Error) => abort.signal.aborted || setFailure(error.message));
    return () => abort.abort();
  }, [queue, id]);
  if (failure) return <Failure message={failure} />;
  if (!tasks) return <Loading />;
  return (
    <>
      {changed && (
        <RedriveDialog task={changed} onClose={() => setChanged(undefined)} onDone={onRetried} />
      )}
      <ul class="dead-tasks" aria-label="Newest tasks of the group">
        {tasks.map((task) => (
          <li key={task.id}>
            <span>
              <a href={href("tasks", task.id)}>{task.spec?.name || shortId(task.id)}</a>{" "}
              <span class="muted">
                {task.error?.message} · attempt {task.attempt} · <Ago time={task.finishTime} />
              </span>
            </span>
            {control && canRetry(task) && canRedrive(task) && (
              <Button
                kind="quiet"
                icon="edit"
                title={`Retry ${taskName(task)} with changes`}
                onClick={() => setChanged(task)}
              />
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
