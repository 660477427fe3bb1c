// A graph of tasks: what each waits for, and where it is drawn. Pure.

import { Graph, layout } from "@dagrejs/dagre";
import type { GraphEdge, GraphNode } from "@ui/api/jobs";
import { count, num, plain } from "@ui/lib/format";
import { GRAPH_STATES, type GraphState } from "@ui/views/jobs/names";

/** What is drawn. The layout of more would hold the page up for seconds, and nobody could read it. */
export const MOST_NODES = 250;
export const MOST_EDGES = 500;
/** Rows of the table. */
export const MOST_ROWS = 200;
const NAMED = 3;
const FINISHED = new Set([
  "TASK_STATE_SUCCEEDED",
  "TASK_STATE_FAILED",
  "TASK_STATE_CANCELLED",
  "TASK_STATE_EXPIRED",
]);
const CONDITIONS: Record<string, string> = {
  DEPENDENCY_CONDITION_ON_FAILURE: "on failure",
  DEPENDENCY_CONDITION_ALWAYS: "always",
  DEPENDENCY_CONDITION_EACH: "each",
};

/** "blocked", "skipped" */
export const stateOf = ({ state, skipped }: GraphNode): string =>
  skipped ? "skipped" : plain(state, "TASK_STATE_");

/** Of an array its id as a job. */
export const idOf = ({ taskId, jobId }: GraphNode): string => jobId || taskId || "";

/** "3 of 10" of an array, which is drawn with its state; else empty. */
export function partsText({ jobId, counts, count: all }: GraphNode): string {
  if (!jobId) return "";
  const done = num(counts?.succeeded) + num(counts?.failed) + num(counts?.cancelled);
  return `${count(done)} of ${count(all)}`;
}

/** As jobs count it: a scheduled or paused task waits, an expired one has failed. */
export function countedAs(node: GraphNode): GraphState {
  const state = stateOf(node);
  if (state === "expired") return "failed";
  return (GRAPH_STATES as readonly string[]).includes(state) ? (state as GraphState) : "pending";
}

/** "on failure", "always"; empty for the usual one. */
export const conditionText = ({ condition }: GraphEdge): string => CONDITIONS[condition ?? ""] ?? "";

/** "extract, load (on failure) and 3 more" */
function names(edges: readonly GraphEdge[], nodes: readonly GraphNode[]): string {
  const words = edges.slice(0, NAMED).map((edge) => {
    const condition = conditionText(edge);
    const name = nodes[edge.node ?? 0]?.name ?? "?";
    return condition ? `${name} (${condition})` : name;
  });
  const more = edges.length - words.length;
  return words.join(", ") + (more > 0 ? ` and ${count(more)} more` : "");
}

/** All that it depends on; empty for a task that depends on none. */
export const afterText = (node: GraphNode, nodes: readonly GraphNode[]): string =>
  names(node.dependsOn ?? [], nodes);

/** Of a blocked task the unfinished ones that it waits for, of a skipped one why; else empty. */
export function waitsFor(node: GraphNode, nodes: readonly GraphNode[]): string {
  const edges = node.dependsOn ?? [];
  if (node.skipped) {
    const unmet = edges.find((edge) => !holds(edge, nodes));
    const other = unmet && nodes[unmet.node ?? 0];
    return other ? `${other.name} is ${stateOf(other)}` : "";
  }
  if (node.state !== "TASK_STATE_BLOCKED") return "";
  const waiting = edges.filter((edge) => !FINISHED.has(nodes[edge.node ?? 0]?.state ?? ""));
  return waiting.length ? `waits for ${names(waiting, nodes)}` : "";
}

function holds({ node = 0, condition }: GraphEdge, nodes: readonly GraphNode[]): boolean {
  const state = nodes[node]?.state ?? "";
  if (condition === "DEPENDENCY_CONDITION_ALWAYS" || !FINISHED.has(state)) return true;
  if (condition === "DEPENDENCY_CONDITION_EACH" && num(nodes[node]?.counts?.succeeded)) return true;
  if (condition === "DEPENDENCY_CONDITION_ON_FAILURE") {
    return state === "TASK_STATE_FAILED" || state === "TASK_STATE_EXPIRED";
  }
  return state === "TASK_STATE_SUCCEEDED";
}

export const edgesOf = (nodes: readonly GraphNode[]): number =>
  nodes.reduce((sum, node) => sum + (node.dependsOn?.length ?? 0), 0);

export const canDraw = (nodes: readonly GraphNode[]): boolean =>
  nodes.length <= MOST_NODES && edgesOf(nodes) <= MOST_EDGES;

export interface Box {
  /** Of its upper left corner. */
  x: number;
  y: number;
  width: number;
}

export interface Line {
  /** Of an SVG path. */
  path: string;
  label: string;
  /** Of the label's middle. */
  x: number;
  y: number;
  cleanup: boolean;
}

export interface Drawing {
  boxes: Box[];
  lines: Line[];
  width: number;
  height: number;
}

export const BOX_HEIGHT = 46;
const MARGIN = 8;
const WIDEST = 220;
const NARROWEST = 96;
const PIXELS_A_LETTER = 8;

function widthOf(node: GraphNode): number {
  // The second line of an array says how far it is: "succeeded, 1,000 of 1,000".
  const second = node.jobId ? 12 + 2 * count(node.count).length : 0;
  const letters = Math.max(node.name.length, second);
  return Math.round(Math.min(WIDEST, Math.max(NARROWEST, 28 + PIXELS_A_LETTER * letters)));
}

/** From left to right, or `down`: where the page is narrow. */
export function drawn(nodes: readonly GraphNode[], down: boolean): Drawing {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({
    rankdir: down ? "TB" : "LR",
    nodesep: 18,
    edgesep: 10,
    ranksep: down ? 36 : 54,
    marginx: MARGIN,
    marginy: MARGIN,
  });
  nodes.forEach((node, at) => {
    graph.setNode(String(at), { width: widthOf(node), height: BOX_HEIGHT });
  });
  const found: { from: string; to: string; name: string; edge: GraphEdge }[] = [];
  nodes.forEach((node, at) => {
    node.dependsOn?.forEach((edge, number) => {
      const label = conditionText(edge);
      const size = label ? { width: 10 + 6.5 * label.length, height: 18, labelpos: "c" } : {};
      const one = { from: String(edge.node ?? 0), to: String(at), name: String(number), edge };
      graph.setEdge(one.from, one.to, { ...size }, one.name);
      found.push(one);
    });
  });
  layout(graph);
  const boxes = nodes.map((_, at): Box => {
    const { x, y, width } = graph.node(String(at)) as { x: number; y: number; width: number };
    return { x: x - width / 2, y: y - BOX_HEIGHT / 2, width };
  });
  const lines = found.map(({ from, to, name, edge }): Line => {
    const { points, x = 0, y = 0 } = graph.edge(from, to, name) as {
      points: { x: number; y: number }[];
      x?: number;
      y?: number;
    };
    return { path: smooth(points), label: conditionText(edge), x, y, cleanup: edge.cleanup ?? false };
  });
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return { boxes, lines, width: Math.ceil(width), height: Math.ceil(height) };
}

/** A curve that begins and ends where the points do. */
function smooth(points: readonly { x: number; y: number }[]): string {
  const at = ({ x, y }: { x: number; y: number }) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (!first || !last) return "";
  let path = `M${at(first)}`;
  rest.slice(0, -1).forEach((point, number) => {
    const next = rest[number + 1]!;
    const end =
      number === rest.length - 2 ? next : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    path += `Q${at(point)} ${at(end)}`;
  });
  return rest.length === 1 ? `${path}L${at(last)}` : path;
}

/** Those that need attention first. */
const FIRST: readonly string[] = [
  "failed",
  "expired",
  "cancelled",
  "running",
  "pending",
  "scheduled",
  "paused",
  "blocked",
];

/** Rows of the table: those in this state (all: empty) with these letters in their names. */
export function rowsOf(
  nodes: readonly GraphNode[],
  state: string,
  text: string,
  most = MOST_ROWS,
): { rows: GraphNode[]; more: number } {
  const letters = text.trim().toLowerCase();
  const found = nodes.filter(
    (node) => (!state || countedAs(node) === state) && node.name.toLowerCase().includes(letters),
  );
  if (found.length <= most) return { rows: found, more: 0 };
  const rank = (node: GraphNode) => {
    const place = FIRST.indexOf(stateOf(node));
    return place < 0 ? FIRST.length : place;
  };
  const rows = [...found].sort((one, other) => rank(one) - rank(other)).slice(0, most);
  return { rows, more: found.length - most };
}
