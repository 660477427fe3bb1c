// The exchanges of a virtual host: where producers publish.

import { useState } from "preact/hooks";
import { useMay, type May } from "@ui/api/caller";
import { listExchanges, type Exchange } from "@ui/api/messages";
import { count } from "@ui/lib/format";
import { Ago, Button, Count, Panel } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";
import { CreateExchange, DeleteExchange } from "@ui/views/messages/exchanges/dialogs";
import { Choices, ListHead, More, useFilter, useListed } from "@ui/views/messages/frame";
import { addressOf, isPredeclared, optionsOf, typeOf } from "@ui/views/messages/names";

export function ExchangeList({ host }: { host: string }) {
  const may = useMay();
  const [creating, setCreating] = useState(false);
  const [text, filter] = useFilter("Name of the exchange");
  const list = useListed<Exchange>(async (pageSize, signal) => {
    const page = await listExchanges(host, { pageSize }, { signal });
    return { items: page.exchanges, token: page.nextPageToken };
  }, host);
  const { items, refresh } = list;
  const found = items?.filter(({ name }) => name.toLowerCase().includes(text.toLowerCase()));
  const create = may("exchanges.write") && (
    <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
      Create exchange
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
      <Choices kind="exchanges" host={host}>
        {items && filter}
      </Choices>
      <Panel title="Exchanges" class="flush bare">
        <ListHead list={list} host={host} />
        {found && found.length > 0 && (
          <Table
            label="Exchanges"
            columns={columns(host, may, refresh)}
            items={found}
            keyOf={({ name }) => name}
          />
        )}
        {items && !found?.length && <p class="note">{`No exchange of this list has “${text}” in its name.`}</p>}
        {items?.every(isPredeclared) && (
          <p class="note">
            Only the predeclared exchanges are here. Create one, bind a message queue to it, and publish:{" "}
            <code>quorate exchange create orders --type topic</code>
          </p>
        )}
      </Panel>
      <More list={list} kind="exchanges" host={host} text={text} found={found?.length ?? 0} />
      {creating && <CreateExchange host={host} onClose={() => setCreating(false)} onDone={refresh} />}
    </div>
  );
}

const columns = (host: string, may: May, refresh: () => void): Column<Exchange>[] => {
  const shown: Column<Exchange>[] = [
    {
      name: "Exchange",
      wide: true,
      cell: (exchange) => (
        <div class="row">
          <a href={addressOf(host, "exchanges", exchange.name)}>
            <strong>{exchange.name}</strong>
          </a>
          {isPredeclared(exchange) && <small class="muted">predeclared</small>}
        </div>
      ),
    },
    { name: "Type", cell: typeOf },
    { name: "Bindings", right: true, cell: ({ bindings }) => <Count value={bindings} /> },
    { name: "Options", cell: (exchange) => optionsOf(exchange) || <span class="zero">–</span> },
    { name: "Created", right: true, minor: true, cell: ({ createTime }) => <Ago time={createTime} /> },
  ];
  if (!may("exchanges.write")) return shown;
  const actions = (exchange: Exchange) =>
    !isPredeclared(exchange) && (
      <span class="actions">
        <DeleteExchange host={host} exchange={exchange} small onDeleted={refresh} />
      </span>
    );
  return [...shown, { name: "Actions", right: true, cell: actions }];
};
