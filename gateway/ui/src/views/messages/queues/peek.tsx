// The first messages of a queue, or those of a stream from an offset on. Reading takes nothing.

import { useState } from "preact/hooks";
import { peekMessages, type Delivery, type MessageQueue } from "@ui/api/messages";
import { token } from "@ui/api/token";
import { bytes, clock, count, num, plural } from "@ui/lib/format";
import { usePages } from "@ui/lib/pages";
import { whole } from "@ui/lib/words";
import { Ago, Badge, Button, Failure, Loading, Panel } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";
import { Pairs } from "@ui/views/messages/frame";
import { exchangeText, isStream } from "@ui/views/messages/names";
import { bodyOf, deathsOf, MOST_SHOWN, propertiesOf, shownHeaders, type Death } from "@ui/views/messages/values";

/** Bodies may be large: 1 MiB each. */
const MESSAGES = 10;

interface Props {
  host: string;
  queue: MessageQueue;
  /** Another one: it is read again. */
  version: number;
}

export function Peek({ host, queue, version }: Props) {
  const stream = isStream(queue);
  const [from, setFrom] = useState("");
  const [problem, setProblem] = useState("");
  const offset = stream ? from || String(queue.firstOffset ?? 0) : undefined;
  const { items, failure, busy, refresh } = usePages<Delivery>(
    async (_, signal) => {
      const { messages } = await peekMessages(host, queue.name, { maxMessages: MESSAGES, offset }, { signal });
      return { items: messages, token: undefined };
    },
    `${token.value} ${from} ${version}`,
  );
  const read = (event: SubmitEvent) => {
    event.preventDefault();
    const text = String(new FormData(event.currentTarget as HTMLFormElement).get("offset") ?? "");
    try {
      const typed = whole(text, "Offset", 0, Number.MAX_SAFE_INTEGER);
      setProblem("");
      if (typed === undefined || String(typed) === from) void refresh();
      setFrom(typed === undefined ? "" : String(typed));
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  const aside = stream ? (
    <form class="row tight" onSubmit={read}>
      <input name="offset" class="filter" inputMode="numeric" aria-label="From offset" placeholder="from offset" autocomplete="off" />
      <Button type="submit" icon="retry" busy={busy && items === undefined}>
        Read
      </Button>
    </form>
  ) : (
    <Button icon="retry" busy={busy && items === undefined} onClick={() => void refresh()}>
      Read again
    </Button>
  );
  return (
    <Panel title="First messages" aside={aside}>
      {problem && <Failure message={problem} />}
      {failure && <Failure message={failure} />}
      {!items && !failure && <Loading />}
      {items && !items.length && (
        <p class="muted">{stream ? "There is no message from this offset on." : "No message is ready."}</p>
      )}
      {items && items.length > 0 && (
        <>
          <p class="muted">{`${plural(items.length, "message")} of ${count(queue.ready)}. They stay where they are.`}</p>
          <ol class="peek" aria-label="First messages">
            {items.map((delivery, at) => (
              <li key={String(delivery.id ?? 0)}>
                <One delivery={delivery} stream={stream} first={at === 0} />
              </li>
            ))}
          </ol>
        </>
      )}
    </Panel>
  );
}

function One({ delivery, stream, first }: { delivery: Delivery; stream: boolean; first: boolean }) {
  const { message, publishTime, redelivered, failedDeliveries } = delivery;
  const body = bodyOf(message?.body);
  const headers = shownHeaders(delivery);
  const deaths = deathsOf(delivery);
  return (
    <details open={first}>
      <summary>
        {stream && <strong>{`Offset ${count(delivery.id)}`}</strong>}
        <span class="where">
          {message?.exchange ? (
            <>
              <span class="muted">exchange</span> {message.exchange}
            </>
          ) : (
            "default exchange"
          )}
        </span>
        {message?.routingKey && (
          <span class="where">
            <span class="muted">routing key</span> <span class="mono">{message.routingKey}</span>
          </span>
        )}
        {redelivered && <Badge tone="pending">redelivered</Badge>}
        {num(failedDeliveries) > 0 && <span>{`came back ${plural(num(failedDeliveries), "time")}`}</span>}
        <span class="muted push">
          {bytes(body.size)}, <Ago time={publishTime} />
        </span>
      </summary>
      {body.kind === "empty" ? (
        <p class="muted">The body is empty.</p>
      ) : (
        <pre class={body.kind === "text" ? "code wrap" : "code"} tabIndex={0} aria-label={body.kind === "text" ? "Body" : "Body in hexadecimal"}>
          {body.text}
        </pre>
      )}
      {body.cut && <p class="muted">{`The first ${count(MOST_SHOWN)} bytes are shown.`}</p>}
      <Pairs rows={[...propertiesOf(delivery), ...headers.map(([name, value]) => [`Header ${name}`, value] as const)]} />
      {deaths.length > 0 && (
        <Table
          label="Dead letter history"
          columns={DEATHS}
          items={deaths}
          keyOf={({ queue, reason }) => `${queue} ${reason}`}
        />
      )}
    </details>
  );
}

const DEATHS: readonly Column<Death>[] = [
  { name: "Dead lettered by", wide: true, cell: ({ queue }) => <strong>{queue}</strong> },
  { name: "Reason", cell: ({ reason }) => reason },
  { name: "Times", right: true, cell: (death) => count(death.count) },
  { name: "First", cell: ({ time }) => clock(time).slice(0, 19) },
  { name: "Came from", minor: true, cell: ({ exchange }) => exchangeText(exchange) },
  { name: "Routing keys", minor: true, cell: ({ routingKeys }) => routingKeys || "–" },
];
