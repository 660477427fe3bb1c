// One job: how far it is, which subtasks failed and why, and what it runs; of a graph its tasks.

import { useEffect, useRef } from "preact/hooks";
import { cancelTask, retryTask } from "@ui/api/actions";
import { getJob, listJobErrors, type Job, type JobErrorGroup } from "@ui/api/jobs";
import { useMay } from "@ui/api/caller";
import { now, useJobs } from "@ui/api/store";
import { count, durationMs, num, percent, span } from "@ui/lib/format";
import { usePolled } from "@ui/lib/poll";
import { go, href } from "@ui/lib/router";
import { Ago, Badge, Bar, Button, Copy, Empty, Failure, Labels, Loading, Panel } from "@ui/parts/basics";
import { Icon } from "@ui/parts/icons";
import { Table, type Column } from "@ui/parts/table";
import { attempt } from "@ui/parts/toasts";
import { JobActions } from "@ui/views/jobs/actions";
import {
  doneText,
  GRAPH_STATES,
  type GraphState,
  hasFailed,
  isFinal,
  isGraph,
  jobName,
  ranFor,
  share,
  speedText,
  stateName,
  STATES,
  subtasksText,
  toneOf,
  total,
} from "@ui/views/jobs/names";
import { asFresh, useFresh } from "@ui/views/jobs/fresh";
import { GraphPanel } from "@ui/views/jobs/graph-view";
import { Levels } from "@ui/views/jobs/levels";
import { Results } from "@ui/views/jobs/results";
import { Strip } from "@ui/views/jobs/strip-view";
import { SpecPanel } from "@ui/views/task/facts";

// Live updates bring the rest; this is for what they leave out, and for when they fail.
const EVERY_MS = 10_000;
const ERRORS_MS = 2_000;

export function JobPage({ id }: { id: string }) {
  const { value, failure, gone, refresh } = usePolled(
    async (signal) => (await getJob(id, { signal })).job,
    EVERY_MS,
    id,
  );
  const fresh = useJobs({ ids: [id] }).value;
  const may = useMay();
  const shown = useFresh(value, fresh, (job) => asFresh(job, fresh));
  const ended = fresh?.get(id)?.finishTime;
  // Its result is to be read.
  useEffect(() => {
    if (ended && value && value.finishTime !== ended) refresh();
  }, [ended]);
  if (gone) {
    return (
      <div class="view">
        <BackLink />
        <Empty icon="search" title="There is no such job">
          <p>
            It was deleted, or its retention has passed: <span class="mono">{id}</span>
          </p>
        </Empty>
      </div>
    );
  }
  if (!shown) {
    return (
      <div class="view">
        <BackLink />
        {failure ? <Failure message={failure} /> : <Loading rows={6} />}
      </div>
    );
  }
  const job = shown;
  const graph = isGraph(job);
  return (
    <div class="view">
      <BackLink />
      <div class="title">
        <h1>{jobName(job)}</h1>
        <Badge tone={toneOf(job)}>{stateName(job)}</Badge>
        <span class="push row">
          <JobActions job={job} may={may} onDone={refresh} onDeleted={() => go(href("jobs"))} />
        </span>
      </div>
      <p class="subtitle">
        <span class="mono">{job.id}</span>
        <Copy text={job.id} what="the id" />
        {job.parent && (
          <span>
            {job.graphTask && `${job.graphTask}, `}part of{" "}
            <a href={href("jobs", job.parent)}>{job.graphTask ? "a graph" : "another job"}</a>
          </span>
        )}
        <span>
          in <a href={href("tasks", "", { queue: job.queue })}>{job.queue}</a>
        </span>
      </p>
      {failure && <Failure message={failure} />}
      <div class="columns">
        <div>
          <Panel title="Progress">
            <div class="job-progress">
              <Bar share={share(job)} text={percentText(job)} label="Done" calm />
              <span>{doneText(job)}</span>
              {!graph && <span class="muted">{speedText(job, now.value)}</span>}
            </div>
            {job.reason && <p class="error-line">{job.reason}</p>}
            {!graph && <Strip job={job} />}
            {!graph && <SubtaskPicker job={job} control={may("tasks.control")} onDone={refresh} />}
            <ul class="legend">
              {statesOf(job).map((state) => (
                <li key={state} class={`tone-${state}`}>
                  <i class="dot" />
                  {state} <b class="number">{count(job.counts?.[state])}</b>
                </li>
              ))}
            </ul>
          </Panel>
          {job.spec?.reduce && <Levels job={job} />}
          {!graph && hasFailed(job) && <Errors job={job} />}
          {!graph && <Results job={job} />}
        </div>
        <div>
          <Facts job={job} />
          {job.spec?.template && <SpecPanel spec={job.spec.template} />}
        </div>
      </div>
      {graph && <GraphPanel job={job} />}
    </div>
  );
}

/** Those of its legend: of an array in a graph some subtasks may wait for others. */
function statesOf(job: Job): readonly GraphState[] {
  if (isGraph(job)) return GRAPH_STATES;
  return num(job.counts?.blocked) ? [...STATES, "blocked"] : STATES;
}

/** Rounded down: not 100 % before the last one has finished. */
const percentText = (job: Job): string => percent(Math.floor(share(job) * 100) / 100);

function BackLink() {
  return (
    <a class="back" href={href("jobs")}>
      <Icon name="back" />
      Jobs
    </a>
  );
}

function Errors({ job }: { job: Job }) {
  const { value, failure } = usePolled(
    (signal) => listJobErrors(job.id, { signal }),
    ERRORS_MS,
    `${job.id} ${job.round ?? 0}`,
  );
  const groups = value?.groups ?? [];
  return (
    <Panel title="Errors" class="flush">
      {failure && <Failure message={failure} />}
      {!value && !failure && <Loading />}
      {groups.length > 0 && (
        <Table
          label="Errors"
          columns={errorColumns(job)}
          items={groups}
          keyOf={(group) => `${group.type} ${group.message}`}
          below={traceback}
        />
      )}
      {num(value?.others) > 0 && <p class="muted note">and {count(value?.others)} of other kinds</p>}
    </Panel>
  );
}

const errorColumns = (job: Job): readonly Column<JobErrorGroup>[] => [
  { name: "Subtasks", right: true, cell: ({ count: number }) => count(number) },
  {
    name: "Error",
    wide: true,
    message: true,
    cell: ({ type, message }) => (
      <>
        <span class="error-type">{type}</span> {message}
      </>
    ),
  },
  {
    name: "Indexes",
    right: true,
    cell: ({ firstIndex, lastIndex }) =>
      num(firstIndex) === num(lastIndex) ? (
        <SubtaskLink job={job} index={num(firstIndex)} />
      ) : (
        <>
          <SubtaskLink job={job} index={num(firstIndex)} /> …{" "}
          <SubtaskLink job={job} index={num(lastIndex)} />
        </>
      ),
  },
];

/** To the page of one subtask: its output, its attempts and why it is where it is. */
function SubtaskLink({ job, index }: { job: Job; index: number }) {
  return <a href={href("tasks", `${job.id}.${index}`)}>{index}</a>;
}

/** Opens the page of the subtask whose index is typed in, cancels it or runs it again. */
interface PickerProps {
  job: Job;
  /** The caller may cancel and retry. */
  control: boolean;
  onDone: () => void;
}

function SubtaskPicker({ job, control, onDone }: PickerProps) {
  const first = num(job.spec?.firstIndex);
  const step = num(job.spec?.indexStep) || 1;
  const last = first + step * (num(job.count) - 1);
  const form = useRef<HTMLFormElement>(null);
  if (last < first) return null;
  const run = (act: (id: string) => Promise<unknown>, done: string) => () => {
    const index = form.current?.reportValidity() && new FormData(form.current).get("index");
    if (!index) return;
    void attempt(() => act(`${job.id}.${String(index)}`), `Subtask ${String(index)} ${done}`).then(
      (good) => good && onDone(),
    );
  };
  return (
    <form
      class="row"
      ref={form}
      onSubmit={(event) => {
        event.preventDefault();
        const index = new FormData(event.currentTarget).get("index");
        if (index) go(href("tasks", `${job.id}.${String(index)}`));
      }}
    >
      <label class="row">
        Subtask
        <input name="index" type="number" min={first} max={last} step={step} required />
      </label>
      <Button type="submit">Open</Button>
      {control && !job.parent && (
        <>
          <Button
            icon="cancel"
            kind="quiet"
            title="Cancel this subtask"
            onClick={run(cancelTask, "is being cancelled.")}
          />
          <Button
            icon="retry"
            kind="quiet"
            title="Retry this subtask"
            onClick={run(retryTask, "is tried again.")}
          />
        </>
      )}
    </form>
  );
}

const traceback = ({ example, exampleIndex }: JobErrorGroup) =>
  example?.traceback && (
    <details>
      <summary>Traceback of index {num(exampleIndex)}</summary>
      <pre tabIndex={0} class="code">
        {example.traceback.trimEnd()}
      </pre>
    </details>
  );

/** "10, a graph", "10, a graph; 3 added" */
function graphText(job: Job): string {
  const added = total(job) - num(job.count);
  return `${count(job.count)}, a graph${added ? `; ${count(added)} added` : ""}`;
}

function Facts({ job }: { job: Job }) {
  const { spec } = job;
  const rows: [string, preact.ComponentChildren][] = [
    isGraph(job)
      ? ["Tasks", graphText(job)]
      : ["Subtasks", subtasksText(job)],
    ["Created", <Ago time={job.createTime} />],
  ];
  if (job.createdBy) rows.push(["Created by", job.createdBy]);
  if (job.startTime) {
    rows.push(["Started", <Ago time={job.startTime} />]);
    const ran = Math.floor(ranFor(job, now.value) / 1000) * 1000;
    rows.push([isFinal(job) ? "Ran" : "Running for", span(ran)]);
  }
  if (job.finishTime) rows.push(["Finished", <Ago time={job.finishTime} />]);
  if (job.averageDuration) rows.push(["Each takes", span(durationMs(job.averageDuration))]);
  if (num(spec?.maxParallel)) rows.push(["At once", `at most ${count(spec?.maxParallel)}`]);
  if (spec?.maxFailures !== undefined) {
    rows.push(["Ends", `when more than ${count(spec.maxFailures)} have failed`]);
  }
  if (spec?.maxFailureShare) {
    rows.push(["Ends", `when more than ${percent(spec.maxFailureShare)} have failed`]);
  }
  if (job.open && spec?.closeAfterIdle) {
    rows.push(["Closes", `after ${span(durationMs(spec.closeAfterIdle))} without new items`]);
  }
  if (spec?.labels) rows.push(["Labels", <Labels labels={spec.labels} />]);
  if (job.round) rows.push(["Retried", job.round === 1 ? "once" : `${job.round} times`]);
  return (
    <Panel title="Facts">
      <dl class="facts">
        {rows.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
    </Panel>
  );
}
