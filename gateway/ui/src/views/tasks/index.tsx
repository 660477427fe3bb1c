// `#/tasks`: the list; `#/tasks/<id>`: one task.

import { TaskList } from "@ui/views/tasks/list";
import { TaskPage } from "@ui/views/task";

export function TasksView({ rest, query }: { rest: string; query: URLSearchParams }) {
  return rest ? <TaskPage id={rest} key={rest} /> : <TaskList query={query} />;
}
