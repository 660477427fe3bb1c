// Creating, binding and deleting exchanges.

import { useState } from "preact/hooks";
import { createBinding, createExchange, deleteExchange, type Exchange } from "@ui/api/messages";
import { num, plural } from "@ui/lib/format";
import { go } from "@ui/lib/router";
import { Button } from "@ui/parts/basics";
import { confirm, Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { addressOf, EXCHANGE_TYPES } from "@ui/views/messages/names";
import { headersOf } from "@ui/views/messages/values";

interface Props {
  host: string;
  onClose: () => void;
  onDone: () => void;
}

export function CreateExchange({ host, onClose, onDone }: Props) {
  const [type, setType] = useState<string>(EXCHANGE_TYPES[0].value);
  const submit = async (data: FormData) => {
    const name = String(data.get("name") ?? "").trim();
    const alternate = String(data.get("alternate") ?? "").trim();
    await createExchange({
      virtualHost: host,
      name,
      type,
      autoDelete: data.has("autoDelete"),
      internal: data.has("internal"),
      arguments: alternate ? { "alternate-exchange": { text: alternate } } : {},
    });
    tell(`The exchange ${name} was created.`);
    onDone();
    go(addressOf(host, "exchanges", name));
  };
  return (
    <FormDialog title="Create an exchange" submit="Create exchange" onClose={onClose} onSubmit={submit}>
      <Field label="Name" of={["exchange.name", "EXCHANGE_DIFFERS"]} hint="1 to 255 bytes. amq. is reserved.">
        <input name="name" required autofocus maxLength={255} placeholder="orders" autocapitalize="none" autocomplete="off" />
      </Field>
      <Field label="Type" of="exchange.type" hint={EXCHANGE_TYPES.find(({ value }) => value === type)?.hint}>
        <select name="type" value={type} onChange={(event) => setType(event.currentTarget.value)}>
          {EXCHANGE_TYPES.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </Field>
      <Field label="Alternate exchange" of="exchange.arguments" hint="Gets the messages that no binding matches.">
        <input name="alternate" maxLength={255} placeholder="none" autocapitalize="none" autocomplete="off" />
      </Field>
      <div class="checks">
        <label>
          <input type="checkbox" name="autoDelete" /> Delete it when its last binding goes
        </label>
        <label>
          <input type="checkbox" name="internal" /> Internal: other exchanges alone publish to it
        </label>
      </div>
    </FormDialog>
  );
}

type Destination = "messageQueue" | "exchange" | "taskQueue";

export function BindDialog({ host, exchange, onClose, onDone }: Props & { exchange: Exchange }) {
  const [to, setTo] = useState<Destination>("messageQueue");
  const submit = async (data: FormData) => {
    const name = String(data.get("destination") ?? "").trim();
    await createBinding({
      virtualHost: host,
      source: exchange.name,
      [to]: name,
      routingKey: String(data.get("routingKey") ?? ""),
      arguments: headersOf(String(data.get("arguments") ?? ""), "Arguments") ?? {},
    });
    tell(`${name} was bound to ${exchange.name}.`);
    onDone();
  };
  return (
    <FormDialog title={`Bind to ${exchange.name}`} submit="Bind" onClose={onClose} onSubmit={submit}>
      <div class="fields">
        <Field label="Bind">
          <select name="to" value={to} onChange={(event) => setTo(event.currentTarget.value as Destination)}>
            <option value="messageQueue">a message queue or stream</option>
            <option value="exchange">an exchange</option>
            <option value="taskQueue">a task queue</option>
          </select>
        </Field>
        <Field
          label="Name"
          of={[
            "binding.message_queue",
            "binding.exchange",
            "MESSAGE_QUEUE_NOT_FOUND",
            "EXCHANGE_NOT_FOUND",
            "MESSAGE_QUEUE_LOCKED",
            "binding.task_queue",
            "QUEUE_NOT_FOUND",
            "QUEUE_WITHOUT_TEMPLATE",
          ]}
        >
          <input name="destination" required autofocus maxLength={255} autocapitalize="none" autocomplete="off" />
        </Field>
      </div>
      <Field label="Routing key" of="binding.routing_key" hint={KEY_HINTS[exchange.type ?? ""]}>
        <input name="routingKey" maxLength={255} autocapitalize="none" autocomplete="off" />
      </Field>
      <Field label="Arguments" of="binding.arguments" hint={ARGUMENT_HINTS[exchange.type ?? ""] ?? "One name=value on each line. Seldom needed."}>
        <textarea name="arguments" class="mono" rows={2} />
      </Field>
    </FormDialog>
  );
}

const KEY_HINTS: Record<string, string> = {
  EXCHANGE_TYPE_DIRECT: "Messages with exactly this routing key go there.",
  EXCHANGE_TYPE_FANOUT: "Not used: all messages go there.",
  EXCHANGE_TYPE_TOPIC: "A pattern of words, such as order.*.paid or order.#",
  EXCHANGE_TYPE_HEADERS: "Not used: the arguments are compared with the headers.",
  EXCHANGE_TYPE_CONSISTENT_HASH: "A weight: a whole number, usually 1.",
};
const ARGUMENT_HINTS: Record<string, string> = {
  EXCHANGE_TYPE_HEADERS: "Headers to compare, one name=value on each line. x-match=any: one of them is enough.",
};

interface DeleteProps {
  host: string;
  exchange: Exchange;
  small?: boolean;
  onDeleted: () => void;
}

export function DeleteExchange({ host, exchange, small, onDeleted }: DeleteProps) {
  const { name } = exchange;
  const remove = () =>
    confirm({
      title: `Delete the exchange ${name}?`,
      text: num(exchange.bindings)
        ? `${plural(num(exchange.bindings), "binding")} will be deleted, too. Publishing to it will fail.`
        : "Nothing is bound to it. Publishing to it will fail.",
      submit: "Delete exchange",
      act: async () => {
        await deleteExchange(host, name);
        tell(`The exchange ${name} was deleted.`);
        onDeleted();
      },
    });
  return (
    <Button kind={small ? "quiet" : undefined} icon="trash" title={`Delete ${name}`} onClick={remove}>
      {small ? undefined : "Delete"}
    </Button>
  );
}
