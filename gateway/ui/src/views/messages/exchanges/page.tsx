// One exchange: its options, and its bindings as a drawing and as a table.

import { useState } from "preact/hooks";
import { useMay } from "@ui/api/caller";
import { getExchange } from "@ui/api/messages";
import { token } from "@ui/api/token";
import { count, num } from "@ui/lib/format";
import { usePolled } from "@ui/lib/poll";
import { go } from "@ui/lib/router";
import { Ago, Button, Failure, Panel } from "@ui/parts/basics";
import { BackLink, EVERY_MS, NotShown } from "@ui/views/messages/frame";
import { addressOf, isPredeclared, optionsOf, typeOf } from "@ui/views/messages/names";
import { BindingTable } from "@ui/views/messages/exchanges/bindings";
import { BindDialog, DeleteExchange } from "@ui/views/messages/exchanges/dialogs";
import { RouteDrawing } from "@ui/views/messages/exchanges/drawing";
import { PublishDialog, Published, type Outcome } from "@ui/views/messages/exchanges/publish";
import { MOST_BINDINGS, MOST_LINES, readRoutes } from "@ui/views/messages/exchanges/routes";

export function ExchangePage({ host, name }: { host: string; name: string }) {
  const may = useMay();
  const [opened, setOpened] = useState<"bind" | "publish">();
  const [outcome, setOutcome] = useState<Outcome>();
  const { value, failure, gone, refresh } = usePolled(
    async (signal) => {
      const { exchange } = await getExchange(host, name, { signal });
      return { exchange, routes: await readRoutes(host, name, signal) };
    },
    EVERY_MS,
    token.value,
  );
  if (gone || !value) {
    return <NotShown kind="exchanges" host={host} name={name} gone={gone} failure={failure} />;
  }
  const { exchange, routes } = value;
  const close = () => setOpened(undefined);
  const write = may("exchanges.write");
  const bind = write && (
    <Button icon="plus" onClick={() => setOpened("bind")}>
      Bind
    </Button>
  );
  const large = routes.more || routes.own.length + routes.further.length > MOST_LINES;
  return (
    <div class="view">
      <BackLink kind="exchanges" host={host} />
      <div class="title">
        <h1 class="long">{name}</h1>
        <span class="muted">{`${typeOf(exchange)} exchange`}</span>
        <span class="push row">
          {may("messages.publish") && !exchange.internal && (
            <Button icon="send" onClick={() => setOpened("publish")}>
              Publish message
            </Button>
          )}
          {bind}
          {write && !isPredeclared(exchange) && (
            <DeleteExchange
              host={host}
              exchange={exchange}
              onDeleted={() => go(addressOf(host, "exchanges"))}
            />
          )}
        </span>
      </div>
      <p class="subtitle">
        <span>
          {isPredeclared(exchange) ? "predeclared" : <>created <Ago time={exchange.createTime} /></>}
          {optionsOf(exchange) && `; ${optionsOf(exchange)}`}
        </span>
      </p>
      {failure && <Failure message={failure} />}
      {outcome && <Published host={host} outcome={outcome} onClose={() => setOutcome(undefined)} />}
      <Panel title="Where its messages go">
        <RouteDrawing host={host} exchange={exchange} routes={routes} />
        {large && <p class="muted">{`Too large to draw: at most ${count(MOST_LINES)} bindings are drawn.`}</p>}
        {!routes.own.length && (
          <p class="muted">
            Nothing is bound to it: its messages reach no message queue. Bind one here, or with{" "}
            <code>{`quorate binding create ${name} QUEUE`}</code>
          </p>
        )}
      </Panel>
      {routes.own.length > 0 && (
        <Panel title="Bindings" class="flush">
          <BindingTable host={host} bindings={routes.own} may={may} of="exchange" onDone={refresh} />
          {routes.more && (
            <p class="note">{`The first ${count(MOST_BINDINGS)} of ${count(num(exchange.bindings))} are shown.`}</p>
          )}
        </Panel>
      )}
      {routes.sources.length > 0 && (
        <Panel title="Bound to other exchanges" class="flush">
          <BindingTable
            host={host}
            bindings={routes.sources}
            may={may}
            of="queue"
            label="Bound to other exchanges"
            onDone={refresh}
          />
          {routes.moreSources && <p class="note">{`The first ${count(MOST_BINDINGS)} are shown.`}</p>}
        </Panel>
      )}
      {opened === "bind" && <BindDialog host={host} exchange={exchange} onClose={close} onDone={refresh} />}
      {opened === "publish" && (
        <PublishDialog host={host} exchange={name} onClose={close} onDone={setOutcome} />
      )}
    </div>
  );
}
