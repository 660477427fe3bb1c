// Where the messages of an exchange go: its bindings, and those of the exchanges behind it, as a graph.
// Pure, but for `readRoutes`, which reads them.

import { listBindings, type Binding, type Exchange } from "@ui/api/messages";
import { arranged, type Drawing } from "@ui/lib/layout";
import { alternateOf } from "@ui/views/messages/names";
import { tableText } from "@ui/views/messages/values";

/** Bindings of one exchange that are read. */
export const MOST_BINDINGS = 200;
/** Exchanges that are followed. */
const MOST_EXCHANGES = 8;
/** What is drawn: nobody could read more. */
export const MOST_LINES = 60;
const MOST_LETTERS = 24;
const WIDEST = 240;
const NARROWEST = 136;
const PIXELS_A_LETTER = 8;

export interface Routes {
  /** Of the exchange itself. */
  own: Binding[];
  /** There are more of its own. */
  more: boolean;
  /** Of the exchanges behind it. */
  further: Binding[];
  /** Of other exchanges, to it. */
  sources: Binding[];
  /** There are more of those. */
  moreSources: boolean;
}

/** What is drawn: where messages go. */
type Drawable = Pick<Routes, "own" | "more" | "further">;

export async function readRoutes(host: string, name: string, signal: AbortSignal): Promise<Routes> {
  const page = { pageSize: MOST_BINDINGS };
  const first = await listBindings(host, { source: name }, page, { signal });
  const own = first.bindings ?? [];
  const further: Binding[] = [];
  const visited = new Set([name]);
  let waiting = own;
  while (waiting.length && visited.size < MOST_EXCHANGES && own.length + further.length < MOST_LINES) {
    const next = waiting.flatMap(({ exchange }) => (exchange && !visited.has(exchange) ? [exchange] : []));
    waiting = [];
    for (const one of new Set(next)) {
      if (visited.size >= MOST_EXCHANGES) break;
      visited.add(one);
      const { bindings = [] } = await listBindings(host, { source: one }, page, { signal });
      further.push(...bindings);
      waiting.push(...bindings);
    }
  }
  const before = await listBindings(host, { exchange: name }, page, { signal });
  return {
    own,
    more: Boolean(first.nextPageToken),
    further,
    sources: before.bindings ?? [],
    moreSources: Boolean(before.nextPageToken),
  };
}

export interface Spot {
  kind: "exchange" | "queue" | "task queue";
  name: string;
  /** What leads there, in words. */
  after: string[];
}

export interface RouteDrawing {
  spots: Spot[];
  drawing: Drawing;
  dashed: boolean[];
}

/** "order.*", or the arguments where the key says nothing. */
export function conditionOf(binding: Binding): string {
  const words = [binding.routingKey, tableText(binding.arguments)].filter(Boolean).join(" ");
  return words.length > MOST_LETTERS ? `${words.slice(0, MOST_LETTERS - 1)}…` : words;
}

/** Undefined: there is nothing to draw, or too much. */
export function drawnRoutes(exchange: Exchange, routes: Drawable): RouteDrawing | undefined {
  const bindings = [...routes.own, ...routes.further];
  const alternate = alternateOf(exchange);
  if (routes.more || bindings.length > MOST_LINES || (!bindings.length && !alternate)) return undefined;
  const spots: Spot[] = [{ kind: "exchange", name: exchange.name, after: [] }];
  const places = new Map([[`exchange ${exchange.name}`, 0]]);
  const placeOf = (kind: Spot["kind"], name: string): number => {
    const key = `${kind} ${name}`;
    const known = places.get(key);
    if (known !== undefined) return known;
    places.set(key, spots.length);
    return spots.push({ kind, name, after: [] }) - 1;
  };
  const lines = new Map<string, { from: number; to: number; words: string[]; dashed: boolean }>();
  const add = (from: number, to: number, words: string, dashed = false) => {
    const key = `${from} ${to} ${dashed}`;
    const line = lines.get(key) ?? { from, to, words: [], dashed };
    if (words) line.words.push(words);
    lines.set(key, line);
  };
  for (const binding of bindings) {
    const from = placeOf("exchange", binding.source ?? "");
    const to = binding.exchange
      ? placeOf("exchange", binding.exchange)
      : binding.taskQueue
        ? placeOf("task queue", binding.taskQueue)
        : placeOf("queue", binding.messageQueue ?? "");
    add(from, to, conditionOf(binding));
  }
  if (alternate) add(0, placeOf("exchange", alternate), "no binding matches", true);
  const edges = [...lines.values()].map(({ from, to, words }) => {
    const more = words.length > 2 ? `${words[0]} and ${words.length - 1} more` : words.join(", ");
    spots[to]!.after.push(`from ${spots[from]!.name}${more && `: ${more}`}`);
    return { from, to, label: more };
  });
  const widths = spots.map(({ name }) =>
    Math.round(Math.min(WIDEST, Math.max(NARROWEST, 28 + PIXELS_A_LETTER * name.length))),
  );
  const dashed = [...lines.values()].map((line) => line.dashed);
  return { spots, drawing: arranged(widths, edges, false), dashed };
}
