// Why a task waits, where it runs, or how it ended. Read when the task changes, and every few seconds
// while it waits.

import { useEffect, useState } from "preact/hooks";
import { explainTask } from "@ui/api/actions";
import { sentence } from "@ui/api/rest";
import type { Explanation, Task } from "@ui/api/types";
import { shortId } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Panel } from "@ui/parts/basics";

const AGAIN_MS = 3_000;
const NODES_SHOWN = 8;
const NO_NODE_FITS = "EXPLAIN_REASON_NO_NODE_FITS";
const WAITS = ["TASK_STATE_BLOCKED", "TASK_STATE_PENDING", "TASK_STATE_SCHEDULED", "TASK_STATE_PAUSED"];

/** As `quorate explain` has it: yes or no, and why. */
const answerOf = (node: string, filter: string, why: string) =>
  `${filter === "NODE_FILTER_NONE" ? "yes" : "no"}: ${why.replace(`node ${node} `, "")}`;

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
  const { reasons = [], place, nodesQuestion, nodes = [], nodesTotal = 0 } = found;
  // What fits no node has no place.
  const placed = waits && !reasons.some(({ reason }) => reason === NO_NODE_FITS);
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
        {placed && place?.sentence && <p class="muted">{place.sentence}</p>}
        {waits && nodesQuestion && (
          <>
            <p>{nodesQuestion}</p>
            <ul aria-label="Nodes">
              {nodes.slice(0, NODES_SHOWN).map(({ node, filter, sentence = "" }) => (
                <li key={node}>
                  <a href={href("nodes", node)}>{node}</a>{" "}
                  <span class="muted">{answerOf(node, filter, sentence)}</span>
                </li>
              ))}
            </ul>
            {nodesTotal > NODES_SHOWN && <p class="muted">and {nodesTotal - NODES_SHOWN} more nodes</p>}
          </>
        )}
      </div>
    </Panel>
  );
}
