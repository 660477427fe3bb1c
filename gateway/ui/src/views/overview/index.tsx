// The cluster at one glance: now as tiles, the last minutes as charts, who leads, what failed.

import { beats, history, pulse, SERVICES, useNodes, useTasks } from "@ui/api/store";
import { num, percent, rate, short, span } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Chart, chartSpan, Spark, type Line } from "@ui/parts/chart";
import { Segments } from "@ui/parts/segments";
import { ClusterPanel } from "@ui/views/overview/cluster";
import { FailuresPanel } from "@ui/views/overview/failures";
import { Verdict } from "@ui/views/overview/verdict";

const THROUGHPUT: Line[] = [
  { column: "submitted", label: "Submitted", colour: "--c-submitted" },
  { column: "finished", label: "Finished", colour: "--c-finished", fill: true },
  { column: "failed", label: "Failed", colour: "--c-failed" },
];
const WAIT: Line[] = [
  { column: "wait.p99", label: "p99", colour: "--c-p99" },
  { column: "wait.p90", label: "p90", colour: "--c-p90" },
  { column: "wait.p50", label: "p50", colour: "--c-p50", fill: true },
];
const RUN: Line[] = [
  { column: "run.p99", label: "p99", colour: "--c-p99" },
  { column: "run.p90", label: "p90", colour: "--c-p90" },
  { column: "run.p50", label: "p50", colour: "--c-p50", fill: true },
];
const NODES: Line[] = [
  { column: "slots", label: "Slots busy", colour: "--c-submitted", fill: true },
  { column: "cpu", label: "CPU", colour: "--c-cpu" },
];
const QUEUE_COLOURS = ["--q1", "--q2", "--q3", "--q4", "--q5"];

const SPANS = [
  { value: 60, label: "1 min" },
  { value: 300, label: "5 min" },
  { value: 900, label: "15 min" },
];

export function OverviewView() {
  const failures = useTasks(FAILED);
  return (
    <div class="view">
      <div class="title">
        <h1>Overview</h1>
        <Segments
          label="Time shown by the charts"
          options={SPANS}
          value={chartSpan.value}
          onChange={(value) => {
            chartSpan.value = value;
          }}
        />
      </div>
      <Verdict />
      <Tiles />
      <div class="charts">
        <Chart title="Throughput per second" lines={THROUGHPUT} format={rate} />
        <Chart title="Queue depth" lines={queueLines()} format={short} least={4} />
        <Chart title="Wait before the start" lines={WAIT} format={span} least={5} />
        <Chart title="Run time" lines={RUN} format={span} least={5} />
        <Chart title="Nodes" lines={NODES} format={(value) => `${Math.round(value)} %`} least={100} />
        <ClusterPanel />
      </div>
      <FailuresPanel tasks={failures.value} />
    </div>
  );
}

const FAILED = { states: ["TASK_STATE_FAILED"], limit: 8 };

/** The five deepest queues of the time shown; the order stays as long as they are the same. */
function queueLines(): Line[] {
  void beats.value;
  const depths = history
    .names("queue.")
    .map((column) => ({ column, most: Math.max(...history.column(column).map((one) => one ?? 0)) }))
    .filter(({ most, column }) => column !== `queue.${SERVICES}` && (most > 0 || column === "queue.default"))
    .sort((a, b) => b.most - a.most)
    .slice(0, QUEUE_COLOURS.length)
    .sort((a, b) => a.column.localeCompare(b.column));
  return depths.map(({ column }, at) => ({
    column,
    label: column.slice("queue.".length),
    colour: QUEUE_COLOURS[at]!,
    fill: depths.length === 1,
  }));
}

function Tiles() {
  const nodes = useNodes().value;
  const { rates = {}, latency = {}, queues = [] } = pulse.value ?? {};
  const known = pulse.value !== undefined;
  const pending = queues.reduce((sum, queue) => sum + num(queue.pending), 0);
  // Replicas of services run beside the slots.
  const running = queues.reduce((sum, { name, running: busy }) => sum + (name === SERVICES ? 0 : num(busy)), 0);
  const listed = [...(nodes?.values() ?? [])];
  const all = listed.filter((node) => !node.loss);
  const lost = listed.length - all.length;
  const ready = all.filter((node) => node.state === "NODE_STATE_READY").length;
  const slots = all.reduce((sum, node) => sum + (node.slots ?? 0), 0);
  // These have given their slots up while they wait for other tasks.
  const yielded = all.reduce((sum, node) => sum + (node.stats?.yielded ?? 0), 0);
  const wait = latency.queueMs?.p99;
  return (
    <div class="tiles">
      <Tile name="Finished" unit="per second" value={known && rate(rates.finished ?? 0)}>
        <Spark column="finished" colour="--c-finished" />
      </Tile>
      <Tile name="Failed" unit="per second" value={known && rate(rates.failed ?? 0)}
        tone={rates.failed ? "failed" : ""} link={href("tasks", "", { state: "failed" })}>
        <Spark column="failed" colour="--c-failed" />
      </Tile>
      <Tile name="Pending" unit="tasks" value={known && short(pending)}
        link={href("tasks", "", { state: "pending" })}>
        <Spark column="pending" colour="--c-pending" />
      </Tile>
      <Tile name="Running" unit={slots ? `of ${short(slots)} slots${yielded ? `, ${short(yielded)} wait` : ""}` : "tasks"}
        value={known && short(running)} link={href("tasks", "", { state: "running" })}>
        <Spark column="running" colour="--c-submitted" />
      </Tile>
      <Tile name="Wait" unit="p99"
        value={known && (wait === undefined ? "–" : span(wait))}>
        <Spark column="wait.p99" colour="--c-p99" />
      </Tile>
      <Tile name="Nodes ready" unit={nodes ? `of ${all.length}${lost ? `, ${lost} lost` : ""}` : ""}
        value={nodes !== undefined && short(ready)} link={href("nodes")}
        tone={nodes && ready < listed.length ? "warm" : ""}>
        <span class="aside">{cpuText(all)}</span>
      </Tile>
    </div>
  );
}

function cpuText(nodes: readonly { stats?: { cpu?: number } }[]): string {
  if (!nodes.length) return "";
  const mean = nodes.reduce((sum, node) => sum + (node.stats?.cpu ?? 0), 0) / nodes.length;
  return `${percent(mean)} CPU`;
}

interface TileProps {
  name: string;
  unit: string;
  /** False: not known yet. */
  value: string | false;
  tone?: string;
  link?: string;
  children: preact.ComponentChildren;
}

function Tile({ name, unit, value, tone, link, children }: TileProps) {
  const inside = (
    <>
      <span class="name">{name}</span>
      <span class={`value ${tone ?? ""}`}>{value === false ? "–" : value}</span>
      <span class="unit">{unit}</span>
      <span class="picture">{children}</span>
    </>
  );
  return link ? (
    <a class="tile" href={link}>
      {inside}
    </a>
  ) : (
    <div class="tile">{inside}</div>
  );
}
