// A `Pager` for the filter, joined with the live subscription.

import { useEffect, useMemo, useReducer } from "preact/hooks";
import { getTask, listTasks } from "@ui/api/actions";
import { live } from "@ui/api/live";
import type { ProgressItem, Task } from "@ui/api/types";
import { isTaskId, type Filter } from "@ui/views/tasks/filter";
import { matcher, Pager, type Fetch } from "@ui/views/tasks/pager";

/** `atTop` says whether new tasks may come in above; `version` starts anew. */
export function usePager(filter: Filter, version: number, atTop: { readonly current: boolean }) {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const { queue, states, text } = filter;
  const key = JSON.stringify([queue, states, text, version]);
  const pager = useMemo(() => new Pager(fetcher(filter), matcher(text), () => draw(0)), [key]);
  useEffect(() => () => pager.close(), [pager]);
  useEffect(
    () =>
      live.subscribe(
        "tasks",
        { limit: 100, progress: true, ...(queue ? { queue } : {}), ...(states.length ? { states } : {}) },
        {
          snapshot: (items) => take(items as Task[], []),
          delta: (changed, removed) => take(changed as Task[], removed),
          progress: (said) => {
            for (const one of said as ProgressItem[]) pager.report(one);
            draw(0);
          },
        },
      ),
    [pager],
  );
  function take(changed: Task[], removed: string[]): void {
    for (const id of removed) pager.remove(id);
    // Oldest first: each then goes on top.
    changed.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const task of changed) pager.upsert(task, atTop.current);
    draw(0);
  }
  return pager;
}

function fetcher({ queue, states, text }: Filter): Fetch {
  if (isTaskId(text)) {
    return async (_token, _size, signal) => {
      try {
        return { tasks: [(await getTask(text.trim(), { signal })).task] };
      } catch (error) {
        if ((error as { reason?: string }).reason?.includes("NOT_FOUND")) return {};
        throw error;
      }
    };
  }
  return (pageToken, pageSize, signal) =>
    listTasks({ queue, states, text, pageSize, pageToken }, { signal });
}
