// Bindings as a table: of an exchange what it leads to, of a message queue where it comes from.

import type { May } from "@ui/api/caller";
import { deleteBinding, type Binding } from "@ui/api/messages";
import { href } from "@ui/lib/router";
import { Button } from "@ui/parts/basics";
import { confirm } from "@ui/parts/dialog";
import { Table, type Column } from "@ui/parts/table";
import { tell } from "@ui/parts/toasts";
import { addressOf, keyOf } from "@ui/views/messages/names";
import { tableText } from "@ui/views/messages/values";

interface Props {
  host: string;
  bindings: readonly Binding[];
  may: May;
  /** Whose they are: of an exchange they lead away, of a queue they lead there. */
  of: "exchange" | "queue";
  label?: string;
  onDone: () => void;
}

export function BindingTable({ host, bindings, may, of, label = "Bindings", onDone }: Props) {
  const remove = (binding: Binding) => {
    const to = nameOf(binding);
    confirm({
      title: `Unbind ${to} from ${binding.source}?`,
      text: `Messages of ${binding.source}${
        binding.routingKey ? ` with the routing key ${binding.routingKey}` : ""
      } do not go to ${to} by this binding any more.`,
      submit: "Unbind",
      act: async () => {
        await deleteBinding(binding);
        tell(`${to} was unbound from ${binding.source}.`);
        onDone();
      },
    });
  };
  const other: Column<Binding> =
    of === "exchange"
      ? { name: "To", wide: true, cell: (binding) => <Destination host={host} binding={binding} /> }
      : {
          name: "From exchange",
          wide: true,
          cell: ({ source }) => (
            <a href={addressOf(host, "exchanges", source)}>
              <strong>{source}</strong>
            </a>
          ),
        };
  const columns: Column<Binding>[] = [
    other,
    {
      name: "Routing key",
      cell: ({ routingKey }) =>
        routingKey ? <span class="mono">{routingKey}</span> : <span class="zero">–</span>,
    },
    {
      name: "Arguments",
      cell: ({ arguments: given }) => tableText(given) || <span class="zero">–</span>,
    },
  ];
  if (may("exchanges.write")) {
    columns.push({
      name: "Actions",
      right: true,
      cell: (binding) => (
        <span class="actions">
          <Button
            kind="quiet"
            icon="trash"
            title={`Unbind ${of === "exchange" ? nameOf(binding) : binding.source}`}
            onClick={() => remove(binding)}
          />
        </span>
      ),
    });
  }
  return <Table label={label} columns={columns} items={bindings} keyOf={keyOf} />;
}

const nameOf = (binding: Binding): string =>
  binding.exchange || binding.taskQueue || binding.messageQueue || "";

function Destination({ host, binding }: { host: string; binding: Binding }) {
  const name = nameOf(binding);
  const address = binding.taskQueue
    ? href("tasks", "", { queue: name })
    : addressOf(host, binding.exchange ? "exchanges" : "queues", name);
  return (
    <div class="row">
      <a href={address}>
        <strong>{name}</strong>
      </a>
      {binding.exchange && <small class="muted">exchange</small>}
      {binding.taskQueue && <small class="muted">task queue</small>}
    </div>
  );
}
