// The limits that queues share: what they allow, what is used, and changing them. Read when the view
// is opened and every few seconds after that.

import { useEffect, useState } from "preact/hooks";
import { deleteLimit, getCaller, listLimits } from "@ui/api/actions";
import { token } from "@ui/api/token";
import type { Caller, Limit } from "@ui/api/types";
import { count, num, plural } from "@ui/lib/format";
import { rateText, useText } from "@ui/lib/limits";
import { usePages } from "@ui/lib/pages";
import { Ago, Bar, Button, Empty, Failure, Loading, Panel } from "@ui/parts/basics";
import { confirm } from "@ui/parts/dialog";
import { Table, type Column } from "@ui/parts/table";
import { tell } from "@ui/parts/toasts";
import { LimitDialog } from "@ui/views/limits/dialog";

const PAGE = 1000;
const EVERY_MS = 2_000;

export function LimitsView() {
  // A cluster has at most so many: they are one page.
  const { items, failure, busy, refresh } = usePages<Limit>(async (pageToken, signal) => {
    const page = await listLimits({ pageSize: PAGE, pageToken }, { signal });
    return { items: page.limits, token: page.nextPageToken };
  }, token.value);
  const [caller, setCaller] = useState<Caller>();
  const [edited, setEdited] = useState<Limit | "new">();

  useEffect(() => {
    const abort = new AbortController();
    getCaller({ signal: abort.signal }).then(({ caller: found }) => setCaller(found), () => {});
    return () => abort.abort();
  }, [token.value]);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) void refresh();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, []);

  const may = maySet(caller);
  const create = may && (
    <Button kind="primary" icon="plus" onClick={() => setEdited("new")}>
      Create limit
    </Button>
  );
  const remove = (limit: Limit) =>
    confirm({
      title: `Delete the limit ${limit.name}?`,
      text: num(limit.liveTasks)
        ? `${plural(num(limit.liveTasks), "unfinished task")} name it: it can be deleted when they are finished.`
        : "New tasks that name it will be refused.",
      submit: "Delete limit",
      act: async () => {
        await deleteLimit(limit.name);
        tell(`The limit ${limit.name} was deleted.`);
        await refresh();
      },
    });
  return (
    <div class="view">
      <div class="title">
        <h1>Limits</h1>
        {items && <span class="muted">{count(items.length)}</span>}
        <span class="push row" data-create>
          {create}
          <Button icon="retry" busy={busy && items === undefined} onClick={() => void refresh()}>
            Refresh
          </Button>
        </span>
      </div>
      <Panel title="Limits that queues share" class="flush bare">
        {failure && <Failure message={failure} />}
        {!items && !failure && <Loading />}
        {items && !items.length && (
          <Empty icon="limits" title="No limits">
            <p>
              A limit says how many tasks that name it run at once, or how often they start, in all
              queues together. The limits of one queue are settings of the queue.
            </p>
            {create}
          </Empty>
        )}
        {items !== undefined && items.length > 0 && (
          <Table
            label="Limits"
            columns={columns(may, (limit) => setEdited(limit), remove)}
            items={items}
            keyOf={(limit) => limit.name}
          />
        )}
      </Panel>
      {edited && (
        <LimitDialog
          limit={edited === "new" ? undefined : edited}
          onClose={() => setEdited(undefined)}
          onDone={() => void refresh()}
        />
      )}
    </div>
  );
}

function columns(
  may: boolean,
  edit: (limit: Limit) => void,
  remove: (limit: Limit) => void,
): Column<Limit>[] {
  const shown: Column<Limit>[] = [
    { name: "Limit", wide: true, cell: (limit) => <strong>{limit.name}</strong> },
    { name: "Running tasks", cell: (limit) => <Use limit={limit} /> },
    {
      name: "Starts",
      cell: ({ rate }) => (rate ? rateText(rate) : <span class="zero no-limit">–</span>),
    },
    {
      name: "Unfinished tasks",
      right: true,
      cell: ({ liveTasks }) => <span class="number">{count(liveTasks)}</span>,
    },
    { name: "Created", right: true, minor: true, cell: (limit) => <Ago time={limit.createTime} /> },
  ];
  if (!may) return shown;
  const actions = (limit: Limit) => (
    <span class="actions">
      <Button kind="quiet" icon="edit" title={`Edit ${limit.name}`} onClick={() => edit(limit)} />
      <Button
        kind="quiet"
        icon="trash"
        title={`Delete ${limit.name}`}
        onClick={() => remove(limit)}
      />
    </span>
  );
  return [...shown, { name: "Actions", right: true, cell: actions }];
}

function Use({ limit }: { limit: Limit }) {
  const text = useText(limit.running, limit.maxRunning);
  const most = num(limit.maxRunning);
  return (
    <span class="quota">
      <span class="number">{text}</span>
      {most > 0 && (
        <Bar share={num(limit.running) / most} text="" label={`${limit.name}: ${text}`} />
      )}
    </span>
  );
}

/** Whether somebody may change limits. A cluster that does not say will refuse. */
export function maySet(caller: Caller | undefined): boolean {
  if (!caller?.name) return true;
  return (caller.permissions ?? []).includes("limits.write") && !caller.patterns?.length;
}
