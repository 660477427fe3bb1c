// The tasks of a graph: drawn from left to right, or as a table where there are too many for that.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { getJobGraph, type GraphNode, type Job } from "@ui/api/jobs";
import { count, num } from "@ui/lib/format";
import { usePolled } from "@ui/lib/poll";
import { href } from "@ui/lib/router";
import { Badge, Empty, Failure, Loading, Panel } from "@ui/parts/basics";
import { GraphCanvas, place } from "@ui/parts/graph";
import { Segments } from "@ui/parts/segments";
import { Table, type Column } from "@ui/parts/table";
import {
  afterText,
  canDraw,
  cleanups,
  drawn,
  edgesOf,
  idOf,
  MOST_EDGES,
  MOST_NODES,
  partsText,
  rowsOf,
  stateOf,
  waitsFor,
} from "@ui/views/jobs/graph";
import { GRAPH_STATES, isFinal } from "@ui/views/jobs/names";

const EVERY_MS = 1_000;
// An answer about so many tasks is large.
const MANY = 1_000;
const MANY_EVERY_MS = 5_000;
const NARROW = 700;
const SHAPES = [
  { value: "drawing", label: "Drawing" },
  { value: "table", label: "Table" },
] as const;

export function GraphPanel({ job }: { job: Job }) {
  const [shape, setShape] = useState<"drawing" | "table">("drawing");
  const { value, failure, refresh } = usePolled(
    (signal) => getJobGraph(job.id, { signal }),
    num(job.count) > MANY ? MANY_EVERY_MS : EVERY_MS,
    job.id,
    (answer) => answer.job !== undefined && isFinal(answer.job),
  );
  // It is over, or goes on again.
  const known = useRef(job.state);
  useEffect(() => {
    if (known.current !== job.state) refresh();
    known.current = job.state;
  }, [job.state]);
  const nodes = value?.nodes ?? [];
  const small = canDraw(nodes);
  const choice = small && nodes.length > 0 && (
    <Segments label="Shape" options={SHAPES} value={shape} onChange={setShape} />
  );
  return (
    <Panel title="Tasks" aside={choice}>
      {failure && <Failure message={failure} />}
      {!value && !failure && <Loading />}
      {value && !nodes.length && (
        <Empty icon="jobs" title="No tasks yet">
          <p>They are being created.</p>
        </Empty>
      )}
      {nodes.length > 0 &&
        (small && shape === "drawing" ? (
          <GraphDrawing nodes={nodes} of={job.id} />
        ) : (
          <GraphTable nodes={nodes} drawable={small} />
        ))}
    </Panel>
  );
}

const linkTo = (node: GraphNode): string => href(node.jobId ? "jobs" : "tasks", idOf(node));

/** "running", "running, 3 of 10" */
const farText = (node: GraphNode): string =>
  [stateOf(node), partsText(node)].filter(Boolean).join(", ");

/** What a reader hears of a box; its lines are not read out. */
function spoken(node: GraphNode, nodes: readonly GraphNode[]): string {
  const after = afterText(node, nodes);
  const words = [node.name, farText(node), waitsFor(node, nodes) || (after && `after ${after}`)];
  if (node.cleanup) words.push("cleans up");
  return words.filter(Boolean).join(", ");
}

function GraphDrawing({ nodes, of }: { nodes: readonly GraphNode[]; of: string }) {
  const down = window.innerWidth < NARROW;
  // What it looks like changes with the tasks that there are, not with their states.
  const drawing = useMemo(
    () => drawn(nodes, down),
    [of, nodes.length, edgesOf(nodes), down],
  );
  const dashed = cleanups(nodes);
  return (
    <GraphCanvas label="Graph of tasks" drawing={drawing} dashed={(at) => dashed[at] ?? false}>
      {nodes.map((node, at) => {
        const state = stateOf(node);
        const text = spoken(node, nodes);
        return (
          <li key={idOf(node)}>
            <a
              class={`box tone-${state} ${node.cleanup ? "cleanup" : ""}`}
              style={place(drawing.boxes[at]!)}
              href={linkTo(node)}
              aria-label={text}
              title={text}
            >
              <b>{node.name}</b>
              <span>
                <i class="dot" />
                {farText(node)}
              </span>
            </a>
          </li>
        );
      })}
    </GraphCanvas>
  );
}

function GraphTable({ nodes, drawable }: { nodes: readonly GraphNode[]; drawable: boolean }) {
  const [state, setState] = useState("");
  const [text, setText] = useState("");
  const { rows, more } = rowsOf(nodes, state, text);
  const options = ["", ...GRAPH_STATES].map((value) => ({ value, label: value || "all" }));
  return (
    <>
      {!drawable && (
        <p class="muted graph-large">
          {`Too large to draw: ${count(nodes.length)} tasks and ${count(edgesOf(nodes))} dependencies. ` +
            `Up to ${count(MOST_NODES)} and ${count(MOST_EDGES)} are drawn.`}
        </p>
      )}
      <div class="graph-filter">
        <Segments label="State" options={options} value={state} onChange={setState} />
        <input
          type="search"
          aria-label="Name of the task"
          placeholder="Name"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </div>
      <Table
        label="Tasks of the graph"
        columns={columns(nodes)}
        items={rows}
        keyOf={idOf}
      />
      {!rows.length && <p class="muted note">No such tasks.</p>}
      {more > 0 && <p class="muted note">{`and ${count(more)} more`}</p>}
    </>
  );
}

const columns = (nodes: readonly GraphNode[]): readonly Column<GraphNode>[] => [
  {
    name: "Task",
    wide: true,
    cell: (node) => (
      <a href={linkTo(node)}>
        <strong>{node.name}</strong>
      </a>
    ),
  },
  {
    name: "State",
    cell: (node) => (
      <>
        <Badge tone={stateOf(node)}>{stateOf(node)}</Badge>
        {node.jobId && <small class="muted">{` ${partsText(node)}`}</small>}
      </>
    ),
  },
  {
    name: "After",
    message: true,
    cell: (node) => {
      const why = waitsFor(node, nodes);
      return (
        <span class="graph-after">
          {afterText(node, nodes) || "–"}
          {why && <small class="muted">{` – ${why}`}</small>}
        </span>
      );
    },
  },
  { name: "Node", minor: true, cell: (node) => node.node || "–" },
];
