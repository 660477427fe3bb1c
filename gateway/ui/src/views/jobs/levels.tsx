// The reduces of a job: a row for each level, and what the last one gave.

import type { Job, JobReduceLevel } from "@ui/api/jobs";
import { count, num, plain } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Badge, Bar, Panel } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";
import { doneText, resultText, share, toneOf } from "@ui/views/jobs/names";
import { workName } from "@ui/views/task/names";

interface Row {
  level: JobReduceLevel;
  place: number;
  of: number;
}

const columns: readonly Column<Row>[] = [
  {
    name: "Level",
    cell: ({ level, place, of }) => (
      <a href={href("jobs", level.id)}>
        {place} of {of}
      </a>
    ),
  },
  {
    name: "State",
    cell: ({ level }) => <Badge tone={toneOf(level)}>{plain(level.state, "JOB_STATE_")}</Badge>,
  },
  {
    name: "Done",
    wide: true,
    cell: ({ level, place }) => (
      <Bar share={share(level)} text={doneText(level)} label={`Done of level ${place}`} calm />
    ),
  },
  { name: "Failed", right: true, cell: ({ level }) => count(level.counts?.failed) },
];

export function Levels({ job }: { job: Job }) {
  const { reduce, spec } = job;
  const work = spec?.reduce?.template;
  const fanIn = num(spec?.reduce?.fanIn);
  const of = num(reduce?.levels);
  const rows = (reduce?.started ?? []).map((level, at) => ({ level, place: at + 1, of }));
  return (
    <Panel title="Reduce" class="flush">
      <p class="note">
        <span class="mono">{work?.name || workName(work)}</span>{" "}
        {fanIn ? `gets ${count(fanIn)} results at most` : "gets all results"}
        {rows.length === 0 && ", once all subtasks have succeeded"}
      </p>
      {rows.length > 0 && (
        <Table label="Levels" columns={columns} items={rows} keyOf={({ level }) => level.id} />
      )}
      {job.state === "JOB_STATE_SUCCEEDED" && (
        <pre tabIndex={0} class="code" aria-label="Result">
          {resultText(job)}
        </pre>
      )}
    </Panel>
  );
}
