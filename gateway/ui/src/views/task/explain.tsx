// Why a task waits, where it runs, or how it ended. Read when the task changes, and every few seconds
// while it waits.

import { useEffect, useState } from "preact/hooks";
import { explainTask } from "@ui/api/actions";
import { sentence } from "@ui/api/rest";
import type { Explanation, Task } from "@ui/api/types";
import { count, plain, shortId } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Panel } from "@ui/parts/basics";

const AGAIN_MS = 3_000;
const NODES_SHOWN = 8;
const NO_NODE_FITS = "EXPLAIN_REASON_NO_NODE_FITS";
const WAITS = ["TASK_STATE_BLOCKED", "TASK_STATE_PENDING", "TASK_STATE_SCHEDULED", "TASK_STATE_PAUSED"];

export function ExplainPanel({ task }: { task: Task }) {
  const [found, setFound] = useState<Explanation>();
  const waits = WAITS.includes(task.state);
  useEffect(() => {
    const abort = new AbortController();
    const read = () =>
      explainTask(task.id, { signal: abort.signal }).then(
        ({ explanation }) => setFound(explanation),
        // The task's own view says what is wrong with the cluster.
        () => undefined,
      );
    void read();
    const timer = waits ? setInterval(() => void read(), AGAIN_MS) : undefined;
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [task.id, task.state, task.attempt, waits]);
  if (!found) return null;
  const { reasons = [], place, nodes = [], nodesTotal = 0 } = found;
  // What fits no node has no place.
  const placed = waits && !reasons.some(({ reason }) => reason === NO_NODE_FITS);
  const refused = waits ? nodes.filter(({ filter }) => filter !== "NODE_FILTER_NONE") : [];
  return (
    <Panel title="Why">
      <div class="explain">
        <p data-testid="explanation">{sentence({ detail: found.sentence ?? "" })}</p>
        {reasons.slice(1).map((reason) => (
          <p class="muted" key={reason.reason}>
            {sentence({ detail: reason.sentence ?? "" })}
          </p>
        ))}
        {reasons.flatMap(({ holders = [] }) => holders).length > 0 && (
          <p class="muted">
            Held by{" "}
            {reasons
              .flatMap(({ holders = [] }) => holders)
              .map((id) => (
                <a key={id} href={href("tasks", id)}>
                  {shortId(id)}{" "}
                </a>
              ))}
          </p>
        )}
        {placed && place && (
          <p class="muted">
            {place.exact ? "" : "About "}
            {count(place.ahead)} like it go first
            {Number(place.higherPriority ?? 0) > 0 &&
              `, and ${count(place.higherPriority)} with a higher priority`}
            .
          </p>
        )}
        {refused.length > 0 && (
          <ul aria-label="Nodes">
            {refused.slice(0, NODES_SHOWN).map(({ node, filter }) => (
              <li key={node}>
                <a href={href("nodes", node)}>{node}</a>{" "}
                <span class="muted">{plain(filter, "NODE_FILTER_")}</span>
              </li>
            ))}
          </ul>
        )}
        {refused.length > NODES_SHOWN && <p class="muted">and {nodesTotal - NODES_SHOWN} more nodes</p>}
      </div>
    </Panel>
  );
}
