// The quotas: what callers and queues may use, what they use, and setting it. Read when the view is
// opened and every few seconds after that, as long as one page holds them all.

import { useEffect, useState } from "preact/hooks";
import { getCaller, listQuotas, setQuota } from "@ui/api/actions";
import { token } from "@ui/api/token";
import type { Caller, Quota } from "@ui/api/types";
import { count, num } from "@ui/lib/format";
import { usePages } from "@ui/lib/pages";
import { href, replace } from "@ui/lib/router";
import { Badge, Bar, Button, Empty, Failure, Loading, Panel } from "@ui/parts/basics";
import { confirm } from "@ui/parts/dialog";
import { Segments } from "@ui/parts/segments";
import { Table, type Column } from "@ui/parts/table";
import { tell } from "@ui/parts/toasts";
import { QuotaDialog } from "@ui/views/quotas/dialog";
import {
  amount,
  EVERYBODY,
  isSet,
  keyOf,
  kindOf,
  LIMITS,
  limitText,
  maySet,
  nameOf,
  shareOf,
  subject,
  type Limit,
} from "@ui/views/quotas/limits";

const PAGE = 1000;
/** Rows that are drawn at first, and more of each time. */
const DRAWN = 100;
const EVERY_MS = 5_000;
const KINDS = [
  { value: "", label: "All" },
  { value: "caller", label: "Callers" },
  { value: "queue", label: "Queues" },
] as const;

export function QuotasView({ query }: { query: URLSearchParams }) {
  const kind = query.get("of") ?? "";
  const { items, more, failure, busy, refresh, next } = usePages<Quota>(
    async (pageToken, signal) => {
      const page = await listQuotas({ pageSize: PAGE, pageToken }, { signal });
      return { items: page.quotas, token: page.nextPageToken };
    },
    token.value,
  );
  const [caller, setCaller] = useState<Caller>();
  const [drawn, setDrawn] = useState(DRAWN);
  const [edited, setEdited] = useState<Quota | "new">();

  useEffect(() => {
    const abort = new AbortController();
    // Without an answer nothing is left out: what may not be done is refused with a sentence.
    getCaller({ signal: abort.signal }).then(({ caller: found }) => setCaller(found), () => {});
    return () => abort.abort();
  }, [token.value]);

  const onePage = items !== undefined && !more && items.length <= PAGE;
  useEffect(() => {
    if (!onePage) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) void refresh();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [onePage]);

  const may = maySet(caller);
  const rows = (items ?? []).filter((quota) => !kind || kindOf(quota) === kind);
  const create = may && (
    <Button kind="primary" icon="plus" onClick={() => setEdited("new")}>
      Set quota
    </Button>
  );
  const reset = (quota: Quota) =>
    confirm({
      title: `Set ${subject(kindOf(quota), nameOf(quota))} back to the defaults?`,
      text:
        nameOf(quota) === EVERYBODY
          ? "The limits of the schedulers' configuration hold again."
          : `What is set for ${subject(kindOf(quota), EVERYBODY)}, or the default, holds instead.`,
      submit: "Set back",
      act: async () => {
        await setQuota(quota.caller ? { caller: quota.caller } : { queue: quota.queue });
        tell(`The defaults hold for ${subject(kindOf(quota), nameOf(quota))}.`);
        await refresh();
      },
    });
  return (
    <div class="view">
      <div class="title">
        <h1>Quotas</h1>
        {items && <span class="muted">{`${count(rows.length)}${more ? "+" : ""}`}</span>}
        <span class="push row" data-create>
          {create}
          <Button icon="retry" busy={busy && items === undefined} onClick={() => void refresh()}>
            Refresh
          </Button>
        </span>
      </div>
      <Segments
        label="Whose quotas"
        options={KINDS}
        value={kind}
        onChange={(chosen) => replace(href("quotas", "", { of: chosen }))}
      />
      {items && !may && (
        <p class="muted">
          {`${caller?.name ?? "You"} may read quotas. Ask an admin to change them.`}
        </p>
      )}
      {items && may && !items.some(isSet) && (
        <p class="muted">
          No quota was set: the defaults hold. Set one to keep a caller or a queue from taking the
          cluster from the others.
        </p>
      )}
      <Panel title="What is used, and what may be" class="flush bare">
        {failure && <Failure message={failure} />}
        {!items && !failure && <Loading />}
        {items && !rows.length && (
          <Empty icon="quotas" title={kind === "queue" ? "No queue uses anything" : "No quotas"}>
            <p>
              {may
                ? "Whoever has tasks on record or calls under way is listed here, and whoever has a quota."
                : "What you may see is listed here once you have tasks on record."}
            </p>
            {create}
          </Empty>
        )}
        {rows.length > 0 && (
          <Table
            label="Quotas"
            columns={columns(shownLimits(rows), may, caller?.name, (quota) => setEdited(quota), reset)}
            items={rows.slice(0, drawn)}
            keyOf={keyOf}
          />
        )}
      </Panel>
      {(rows.length > drawn || more) && (
        <Button
          busy={busy && rows.length <= drawn}
          onClick={() => {
            setDrawn(drawn + DRAWN);
            if (rows.length <= drawn) void next();
          }}
        >
          Show more
        </Button>
      )}
      {edited && (
        <QuotaDialog
          quota={edited === "new" ? undefined : edited}
          known={items ?? []}
          onClose={() => setEdited(undefined)}
          onDone={() => void refresh()}
        />
      )}
    </div>
  );
}

/** Large values have a column once somebody uses or limits them: else six are enough. */
function shownLimits(rows: readonly Quota[]): readonly Limit[] {
  const large = rows.some((row) => num(row.usage?.blobBytes) > 0 || row.limits?.blobBytes !== undefined);
  return large ? LIMITS : LIMITS.filter(({ name }) => name !== "blobBytes");
}

function columns(
  limits: readonly Limit[],
  may: boolean,
  me: string | undefined,
  edit: (quota: Quota) => void,
  reset: (quota: Quota) => void,
): Column<Quota>[] {
  const shown: Column<Quota>[] = [
    {
      name: "Of",
      wide: true,
      cell: (quota) => <Of quota={quota} me={me} />,
    },
    ...limits.map((limit) => ({
      name: limit.title,
      minor: !limit.ofQueues,
      cell: (quota: Quota) => <Use quota={quota} limit={limit} />,
    })),
  ];
  if (!may) return shown;
  const actions = (quota: Quota) => (
    <span class="actions">
      {isSet(quota) && (
        <Button
          kind="quiet"
          icon="trash"
          title={`Set ${subject(kindOf(quota), nameOf(quota))} back to the defaults`}
          onClick={() => reset(quota)}
        />
      )}
      <Button
        kind="quiet"
        icon="edit"
        title={`Edit the quota of ${subject(kindOf(quota), nameOf(quota))}`}
        onClick={() => edit(quota)}
      />
    </span>
  );
  return [...shown, { name: "Actions", right: true, cell: actions }];
}

function Of({ quota, me }: { quota: Quota; me: string | undefined }) {
  const name = nameOf(quota);
  const kind = kindOf(quota);
  return (
    <div class="row">
      {kind === "queue" && name !== EVERYBODY ? (
        <a href={href("tasks", "", { queue: name })}>
          <strong>{name}</strong>
        </a>
      ) : (
        <strong>{name === EVERYBODY ? `Every other ${kind}` : name}</strong>
      )}
      {name !== EVERYBODY && <small class="muted">{kind}</small>}
      {kind === "caller" && name === me && <Badge tone="running">you</Badge>}
    </div>
  );
}

/** "12 of 100" with a bar; a limit that was set here stands out. */
function Use({ quota, limit: { name, label } }: { quota: Quota; limit: Limit }) {
  const most = quota.inForce?.[name];
  if (most === undefined) return <span class="zero no-limit">–</span>;
  const own = quota.limits?.[name] !== undefined;
  const used = quota.usage?.[name];
  const share = shareOf(quota, name);
  const text = limitText(name, most);
  const title = own ? "Set for this one" : "Not set for this one: a default";
  return (
    <span class={own ? "quota own" : "quota"} title={title}>
      <span>
        {used !== undefined && <span class="number">{`${amount(name, used)} of `}</span>}
        <span class="most">{text}</span>
      </span>
      {share !== undefined && (
        <Bar share={share} text="" label={`${label}: ${amount(name, used)} of ${text}`} />
      )}
    </span>
  );
}
