// The newest tasks that failed for good.

import type { Task } from "@ui/api/types";
import { href } from "@ui/lib/router";
import { Ago, Empty, Loading, Panel } from "@ui/parts/basics";
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
        <div class="scroll-x">
          <table class="table">
            <thead>
              <tr>
                <th>Task</th>
                <th>Queue</th>
                <th>Error</th>
                <th class="right">Failed</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((task) => (
                <tr key={task.id}>
                  <td>
                    <a href={href("tasks", task.id)}>{taskName(task)}</a>
                  </td>
                  <td>{task.queue}</td>
                  <td class="wide" title={task.error?.message}>
                    <span class="error-type">{task.error?.type}</span> {task.error?.message}
                  </td>
                  <td class="right muted">
                    <Ago time={task.finishTime ?? task.createTime} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
