// A message for a test, and what became of it.

import { Fragment } from "preact";
import { publish } from "@ui/api/messages";
import { sentence } from "@ui/api/rest";
import { num, plural } from "@ui/lib/format";
import { base64, Unreadable } from "@ui/lib/words";
import { href } from "@ui/lib/router";
import { Button } from "@ui/parts/basics";
import { Field, FormDialog } from "@ui/parts/dialog";
import { addressOf, exchangeText } from "@ui/views/messages/names";
import { headersOf } from "@ui/views/messages/values";

/** Of a body, characters that the form takes. */
const MOST = 100_000;
const MOST_NAMED = 10;

export interface Outcome {
  /** The message queues that have it, at most 100. */
  queues: string[];
  count: number;
  /** In which it became a task. */
  taskQueues: string[];
}

interface Props {
  host: string;
  exchange: string;
  /** Of a message queue: its name. Not to be changed. */
  routingKey?: string;
  onClose: () => void;
  onDone: (outcome: Outcome) => void;
}

export function PublishDialog({ host, exchange, routingKey: fixed, onClose, onDone }: Props) {
  const submit = async (data: FormData) => {
    const read = (name: string) => String(data.get(name) ?? "");
    const routingKey = fixed ?? read("routingKey");
    const headers = headersOf(read("headers"), "Headers");
    const contentType = read("contentType").trim();
    const { results, queues = [], queueCount, taskQueues = [] } = await publish(host, {
      exchange,
      routingKey,
      body: base64(read("body")),
      properties: { persistent: true, ...(headers && { headers }), ...(contentType && { contentType }) },
    });
    const result = results?.[0];
    if (result?.kind === "KIND_RETURNED") {
      throw new Unreadable(
        `The message is unroutable: ${exchangeText(exchange)} has no binding for ${
          routingKey ? `the routing key “${routingKey}”` : "an empty routing key"
        }. It is in no queue.`,
      );
    }
    if (result) throw new Unreadable(`It was rejected. ${sentence({ detail: result.failure?.message })}`);
    onDone({ queues, count: num(queueCount), taskQueues });
  };
  return (
    <FormDialog
      title={fixed === undefined ? `Publish a message to ${exchange}` : `Publish a message to ${fixed}`}
      submit="Publish message"
      wide
      onClose={onClose}
      onSubmit={submit}
    >
      {fixed === undefined && (
        <Field label="Routing key" of="publications[0].message.routing_key" hint="May be empty.">
          <input name="routingKey" autofocus maxLength={255} autocapitalize="none" autocomplete="off" />
        </Field>
      )}
      <Field label="Body">
        <textarea name="body" class="mono" rows={5} maxLength={MOST} autofocus={fixed !== undefined} />
      </Field>
      <div class="fields">
        <Field
          label="Headers"
          of="publications[0].message.properties.headers"
          hint="One name=value on each line. A number, true and false are values of their type."
        >
          <textarea name="headers" class="mono" rows={3} placeholder="retries=3" />
        </Field>
        <Field label="Content type" of="publications[0].message.properties.content_type">
          <input name="contentType" maxLength={255} placeholder="application/json" autocapitalize="none" autocomplete="off" />
        </Field>
      </div>
    </FormDialog>
  );
}

/** Where the message went. */
export function Published({ host, outcome, onClose }: { host: string; outcome: Outcome; onClose: () => void }) {
  const { queues, count, taskQueues } = outcome;
  return (
    <div class="notice good row" role="status">
      <span>
        {(count > 0 || !taskQueues.length) && `The message is durable in ${plural(count, "message queue")}: `}
        {queues.slice(0, MOST_NAMED).map((name, at) => (
          <Fragment key={name}>
            {at > 0 && ", "}
            <a href={addressOf(host, "queues", name)}>{name}</a>
          </Fragment>
        ))}
        {count > MOST_NAMED && ` and ${plural(count - MOST_NAMED, "other")}`}
        {taskQueues.length > 0 && `${count ? ". " : ""}It became a task in: `}
        {taskQueues.slice(0, MOST_NAMED).map((name, at) => (
          <Fragment key={name}>
            {at > 0 && ", "}
            <a href={href("tasks", "", { queue: name })}>{name}</a>
          </Fragment>
        ))}
        {taskQueues.length > MOST_NAMED && ` and ${plural(taskQueues.length - MOST_NAMED, "other")}`}
      </span>
      <span class="push">
        <Button kind="quiet" icon="close" title="Dismiss" onClick={onClose} />
      </span>
    </div>
  );
}
