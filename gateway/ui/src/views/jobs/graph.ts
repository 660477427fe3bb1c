// A graph of tasks: what each waits for, and where it is drawn. Pure.

import type { GraphEdge, GraphNode } from "@ui/api/jobs";
import { count, num, plain } from "@ui/lib/format";
import { arranged, type Drawing, type Edge } from "@ui/lib/layout";
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

const WIDEST = 220;
const NARROWEST = 96;
const PIXELS_A_LETTER = 8;

function widthOf(node: GraphNode): number {
  // The second line of an array says how far it is: "succeeded, 1,000 of 1,000".
  const second = node.jobId ? 12 + 2 * count(node.count).length : 0;
  const letters = Math.max(node.name.length, second);
  return Math.round(Math.min(WIDEST, Math.max(NARROWEST, 28 + PIXELS_A_LETTER * letters)));
}

const allEdges = (nodes: readonly GraphNode[]): GraphEdge[] => nodes.flatMap(({ dependsOn }) => dependsOn ?? []);

/** From left to right, or `down`: where the page is narrow. */
export function drawn(nodes: readonly GraphNode[], down: boolean): Drawing {
  const edges = nodes.flatMap(({ dependsOn }, to): Edge[] =>
    (dependsOn ?? []).map((edge) => ({ from: edge.node ?? 0, to, label: conditionText(edge) })),
  );
  return arranged(nodes.map(widthOf), edges, down);
}

/** Of each line of the drawing: whether it leads to a task that cleans up. */
export const cleanups = (nodes: readonly GraphNode[]): boolean[] =>
  allEdges(nodes).map(({ cleanup }) => cleanup ?? false);

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
