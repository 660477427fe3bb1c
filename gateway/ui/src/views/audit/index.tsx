// The audit log: who changed what, newest first. Read when it is opened and when asked to, not live;
// older pages on top of each other as they are wanted.

import { listAuditEntries } from "@ui/api/actions";
import type { AuditChange, AuditEntry } from "@ui/api/types";
import { count, shortId } from "@ui/lib/format";
import { usePages } from "@ui/lib/pages";
import { href, replace } from "@ui/lib/router";
import { Ago, Button, Empty, Failure, Loading, Panel } from "@ui/parts/basics";
import { Segments } from "@ui/parts/segments";
import { Table, type Column } from "@ui/parts/table";

const PAGE = 100;
const TYPES = [
  { value: "", label: "All" },
  { value: "queue", label: "Queues" },
  { value: "node", label: "Nodes" },
  { value: "service", label: "Services" },
  { value: "task", label: "Tasks" },
  { value: "job", label: "Jobs" },
  { value: "schedule", label: "Schedules" },
  { value: "quota", label: "Quotas" },
  { value: "limit", label: "Limits" },
  { value: "pause", label: "Pauses" },
  { value: "message_queue", label: "Message queues" },
  { value: "exchange", label: "Exchanges" },
] as const;

export function AuditView({ query }: { query: URLSearchParams }) {
  const type = query.get("type") ?? "";
  const { items, more, failure, busy, refresh, next } = usePages<AuditEntry>(
    async (pageToken, signal) => {
      const filter = { resourceType: type, pageSize: PAGE, pageToken };
      const page = await listAuditEntries(filter, { signal });
      return { items: page.entries, token: page.nextPageToken };
    },
    type,
  );

  const rows = items ?? [];
  return (
    <div class="view">
      <div class="title">
        <h1>Audit log</h1>
        {items && <span class="muted">{`${count(rows.length)}${more ? "+" : ""}`}</span>}
        <span class="push">
          <Button icon="retry" busy={busy} onClick={() => void refresh()}>
            Refresh
          </Button>
        </span>
      </div>
      <Segments
        label="What was changed"
        options={TYPES}
        value={type}
        onChange={(chosen) => replace(href("audit", "", { type: chosen }))}
      />
      <Panel title="Who changed what" class="flush bare">
        {failure && <Failure message={failure} />}
        {!items && !failure && <Loading />}
        {items && !rows.length && !more && (
          <Empty icon="audit" title="No changes on record">
            <p>
              Queues, nodes, services and tasks that somebody changes are listed here, unless the
              schedulers run with <code>--audit-keep 0</code>.
            </p>
          </Empty>
        )}
        {rows.length > 0 && (
          <Table label="Audit log" columns={COLUMNS} items={rows} keyOf={(entry) => entry.id} />
        )}
      </Panel>
      {more && (
        <Button busy={busy} onClick={() => void next()}>
          Show older
        </Button>
      )}
    </div>
  );
}

const COLUMNS: readonly Column<AuditEntry>[] = [
  { name: "When", cell: ({ time }) => <Ago time={time} /> },
  {
    name: "Who",
    cell: ({ caller, role, credential, peer }) => (
      <span title={[credential && `by ${credential}`, peer && `from ${peer}`].filter(Boolean).join(" ")}>
        <strong>{caller}</strong> <small class="muted">{role}</small>
      </span>
    ),
  },
  { name: "Did", cell: ({ method = "" }) => method.slice(method.lastIndexOf("/") + 1) },
  { name: "To", cell: (entry) => <Resource entry={entry} /> },
  { name: "Changed", wide: true, cell: ({ changes = [] }) => changes.map(words).join(", ") || "–" },
];

function Resource({ entry }: { entry: AuditEntry }) {
  const { resourceType: type = "", resourceName: name = "" } = entry;
  const links: Record<string, string> = {
    queue: href("tasks", "", { queue: name }),
    node: href("nodes", name),
    service: href("services"),
    quota: href("quotas"),
    job: href("jobs", name),
    task: href("tasks", name),
  };
  return (
    <span class="audited">
      {type} <a href={links[type] ?? href("audit")}>{["task", "job"].includes(type) ? shortId(name) : name}</a>
    </span>
  );
}

/** As `quorate audit` says it. */
function words({ field, before, after }: AuditChange): string {
  if (before && after) return `${field} ${before} → ${after}`;
  if (before) return `${field} was ${before}`;
  return after ? `${field} ${after}` : field;
}
