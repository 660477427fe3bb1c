// The replicas of a service that do not run now, and why: one that keeps failing is tried again for
// ever, with growing pauses, and is an instance only while it runs.

import { useTasks } from "@ui/api/store";
import type { Service, Task } from "@ui/api/types";
import { plural, shortId } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Ago, Count, TaskBadge } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";

const SHOWN = 5;
// Of all services together: so many replicas that do not run are looked at, the newest ones.
const FILTER = {
  queue: "services",
  states: ["TASK_STATE_SCHEDULED", "TASK_STATE_PENDING", "TASK_STATE_PAUSED"],
  limit: 500,
};

/** Nothing while all replicas are there. Only for services that have replicas. */
export function Waiting({ service }: { service: Service }) {
  const tasks = useTasks(FILTER).value;
  const rows = replicasOf(service.name, tasks);
  if (!rows.length) return null;
  const left = rows.length - SHOWN;
  return (
    <>
      <Table
        label={`Replicas of ${service.name} that do not run`}
        columns={COLUMNS}
        items={rows.slice(0, SHOWN)}
        keyOf={(task) => task.id}
      />
      {left > 0 && (
        <p class="note">
          <a href={href("tasks", "", { queue: FILTER.queue, q: service.name })}>
            {plural(left, "more replica does", "more replicas do")} not run
          </a>
        </p>
      )}
    </>
  );
}

/** Those that failed most often first. */
export function replicasOf(service: string, tasks: ReadonlyMap<string, Task> | undefined): Task[] {
  return [...(tasks?.values() ?? [])]
    .filter((task) => task.spec?.service?.service === service)
    .sort((a, b) => (b.failures ?? 0) - (a.failures ?? 0) || a.id.localeCompare(b.id));
}

const COLUMNS: readonly Column<Task>[] = [
  {
    name: "Replica",
    cell: ({ id }) => (
      <a class="mono" href={href("tasks", id)} title={id}>
        {shortId(id)}
      </a>
    ),
  },
  { name: "State", cell: (task) => <TaskBadge task={task} /> },
  { name: "Attempts", right: true, cell: ({ attempt }) => <Count value={attempt} /> },
  {
    name: "Last error",
    message: true,
    cell: ({ attempt, error }) =>
      error ? (
        <>
          <span class="error-type">{error.type}</span> {error.message}
        </>
      ) : (
        <span class="muted">{attempt ? "–" : "none: it waits for its first start"}</span>
      ),
  },
  {
    name: "Next start",
    right: true,
    cell: ({ state, scheduleTime, pendingReason }) =>
      state === "TASK_STATE_SCHEDULED" ? (
        <Ago time={scheduleTime} />
      ) : (
        <span class="muted">{pendingReason ? "it fits no node" : "when a node has room"}</span>
      ),
  },
];
