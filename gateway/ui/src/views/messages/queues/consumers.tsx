// Who consumes from a message queue or stream.

import type { Consumer, MessageQueue } from "@ui/api/messages";
import { count, num } from "@ui/lib/format";
import { Badge, Bar, Count, Panel } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";

export function Consumers({ queue, consumers }: { queue: MessageQueue; consumers: readonly Consumer[] }) {
  const rows = consumers.map((one, at) => ({ ...one, at }));
  return (
    <Panel title="Consumers" class="flush">
      {rows.length ? (
        <Table label="Consumers" columns={COLUMNS} items={rows} keyOf={({ at }) => String(at)} />
      ) : (
        <p class="note">
          Nobody consumes from it: <code>{`quorate consume ${queue.name}`}</code>
        </p>
      )}
      {num(queue.consumers) > rows.length && rows.length > 0 && (
        <p class="note">{`The first ${count(rows.length)} of ${count(queue.consumers)} are shown.`}</p>
      )}
    </Panel>
  );
}

const COLUMNS: readonly Column<Consumer>[] = [
  {
    name: "Consumer",
    wide: true,
    cell: (one) => (
      <div class="row">
        <strong>{one.name || `number ${one.consumer}`}</strong>
        {!one.active && <Badge tone="scheduled">waits</Badge>}
        {one.exclusive && <small class="muted">exclusive</small>}
      </div>
    ),
  },
  { name: "Acknowledges", minor: true, cell: ({ automaticAck }) => (automaticAck ? "automatically" : "itself") },
  { name: "Unacknowledged", right: true, cell: ({ unacknowledged }) => <Count value={unacknowledged} /> },
  {
    name: "Prefetch",
    right: true,
    cell: ({ name, consumer, prefetch, unacknowledged }) =>
      prefetch ? (
        <Bar
          share={num(unacknowledged) / prefetch}
          text={count(prefetch)}
          label={`Prefetch of ${name || consumer} in use`}
          calm
        />
      ) : (
        "no limit"
      ),
  },
  { name: "Priority", right: true, minor: true, cell: ({ priority }) => count(priority) },
];
