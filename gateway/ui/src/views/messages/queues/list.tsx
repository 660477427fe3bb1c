// The message queues and streams of a virtual host: what waits in each, and who consumes it.

import { useState } from "preact/hooks";
import { useMay, type May } from "@ui/api/caller";
import { listMessageQueues, type MessageQueue } from "@ui/api/messages";
import { count, num, rate } from "@ui/lib/format";
import { Ago, Button, Count, Empty, Panel } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";
import { Choices, ListHead, More, useBefore, useFilter, useListed } from "@ui/views/messages/frame";
import { addressOf, isStream, kindOf, ratesOf, totalsOf, type Rates } from "@ui/views/messages/names";
import { QueueActions } from "@ui/views/messages/queues/actions";
import { CreateMessageQueue } from "@ui/views/messages/queues/create";

export function QueueList({ host }: { host: string }) {
  const may = useMay();
  const [creating, setCreating] = useState(false);
  const [text, filter] = useFilter("Name of the message queue");
  const list = useListed<MessageQueue>(async (pageSize, signal) => {
    const page = await listMessageQueues(host, { pageSize }, { signal });
    return { items: page.messageQueues, token: page.nextPageToken };
  }, host);
  const before = useBefore(list.value);
  const { items, refresh } = list;
  const found = items?.filter(({ name }) => name.toLowerCase().includes(text.toLowerCase()));
  const past = new Map(before?.items?.map((queue) => [queue.name, queue]));
  const rates = (queue: MessageQueue): Rates | undefined => {
    const old = past.get(queue.name);
    return old && ratesOf(totalsOf(old, before?.at ?? 0), totalsOf(queue, list.value?.at ?? 0));
  };
  const create = may("message_queues.write") && (
    <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
      Create message queue
    </Button>
  );
  return (
    <div class="view">
      <div class="title">
        <h1>Messages</h1>
        {items && <span class="muted">{`${count(items.length)}${list.more ? "+" : ""}`}</span>}
        <span class="push row" data-create>
          {create}
          <Button icon="retry" onClick={refresh}>
            Refresh
          </Button>
        </span>
      </div>
      <Choices kind="queues" host={host}>
        {items && items.length > 0 && filter}
      </Choices>
      <Panel title="Message queues and streams" class="flush bare">
        <ListHead list={list} host={host} />
        {items && !items.length && (
          <Empty icon="messages" title="No message queues">
            <p>
              A message queue holds messages until a consumer has acknowledged them. It is another thing
              than a queue of tasks. Create one, publish a message and read it:
            </p>
            <p>
              <code>quorate mq create mail</code>
            </p>
            <p>
              <code>quorate publish --queue mail hello</code>
            </p>
            {create}
          </Empty>
        )}
        {found && found.length > 0 && (
          <Table
            label="Message queues"
            columns={columns(host, may, rates, refresh)}
            items={found}
            keyOf={({ name }) => name}
          />
        )}
        {items && items.length > 0 && !found?.length && <p class="note">{`No message queue of this list has “${text}” in its name.`}</p>}
      </Panel>
      <More list={list} kind="queues" host={host} text={text} found={found?.length ?? 0} />
      {creating && (
        <CreateMessageQueue host={host} onClose={() => setCreating(false)} onDone={refresh} />
      )}
    </div>
  );
}

const columns = (
  host: string,
  may: May,
  rates: (queue: MessageQueue) => Rates | undefined,
  refresh: () => void,
): Column<MessageQueue>[] => {
  const shown: Column<MessageQueue>[] = [
    {
      name: "Message queue",
      wide: true,
      cell: (queue) => (
        <div class="row">
          <a href={addressOf(host, "queues", queue.name)}>
            <strong>{queue.name}</strong>
          </a>
          {queue.spec?.exclusive && <small class="muted">private</small>}
        </div>
      ),
    },
    { name: "Kind", cell: kindOf },
    { name: "Ready", right: true, cell: ({ ready }) => <Count value={ready} /> },
    {
      name: "Unacknowledged",
      right: true,
      cell: (queue) => (isStream(queue) ? <None /> : <Count value={queue.unacknowledged} />),
    },
    { name: "Delayed", right: true, minor: true, cell: ({ delayed }) => <Count value={delayed} /> },
    { name: "Consumers", right: true, cell: ({ consumers }) => <Count value={consumers} /> },
    { name: "In/s", right: true, cell: (queue) => <Rate value={rates(queue)?.published} /> },
    { name: "Out/s", right: true, cell: (queue) => <Rate value={rates(queue)?.delivered} /> },
    {
      name: "Oldest",
      right: true,
      cell: (queue) => (num(queue.ready) && queue.oldestTime ? <Ago time={queue.oldestTime} /> : <None />),
    },
  ];
  if (!may("message_queues.write")) return shown;
  const actions = (queue: MessageQueue) => (
    <span class="actions">
      <QueueActions queue={queue} host={host} may={may} small onDone={refresh} onDeleted={refresh} />
    </span>
  );
  return [...shown, { name: "Actions", right: true, cell: actions }];
};

const None = () => <span class="zero">–</span>;

/** Per second; unknown until there are two readings. */
function Rate({ value }: { value: number | undefined }) {
  if (value === undefined) return <None />;
  return <span class={value ? "number" : "number zero"}>{rate(value)}</span>;
}
