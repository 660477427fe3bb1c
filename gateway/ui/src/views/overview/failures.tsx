// The newest tasks that failed for good.

import type { Task } from "@ui/api/types";
import { href } from "@ui/lib/router";
import { Ago, Empty, Loading, Panel } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";
import { taskName } from "@ui/views/task/names";

export function FailuresPanel({ tasks }: { tasks: ReadonlyMap<string, Task> | undefined }) {
  const rows = [...(tasks?.values() ?? [])].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, 8);
  return (
    <Panel
      title="Recent failures"
      class="flush"
      aside={
        <a class="more" href={href("tasks", "", { state: "failed" })}>
          All failed tasks
        </a>
      }
    >
      {!tasks && <Loading />}
      {tasks && !rows.length && (
        <Empty icon="check" title="Nothing failed">
          Tasks that spent their attempts are listed here, newest first.
        </Empty>
      )}
      {rows.length > 0 && (
        <Table label="Recent failures" columns={COLUMNS} items={rows} keyOf={(task) => task.id} />
      )}
    </Panel>
  );
}

const COLUMNS: readonly Column<Task>[] = [
  {
    name: "Task",
    wide: true,
    cell: (task) => (
      <a href={href("tasks", task.id)}>
        <strong>{taskName(task)}</strong>
      </a>
    ),
  },
  { name: "Queue", cell: (task) => task.queue },
  {
    name: "Error",
    message: true,
    cell: (task) => (
      <>
        <span class="error-type">{task.error?.type}</span> {task.error?.message}
      </>
    ),
  },
  { name: "Failed", right: true, cell: (task) => <Ago time={task.finishTime ?? task.createTime} /> },
];
