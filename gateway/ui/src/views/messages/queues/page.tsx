// One message queue or stream: its numbers, settings, bindings, consumers and first messages.

import { useState } from "preact/hooks";
import { useMay } from "@ui/api/caller";
import { getMessageQueue, listBindings, listStreamOffsets, type MessageQueue } from "@ui/api/messages";
import { token } from "@ui/api/token";
import { bytes, count, num, rate } from "@ui/lib/format";
import { usePolled } from "@ui/lib/poll";
import { go } from "@ui/lib/router";
import { Ago, Button, Failure, Panel } from "@ui/parts/basics";
import { BackLink, EVERY_MS, NotShown, Pairs, useBefore } from "@ui/views/messages/frame";
import { addressOf, isStream, kindOf, ratesOf, settingsOf, totalsOf } from "@ui/views/messages/names";
import { BindingTable } from "@ui/views/messages/exchanges/bindings";
import { PublishDialog, Published, type Outcome } from "@ui/views/messages/exchanges/publish";
import { QueueActions } from "@ui/views/messages/queues/actions";
import { Offsets } from "@ui/views/messages/queues/offsets";
import { Consumers } from "@ui/views/messages/queues/consumers";
import { Peek } from "@ui/views/messages/queues/peek";

const MOST_BINDINGS = 200;

export function QueuePage({ host, name }: { host: string; name: string }) {
  const may = useMay();
  const [publishing, setPublishing] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>();
  const [changes, setChanges] = useState(0);
  const { value, failure, gone, refresh } = usePolled(
    async (signal) => {
      const { messageQueue, consumers } = await getMessageQueue(host, name, { signal });
      const { bindings, nextPageToken } = await listBindings(
        host,
        { messageQueue: name },
        { pageSize: MOST_BINDINGS },
        { signal },
      );
      const offsets = isStream(messageQueue) ? await listStreamOffsets(host, name, { signal }) : {};
      return {
        queue: messageQueue,
        offsets: offsets.streamOffsets ?? [],
        consumers: consumers ?? [],
        bindings: bindings ?? [],
        more: Boolean(nextPageToken),
        at: performance.now(),
      };
    },
    EVERY_MS,
    token.value,
  );
  const before = useBefore(value);
  const changed = () => {
    setChanges(changes + 1);
    refresh();
  };
  if (gone || !value) {
    return <NotShown kind="queues" host={host} name={name} gone={gone} failure={failure} />;
  }
  const { queue, consumers, bindings, offsets, more } = value;
  return (
    <div class="view">
      <BackLink kind="queues" host={host} />
      <div class="title">
        <h1 class="long">{name}</h1>
        <span class="muted">{kindOf(queue)}</span>
        <span class="push row">
          {may("messages.publish") && (
            <Button icon="send" onClick={() => setPublishing(true)}>
              Publish message
            </Button>
          )}
          <QueueActions
            queue={queue}
            host={host}
            may={may}
            onDone={changed}
            onDeleted={() => go(addressOf(host, "queues"))}
          />
        </span>
      </div>
      {failure && <Failure message={failure} />}
      {outcome && <Published host={host} outcome={outcome} onClose={() => setOutcome(undefined)} />}
      <Numbers queue={queue} at={value.at} before={before} />
      <div class="columns">
        <div>
          {may("messages.consume") && <Peek host={host} queue={queue} version={changes} />}
          <Consumers queue={queue} consumers={consumers} />
          {isStream(queue) && <Offsets queue={queue} offsets={offsets} />}
          <Panel title="Bindings" class="flush">
            {bindings.length ? (
              <BindingTable host={host} bindings={bindings} may={may} of="queue" onDone={refresh} />
            ) : (
              <p class="note">
                No exchange is bound to it. The default exchange reaches it by its name:{" "}
                <code>{`quorate publish --queue ${name} hello`}</code>
              </p>
            )}
            {more && <p class="note">{`The first ${count(MOST_BINDINGS)} are shown.`}</p>}
          </Panel>
        </div>
        <div>
          <Panel title="Settings">
            <Pairs
              rows={[
                ...settingsOf(queue.effectiveSpec ?? queue.spec ?? {}),
                ...named("Policy", queue.policy),
                ...named("Operator policy", queue.operatorPolicy),
                ["Created", <Ago time={queue.createTime} />],
              ]}
            />
          </Panel>
          <Panel title="Since the leader began">
            <Pairs
              rows={[
                ["Published", count(queue.publishedTotal)],
                ["Delivered", count(queue.deliveredTotal)],
                ...(isStream(queue)
                  ? []
                  : ([
                      ["Acknowledged", count(queue.acknowledgedTotal)],
                      ["Delivered again", count(queue.redeliveredTotal)],
                      ["Dead lettered", count(queue.deadLetteredTotal)],
                    ] as [string, string][])),
                ["Dropped", count(queue.droppedTotal)],
              ]}
            />
          </Panel>
        </div>
      </div>
      {publishing && (
        <PublishDialog
          host={host}
          exchange=""
          routingKey={name}
          onClose={() => setPublishing(false)}
          onDone={(done) => {
            setOutcome(done);
            changed();
          }}
        />
      )}
    </div>
  );
}

const named = (label: string, name: string | undefined): [string, string][] => (name ? [[label, name]] : []);

interface NumbersProps {
  queue: MessageQueue;
  at: number;
  before: { queue: MessageQueue; at: number } | undefined;
}

function Numbers({ queue, at, before }: NumbersProps) {
  const rates = before && ratesOf(totalsOf(before.queue, before.at), totalsOf(queue, at));
  const speed = (value: number | undefined) => (value === undefined ? "–" : rate(value));
  const tiles: [string, preact.ComponentChildren][] = isStream(queue)
    ? [
        ["Messages", count(queue.ready)],
        ["First offset", count(queue.firstOffset)],
        ["Next offset", count(queue.nextOffset)],
      ]
    : [
        ["Ready", count(queue.ready)],
        ["Unacknowledged", count(queue.unacknowledged)],
        ["Delayed", count(queue.delayed)],
      ];
  tiles.push(
    ["Consumers", queue.activeConsumer ? `${count(queue.consumers)}, ${queue.activeConsumer} is active` : count(queue.consumers)],
    ["In/s", speed(rates?.published)],
    ["Out/s", speed(rates?.delivered)],
    ["Oldest", num(queue.ready) && queue.oldestTime ? <Ago time={queue.oldestTime} /> : "–"],
    ["Size", bytes(queue.bytes)],
  );
  return (
    <dl class="numbers" aria-label="Numbers">
      {tiles.map(([label, shown]) => (
        <div key={label} data-name={label}>
          <dt>{label}</dt>
          <dd>{shown}</dd>
        </div>
      ))}
    </dl>
  );
}
