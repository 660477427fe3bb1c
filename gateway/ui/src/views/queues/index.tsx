// The queues: how deep, how fast, how old the oldest task, and what can be done with them.

import { useState } from "preact/hooks";
import { deleteQueue, resumeQueue } from "@ui/api/actions";
import { useMay, type May } from "@ui/api/caller";
import { queueRates, useQueues } from "@ui/api/store";
import type { Queue } from "@ui/api/types";
import { count, num, plain, plural, rate } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Ago, Badge, Button, Count, Empty, Loading, Panel } from "@ui/parts/basics";
import { Spark } from "@ui/parts/chart";
import { confirm } from "@ui/parts/dialog";
import { Table, type Column } from "@ui/parts/table";
import { attempt, tell } from "@ui/parts/toasts";
import { CreateQueueDialog } from "@ui/views/queues/create";
import { MessagesButton, OpenMessages } from "@ui/views/queues/messages";
import { PauseDialog, pausedWords } from "@ui/views/queues/pause";
import { Pauses } from "@ui/views/queues/pauses";
import { limitsText, QueueSettingsDialog } from "@ui/views/queues/settings";

export function QueuesView() {
  const queues = useQueues().value;
  const [creating, setCreating] = useState(false);
  const [pausing, setPausing] = useState(false);
  const rows = [...(queues?.values() ?? [])].sort((a, b) => a.name.localeCompare(b.name));
  const may = useMay();
  const create = may("queues.write") && (
    <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
      Create queue
    </Button>
  );
  const actions: Column<Queue> = {
    name: "Actions",
    right: true,
    cell: (queue) => <Actions queue={queue} may={may} />,
  };
  return (
    <div class="view">
      <div class="title">
        <h1>Queues</h1>
        {queues && <span class="muted">{count(queues.size)}</span>}
        <span class="push row" data-create>
          {may("queues.control") && (
            <Button icon="pause" onClick={() => setPausing(true)}>
              Pause tasks
            </Button>
          )}
          {create}
        </span>
      </div>
      <Panel title="All queues" class="flush bare">
        {!queues && <Loading />}
        {queues && !rows.length && (
          <Empty icon="queues" title="No queues">
            {create}
          </Empty>
        )}
        {rows.length > 0 && (
          <Table label="Queues" columns={may("queues.write") || may("queues.control") ? [...COLUMNS, actions] : COLUMNS} items={rows} keyOf={(queue) => queue.name} />
        )}
      </Panel>
      <Pauses adding={pausing} mayEnd={may("queues.control")} onClose={() => setPausing(false)} />
      {creating && <CreateQueueDialog onClose={() => setCreating(false)} />}
      <OpenMessages />
    </div>
  );
}

type State = "pending" | "running" | "scheduled" | "succeeded" | "failed" | "cancelled" | "expired";

/** A state that few tasks are in: no column of its own. */
function Few({ queue: { name, counts }, state }: { queue: Queue; state: "expired" | "paused" | "blocked" }) {
  const number = num(counts?.[state]);
  if (!number) return null;
  return (
    <a href={href("tasks", "", { queue: name, state })}>
      <small>{`${count(number)} ${state}`}</small>
    </a>
  );
}

const counted = (state: State, minor = false): Column<Queue> => ({
  name: state[0]!.toUpperCase() + state.slice(1),
  right: true,
  minor,
  cell: ({ name, counts }) => (
    <a class="plain" href={href("tasks", "", { queue: name, state })}>
      <Count value={counts?.[state]} tone={state === "failed" ? "failed" : ""} />
    </a>
  ),
});

const COLUMNS: readonly Column<Queue>[] = [
  {
    name: "Queue",
    wide: true,
    cell: (queue) => (
      <div class="row">
        <a href={href("tasks", "", { queue: queue.name })}>
          <strong>{queue.name}</strong>
        </a>
        {queue.pause && (
          <span title={pausedWords(queue)}>
            <Badge tone="paused">{queue.paused ? "paused" : "accepts no tasks"}</Badge>
          </span>
        )}
        {queue.takesMessages && <MessagesButton queue={queue.name} />}
        {notes(queue) && <small class="muted">{notes(queue)}</small>}
        <Few queue={queue} state="expired" />
        <Few queue={queue} state="paused" />
        <Few queue={queue} state="blocked" />
      </div>
    ),
  },
  {
    name: "Depth, 2 min",
    minor: true,
    cell: (queue) => <Spark column={`queue.${queue.name}`} least={4} colour="--c-pending" />,
  },
  counted("pending"),
  counted("running"),
  counted("scheduled", true),
  counted("succeeded"),
  counted("failed"),
  counted("cancelled", true),
  {
    name: "Finished/s",
    right: true,
    cell: (queue) => {
      const value = queueRates.value.get(queue.name) ?? 0;
      return <span class={value ? "number" : "number zero"}>{rate(value)}</span>;
    },
  },
  {
    name: "Oldest waits",
    right: true,
    cell: (queue) =>
      queue.oldestPendingTime ? <Ago time={queue.oldestPendingTime} /> : <span class="zero">–</span>,
  },
];

/** What a queue has beside the defaults: its placement, and its limits. */
function notes(queue: Queue): string {
  const name = plain(queue.placement, "PLACEMENT_STRATEGY_");
  const usual = ["", "unspecified", "least loaded"].includes(name);
  const events = queue.events?.exchange;
  return [usual ? "" : name, limitsText(queue), events && `events to ${events}`]
    .filter(Boolean)
    .join("; ");
}

function Actions({ queue, may }: { queue: Queue; may: May }) {
  const { name, pause, counts } = queue;
  const [pausing, setPausing] = useState(false);
  const states: (State | "paused" | "blocked")[] = [
    "pending",
    "running",
    "scheduled",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
    "paused",
    "blocked",
  ];
  const held = states.reduce((sum, state) => sum + num(counts?.[state]), 0);
  const remove = () =>
    confirm({
      title: `Delete the queue ${name}?`,
      text: "It is empty. What refers to it by name will fail.",
      submit: "Delete queue",
      act: async () => {
        await deleteQueue(name);
        tell(`The queue ${name} was deleted.`);
      },
    });
  const [editing, setEditing] = useState(false);
  return (
    <span class="actions">
      {may("queues.write") && (
        <Button
          kind="quiet"
          icon="edit"
          title={`Settings of ${name}`}
          onClick={() => setEditing(true)}
        />
      )}
      {editing && <QueueSettingsDialog queue={queue} onClose={() => setEditing(false)} />}
      {may("queues.control") &&
        (pause ? (
          <Button
            kind="quiet"
            icon="play"
            title={`Resume ${name}`}
            onClick={() => void attempt(() => resumeQueue(name), `${name} goes on.`)}
          />
        ) : (
          <Button
            kind="quiet"
            icon="pause"
            title={`Pause ${name}`}
            onClick={() => setPausing(true)}
          />
        ))}
      {pausing && <PauseDialog name={name} onClose={() => setPausing(false)} />}
      {may("queues.write") && name !== "default" && (
        <Button
          kind="quiet"
          icon="trash"
          title={
            held
              ? `${name} cannot be deleted: it has ${plural(held, "task")}, finished ones included`
              : `Delete ${name}`
          }
          disabled={held > 0}
          onClick={remove}
        />
      )}
    </span>
  );
}
