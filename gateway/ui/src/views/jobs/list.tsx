// The jobs, newest first: how far each is, and what can be done with it.

import { useState } from "preact/hooks";
import { useMay, type May } from "@ui/api/caller";
import { listJobs, type Job } from "@ui/api/jobs";
import { now, useJobs } from "@ui/api/store";
import { token } from "@ui/api/token";
import { count, num, shortId, span } from "@ui/lib/format";
import { usePages } from "@ui/lib/pages";
import { href, replace } from "@ui/lib/router";
import { Ago, Badge, Bar, Button, Count, Empty, Failure, Loading, Panel } from "@ui/parts/basics";
import { Segments } from "@ui/parts/segments";
import { Table, type Column } from "@ui/parts/table";
import { JobActions } from "@ui/views/jobs/actions";
import { CreateArray } from "@ui/views/jobs/create";
import { useFresh, withFresh } from "@ui/views/jobs/fresh";
import { doneText, jobName, ranFor, share, stateName, toneOf } from "@ui/views/jobs/names";

const PAGE = 100;
const STATES = [
  { value: "", label: "All" },
  { value: "active", label: "Active" },
  { value: "paused", label: "Paused" },
  { value: "succeeded", label: "Succeeded" },
  { value: "failed", label: "Failed" },
  { value: "cancelled", label: "Cancelled" },
] as const;

export function JobList({ query }: { query: URLSearchParams }) {
  const state = query.get("state") ?? "";
  const [creating, setCreating] = useState(false);
  const may = useMay();
  const fresh = useJobs();
  const { items: read, more, failure, busy, refresh, next } = usePages<Job>(
    async (pageToken, signal) => {
      const states = state ? [`JOB_STATE_${state.toUpperCase()}`] : undefined;
      const page = await listJobs({ states, pageSize: PAGE, pageToken }, { signal });
      return { items: page.jobs, token: page.nextPageToken };
    },
    `${token.value} ${state}`,
  );
  const items = useFresh(
    read,
    fresh.value,
    (shown) => withFresh(shown, fresh.value, state),
    read && read.length > PAGE,
  );
  const create = may("tasks.submit") && (
    <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
      Create job
    </Button>
  );
  return (
    <div class="view">
      <div class="title">
        <h1>Jobs</h1>
        {items && <span class="muted">{`${count(items.length)}${more ? "+" : ""}`}</span>}
        <span class="push" data-create>
          {create}
        </span>
      </div>
      <Segments
        label="State"
        options={STATES}
        value={state}
        onChange={(chosen) => replace(href("jobs", "", { state: chosen }))}
      />
      <Panel title="All jobs" class="flush bare">
        {failure && <Failure message={failure} />}
        {!items && !failure && <Loading />}
        {items && !items.length && (
          <Empty icon="jobs" title={state ? `No job is ${state}` : "No jobs"}>
            <p>
              A job runs one thing many times:{" "}
              <code>quorate submit --array 1-1000 -- echo {"{index}"}</code>
            </p>
            {!state && create}
          </Empty>
        )}
        {items && items.length > 0 && (
          <Table
            label="Jobs"
            columns={columns(may, () => void refresh())}
            items={items}
            keyOf={(job) => job.id}
          />
        )}
      </Panel>
      {creating && <CreateArray onClose={() => setCreating(false)} />}
      {more && (
        <Button busy={busy} onClick={() => void next()}>
          Show older
        </Button>
      )}
    </div>
  );
}

const columns = (may: May, refresh: () => void): Column<Job>[] => [
  {
    name: "Job",
    wide: true,
    cell: (job) => (
      <div class="row">
        <a href={href("jobs", job.id)}>
          <strong>{jobName(job)}</strong>
        </a>
        <small class="muted mono">{shortId(job.id)}</small>
      </div>
    ),
  },
  { name: "Queue", minor: true, cell: (job) => job.queue },
  { name: "State", cell: (job) => <Badge tone={toneOf(job)}>{stateName(job)}</Badge> },
  {
    name: "Done",
    cell: (job) => (
      <Bar share={share(job)} text={doneText(job)} label={`Done of ${jobName(job)}`} calm />
    ),
  },
  {
    name: "Failed",
    right: true,
    cell: (job) => (
      <Count value={job.counts?.failed} tone={num(job.counts?.failed) ? "failed" : ""} />
    ),
  },
  { name: "Created", right: true, cell: (job) => <Ago time={job.createTime} /> },
  {
    name: "Ran",
    right: true,
    minor: true,
    cell: (job) => span(Math.floor(ranFor(job, now.value) / 1000) * 1000),
  },
  {
    name: "Actions",
    right: true,
    cell: (job) => (
      <span class="actions">
        <JobActions job={job} may={may} small onDone={refresh} onDeleted={refresh} />
      </span>
    ),
  },
];
