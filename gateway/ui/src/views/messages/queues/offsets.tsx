// The named offsets of a stream, and how far their readers are behind.

import type { MessageQueue, StreamOffset } from "@ui/api/messages";
import { count, num } from "@ui/lib/format";
import { Ago, Count, Panel } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";

export function Offsets({ queue, offsets }: { queue: MessageQueue; offsets: readonly StreamOffset[] }) {
  const columns: readonly Column<StreamOffset>[] = [
    { name: "Name", wide: true, cell: ({ name }) => <strong>{name}</strong> },
    { name: "Offset", right: true, cell: ({ offset }) => count(offset) },
    {
      name: "Behind",
      right: true,
      cell: ({ offset }) => <Count value={Math.max(0, num(queue.nextOffset) - num(offset))} />,
    },
    { name: "Stored", right: true, minor: true, cell: ({ updateTime }) => <Ago time={updateTime} /> },
  ];
  return (
    <Panel title="Named offsets" class="flush">
      {offsets.length ? (
        <Table label="Named offsets" columns={columns} items={offsets} keyOf={({ name }) => name} />
      ) : (
        <p class="note">
          No reader has stored an offset: <code>{`quorate consume ${queue.name} --offset-name NAME`}</code>
        </p>
      )}
    </Panel>
  );
}
