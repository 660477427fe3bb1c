// Dead letters: failed tasks grouped by error, and what can be done with a group. Read when it is opened
// and when asked to, not live.

import { useState } from "preact/hooks";
import { listDeadLetters } from "@ui/api/actions";
import { useMay } from "@ui/api/caller";
import { useQueues } from "@ui/api/store";
import type { DeadLetterGroup } from "@ui/api/types";
import { count, num, shortId } from "@ui/lib/format";
import { usePages } from "@ui/lib/pages";
import { href, replace } from "@ui/lib/router";
import { Ago, Button, Count, Empty, Failure, Loading, Panel } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";
import { DeleteDialog, RetryDialog } from "@ui/views/dead/dialogs";
import { GroupTasks } from "@ui/views/dead/tasks";

const PAGE = 100;

export function DeadView({ query }: { query: URLSearchParams }) {
  const queue = query.get("queue") ?? "";
  const [total, setTotal] = useState(0);
  const [open, setOpen] = useState("");
  const [asked, setAsked] = useState<{ act: "retry" | "delete"; group?: DeadLetterGroup }>();
  const { items, more, failure, busy, refresh, next } = usePages<DeadLetterGroup>(
    async (pageToken, signal) => {
      const page = await listDeadLetters({ queue, pageSize: PAGE, pageToken }, { signal });
      setTotal(num(page.total));
      return { items: page.groups, token: page.nextPageToken };
    },
    queue,
  );
  const control = useMay()("tasks.control");
  const rows = items ?? [];
  const done = () => {
    setOpen("");
    void refresh();
  };
  const dialog = { queue, onClose: () => setAsked(undefined), onDone: done };
  return (
    <div class="view">
      <div class="title">
        <h1>Dead letters</h1>
        {items && <span class="muted">{`${count(total)} failed`}</span>}
        <span class="push row">
          <QueueFilter queue={queue} />
          <Button icon="retry" busy={busy} onClick={() => void refresh()}>
            Refresh
          </Button>
          {control && rows.length > 0 && (
            <Button icon="play" onClick={() => setAsked({ act: "retry" })}>
              Retry all
            </Button>
          )}
        </span>
      </div>
      <Panel title="Failed tasks by error" class="flush bare">
        {failure && <Failure message={failure} />}
        {!items && !failure && <Loading />}
        {items && !rows.length && (
          <Empty icon="dead" title="No failed tasks">
            <p>Tasks that have used all of their attempts are listed here, grouped by their errors.</p>
          </Empty>
        )}
        {rows.length > 0 && (
          <Table
            label="Dead letters"
            columns={columns(open, control, setOpen, setAsked)}
            items={rows}
            keyOf={keyOf}
            below={(group) =>
              open === keyOf(group) && <GroupTasks group={group} control={control} onRetried={() => void refresh()} />
            }
          />
        )}
      </Panel>
      {more && (
        <Button busy={busy} onClick={() => void next()}>
          Show more
        </Button>
      )}
      {asked?.act === "retry" && <RetryDialog {...dialog} group={asked.group} />}
      {asked?.act === "delete" && <DeleteDialog {...dialog} group={asked.group!} />}
    </div>
  );
}

function QueueFilter({ queue }: { queue: string }) {
  const names = [...(useQueues().value?.keys() ?? [])].sort();
  return (
    <select
      aria-label="Queue"
      value={queue}
      onChange={(event) => replace(href("dead", "", { queue: event.currentTarget.value }))}
    >
      <option value="">All queues</option>
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

const keyOf = ({ queue, id }: DeadLetterGroup) => `${queue}/${id}`;

const columns = (
  open: string,
  control: boolean,
  setOpen: (key: string) => void,
  ask: (asked: { act: "retry" | "delete"; group: DeadLetterGroup }) => void,
): readonly Column<DeadLetterGroup>[] => [
  {
    name: "Error",
    wide: true,
    message: true,
    cell: (group) => (
      <span>
        <strong>{group.mixed ? "Errors of many kinds" : group.errorType}</strong>{" "}
        {!group.mixed && group.errorMessage}
      </span>
    ),
  },
  { name: "Tasks", right: true, cell: ({ count: tasks }) => <Count value={tasks} tone="failed" /> },
  {
    name: "Queue",
    cell: ({ queue }) => <a href={href("tasks", "", { queue, state: "failed" })}>{queue}</a>,
  },
  { name: "First", minor: true, cell: ({ firstTime }) => <Ago time={firstTime} /> },
  { name: "Last", cell: ({ lastTime }) => <Ago time={lastTime} /> },
  {
    name: "Example",
    minor: true,
    cell: ({ exampleTask: task = "", exampleName: name }) => (
      <a href={href("tasks", task)}>{name || shortId(task)}</a>
    ),
  },
  {
    name: "Actions",
    right: true,
    cell: (group) => (
      <span class="actions">
        <Button
          kind="quiet"
          icon="tasks"
          title={open === keyOf(group) ? "Hide the tasks" : "Show the tasks"}
          pressed={open === keyOf(group)}
          onClick={() => setOpen(open === keyOf(group) ? "" : keyOf(group))}
        />
        {control && (
          <>
            <Button
              kind="quiet"
              icon="play"
              title="Retry the group"
              onClick={() => ask({ act: "retry", group })}
            />
            <Button
              kind="quiet"
              icon="trash"
              title="Delete the group"
              onClick={() => ask({ act: "delete", group })}
            />
          </>
        )}
      </span>
    ),
  },
];
