// The bindings of an exchange, drawn from left to right.

import { useMemo } from "preact/hooks";
import type { Exchange } from "@ui/api/messages";
import { href } from "@ui/lib/router";
import { GraphCanvas, place } from "@ui/parts/graph";
import { drawnRoutes, type Routes } from "@ui/views/messages/exchanges/routes";
import { addressOf } from "@ui/views/messages/names";

const TONES = { queue: "succeeded", exchange: "running", "task queue": "pending" } as const;

export function RouteDrawing({ host, exchange, routes }: { host: string; exchange: Exchange; routes: Routes }) {
  // Each answer is another object: what is drawn changes with what it says.
  const drawn = useMemo(
    () => drawnRoutes(exchange, routes),
    [JSON.stringify([exchange, routes])],
  );
  if (!drawn) return null;
  const { spots, drawing, dashed } = drawn;
  return (
    <GraphCanvas label={`Where messages of ${exchange.name} go`} drawing={drawing} dashed={(at) => dashed[at] ?? false}>
      {spots.map(({ kind, name, after }, at) => {
        const words = kind === "queue" ? "message queue" : kind;
        const text = [name, words, ...after].join(", ");
        return (
          <li key={`${kind} ${name}`}>
            <a
              class={`box tone-${TONES[kind]}`}
              style={place(drawing.boxes[at]!)}
              href={
                kind === "task queue"
                  ? href("tasks", "", { queue: name })
                  : addressOf(host, kind === "queue" ? "queues" : "exchanges", name)
              }
              aria-label={text}
              title={text}
            >
              <b>{name}</b>
              <span>
                <i class="dot" />
                {words}
              </span>
            </a>
          </li>
        );
      })}
    </GraphCanvas>
  );
}
