import { useState } from "preact/hooks";
import { createMessageQueue } from "@ui/api/messages";
import { go } from "@ui/lib/router";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { addressOf } from "@ui/views/messages/names";
import {
  DEFAULT_EXCHANGE,
  MOST_PRIORITY,
  NOWHERE,
  OTHER_EXCHANGE,
  OVERFLOWS,
  QUEUE,
  queueOf,
  STREAM,
} from "@ui/views/messages/queues/spec";

interface Props {
  host: string;
  onClose: () => void;
  onDone: () => void;
}

export function CreateMessageQueue({ host, onClose, onDone }: Props) {
  const [type, setType] = useState<string>(QUEUE);
  const stream = type === STREAM;
  const submit = async (data: FormData) => {
    const queue = queueOf(host, (name) => String(data.get(name) ?? "").trim());
    await createMessageQueue(queue);
    tell(`The ${stream ? "stream" : "message queue"} ${queue.name} was created.`);
    onDone();
    go(addressOf(host, "queues", queue.name));
  };
  return (
    <FormDialog
      title="Create a message queue"
      submit={stream ? "Create stream" : "Create message queue"}
      wide
      onClose={onClose}
      onSubmit={submit}
    >
      <div class="fields">
        <Field label="Name" of={["message_queue.name", "MESSAGE_QUEUE_DIFFERS"]} hint="1 to 255 bytes. amq. is reserved.">
          <input name="name" required autofocus maxLength={255} placeholder="mail" autocapitalize="none" autocomplete="off" />
        </Field>
        <Field
          label="Type"
          of="message_queue.spec.type"
          hint={
            stream
              ? "Messages stay. Each consumer reads them from where it wants."
              : "Each message goes to one consumer, and is deleted when it is acknowledged."
          }
        >
          <select name="type" value={type} onChange={(event) => setType(event.currentTarget.value)}>
            <option value={QUEUE}>Queue</option>
            <option value={STREAM}>Stream</option>
          </select>
        </Field>
      </div>
      {stream ? <StreamFields /> : <QueueFields />}
    </FormDialog>
  );
}

function StreamFields() {
  return (
    <div class="fields">
      <Field label="Messages are kept for" of="message_queue.spec.max_age" hint="Such as 12h or 7d.">
        <input name="maxAge" placeholder="no limit" autocomplete="off" />
      </Field>
      <Field label="Bytes" of="message_queue.spec.max_length_bytes" hint="Such as 512M or 2G. The oldest messages go.">
        <input name="maxLengthBytes" placeholder="no limit" autocomplete="off" />
      </Field>
    </div>
  );
}

function QueueFields() {
  const [deadLetters, setDeadLetters] = useState<string>(NOWHERE);
  return (
    <>
      <div class="fields">
        <Field label="Messages expire after" of="message_queue.spec.message_ttl" hint="Such as 30s or 1h.">
          <input name="messageTtl" placeholder="never" autocomplete="off" />
        </Field>
        <Field label="Delivery limit" of="message_queue.spec.delivery_limit" hint="How often a message may come back. 0: no limit.">
          <input name="deliveryLimit" inputMode="numeric" placeholder="20" autocomplete="off" />
        </Field>
      </div>
      <div class="fields">
        <Field label="Ready messages" of="message_queue.spec.max_length" hint="At most so many.">
          <input name="maxLength" inputMode="numeric" placeholder="no limit" autocomplete="off" />
        </Field>
        <Field label="Bytes" of="message_queue.spec.max_length_bytes" hint="Such as 512M or 2G.">
          <input name="maxLengthBytes" placeholder="no limit" autocomplete="off" />
        </Field>
      </div>
      <div class="fields">
        <Field label="Dead letters" of="message_queue.spec.dead_letter_exchange" hint="Messages that were rejected, expired or dropped.">
          <select
            name="deadLetters"
            value={deadLetters}
            onChange={(event) => setDeadLetters(event.currentTarget.value)}
          >
            <option value={NOWHERE}>are deleted</option>
            <option value={DEFAULT_EXCHANGE}>go to a message queue</option>
            <option value={OTHER_EXCHANGE}>go to an exchange</option>
          </select>
        </Field>
        {deadLetters === OTHER_EXCHANGE && (
          <Field label="Dead letter exchange">
            <input name="deadLetterExchange" maxLength={255} autocapitalize="none" autocomplete="off" />
          </Field>
        )}
        {deadLetters !== NOWHERE && (
          <Field
            label={deadLetters === OTHER_EXCHANGE ? "With routing key" : "Dead letter queue"}
            of="message_queue.spec.dead_letter_routing_key"
            hint={deadLetters === OTHER_EXCHANGE ? "Empty: the message's own." : "Its name."}
          >
            <input
              name="deadLetterRoutingKey"
              maxLength={255}
              required={deadLetters === DEFAULT_EXCHANGE}
              autocapitalize="none"
              autocomplete="off"
            />
          </Field>
        )}
      </div>
      <div class="fields">
        <Field label="When it is full" of="message_queue.spec.overflow">
          <select name="overflow">
            {OVERFLOWS.map(({ value, label }) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Highest priority" of="message_queue.spec.max_priority" hint={`1 to ${MOST_PRIORITY}. Empty: no priorities.`}>
          <input name="maxPriority" inputMode="numeric" placeholder="none" autocomplete="off" />
        </Field>
      </div>
      <div class="checks">
        <label>
          <input type="checkbox" name="single" /> One consumer is active at a time
        </label>
      </div>
    </>
  );
}
