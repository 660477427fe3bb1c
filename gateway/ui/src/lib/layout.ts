// Where the boxes and lines of a graph are drawn. Pure.

import { Graph, layout } from "@dagrejs/dagre";

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
}

/** Boxes and lines in the order in which they were given. */
export interface Drawing {
  boxes: Box[];
  lines: Line[];
  width: number;
  height: number;
}

/** From one box to another one, by their places. */
export interface Edge {
  from: number;
  to: number;
  label: string;
}

export const BOX_HEIGHT = 46;
const MARGIN = 8;

/** From left to right, or `down`: where the page is narrow. `widths`: of the boxes, pixels. */
export function arranged(widths: readonly number[], edges: readonly Edge[], down: boolean): Drawing {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({
    rankdir: down ? "TB" : "LR",
    nodesep: 18,
    edgesep: 10,
    ranksep: down ? 36 : 54,
    marginx: MARGIN,
    marginy: MARGIN,
  });
  widths.forEach((width, at) => {
    graph.setNode(String(at), { width, height: BOX_HEIGHT });
  });
  edges.forEach(({ from, to, label }, at) => {
    const size = label ? { width: 10 + 6.5 * label.length, height: 18, labelpos: "c" } : {};
    graph.setEdge(String(from), String(to), { ...size }, String(at));
  });
  layout(graph);
  const boxes = widths.map((_, at): Box => {
    const { x, y, width } = graph.node(String(at)) as { x: number; y: number; width: number };
    return { x: x - width / 2, y: y - BOX_HEIGHT / 2, width };
  });
  const lines = edges.map(({ from, to, label }, at): Line => {
    const { points, x = 0, y = 0 } = graph.edge(String(from), String(to), String(at)) as {
      points: { x: number; y: number }[];
      x?: number;
      y?: number;
    };
    return { path: smooth(points), label, x, y };
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
