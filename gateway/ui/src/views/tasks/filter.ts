// The list's filter as the address has it: `#/tasks?state=failed,running&queue=mail&q=report`.

import { TASK_STATES, type TaskState } from "@ui/api/types";
import { plain } from "@ui/lib/format";
import { href } from "@ui/lib/router";

export interface Filter {
  queue: string;
  states: TaskState[];
  text: string;
}

/** States that exist in this version, in the order of a task's life. */
export const SHOWN_STATES = TASK_STATES.filter(
  (state) => !["TASK_STATE_BLOCKED", "TASK_STATE_PAUSED", "TASK_STATE_EXPIRED"].includes(state),
);

export function readFilter(query: URLSearchParams): Filter {
  const names = (query.get("state") ?? "").split(",").filter(Boolean);
  return {
    queue: query.get("queue") ?? "",
    states: TASK_STATES.filter((state) => names.includes(plain(state, "TASK_STATE_"))),
    text: query.get("q") ?? "",
  };
}

export function filterHref({ queue, states, text }: Filter): string {
  return href("tasks", "", {
    queue,
    state: states.map((state) => plain(state, "TASK_STATE_")).join(","),
    q: text,
  });
}

/** Ids are 32 hexadecimal digits. */
export const isTaskId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text.trim());
