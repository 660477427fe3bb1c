// The newest tasks of a group of dead letters.

import { useEffect, useState } from "preact/hooks";
import { listTasks } from "@ui/api/actions";
import type { DeadLetterGroup, Task } from "@ui/api/types";
import { shortId } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Ago, Failure, Loading } from "@ui/parts/basics";

const SHOWN = 10;

export function GroupTasks({ group: { queue, id } }: { group: DeadLetterGroup }) {
  const [tasks, setTasks] = useState<Task[]>();
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
    <ul class="dead-tasks" aria-label="Newest tasks of the group">
      {tasks.map((task) => (
        <li key={task.id}>
          <a href={href("tasks", task.id)}>{task.spec?.name || shortId(task.id)}</a>{" "}
          <span class="muted">
            {task.error?.message} · attempt {task.attempt} · <Ago time={task.finishTime} />
          </span>
        </li>
      ))}
    </ul>
  );
}
