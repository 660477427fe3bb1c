// What runs on a node now, and what it says of itself.

import { now, useTasks } from "@ui/api/store";
import type { Node, NodeLoss, Task } from "@ui/api/types";
import { bytes, count, num, shownState, span } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Ago, Labels } from "@ui/parts/basics";
import { Taints } from "@ui/views/nodes/taints";
import { lastAttempt, ranFor, taskName } from "@ui/views/task/names";

const RUNNING = { states: ["TASK_STATE_RUNNING"], limit: 1000 };
const MOST = 50;

const ranText = (task: Task): string =>
  shownState(task) === "assigned" ? "assigned" : span(Math.floor(ranFor(task, now.value) / 1000) * 1000);

export function NodeDetail({ node, control }: { node: Node; control: boolean }) {
  const tasks = useTasks(RUNNING).value;
  const here = [...(tasks?.values() ?? [])]
    .filter((task) => lastAttempt(task)?.node === node.name)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const { stats, capacity } = node;
  if (node.loss) return <LostDetail node={node} loss={node.loss} />;
  return (
    <div class="detail">
      <div>
        <h3>Assigned and running</h3>
        {!here.length && <p class="muted">Nothing at the moment.</p>}
        <ul class="runs">
          {here.slice(0, MOST).map((task) => (
            <li key={task.id}>
              <i class={`dot tone-${shownState(task)}`} />
              <a href={href("tasks", task.id)}>{taskName(task)}</a>
              <span class="muted">{task.queue}</span>
              <span class="number">{ranText(task)}</span>
            </li>
          ))}
        </ul>
        {here.length > MOST && <p class="muted">and {count(here.length - MOST)} more</p>}
      </div>
      <dl class="facts">
        <dt>Address</dt>
        <dd class="mono">{node.address}</dd>
        <dt>Process</dt>
        <dd class="mono">{node.instance}</dd>
        <dt>Version</dt>
        <dd>{node.version}</dd>
        {node.fault && (
          <>
            <dt>Fault</dt>
            <dd>
              <p class="error-line">{node.fault}</p>
              <span class="muted">
                The agent broke the protocol. It gets no session for a while, and the node is lost when
                the agent goes on.
              </span>
            </dd>
          </>
        )}
        {node.labels && (
          <>
            <dt>Labels</dt>
            <dd>
              <Labels labels={node.labels} />
            </dd>
          </>
        )}
        <dt>Taints</dt>
        <dd>
          <Taints node={node} control={control} />
        </dd>
        <dt>Assigned</dt>
        <dd>
          {count(node.assigned)}
          <span class="muted"> · {count(node.running)} running</span>
        </dd>
        {node.leavingSince && (
          <>
            <dt>Scaling down</dt>
            <dd>
              <Ago time={node.leavingSince} />
              <span class="muted"> · idle, a scale-down may end it</span>
            </dd>
          </>
        )}
        <dt>Load</dt>
        <dd>{(stats?.load1 ?? 0).toFixed(2)}</dd>
        <dt>Disk</dt>
        <dd>
          {bytes(stats?.diskUsed)} of {bytes(stats?.diskTotal)}
          {stats?.diskError && (
            <p class="error-line">Cannot write: {stats.diskError}. It takes no work until it can.</p>
          )}
        </dd>
        <dt>Offers</dt>
        <dd>
          {capacity?.cpu ?? 0} cores, {bytes(capacity?.memory)}
          {Object.entries(capacity?.counters ?? {}).map(([name, value]) =>
            // Any number of tasks may use the blob store.
            name === "blob-store" ? ", a blob store" : `, ${num(value)} ${name}`,
          )}
        </dd>
      </dl>
    </div>
  );
}

/** A node that was lost: when, why, and what it ran. */
function LostDetail({ node, loss }: { node: Node; loss: NodeLoss }) {
  const { attempts = 0, someAttempts = [] } = loss;
  return (
    <div class="detail">
      <div>
        <h3>Ran when it was lost</h3>
        {!attempts && <p class="muted">Nothing.</p>}
        <ul class="runs">
          {someAttempts.map(({ task, job, queue, attempt }) => (
            <li key={`${task ?? job}-${attempt}`}>
              <a class="mono" href={task ? href("tasks", task) : href("jobs", job ?? "")}>
                {task ?? job}
              </a>
              <span class="muted">{queue}</span>
              <span class="number">{task ? `attempt ${attempt ?? 1}` : "subtasks"}</span>
            </li>
          ))}
        </ul>
        {attempts > someAttempts.length && (
          <p class="muted">and {count(attempts - someAttempts.length)} more</p>
        )}
      </div>
      <dl class="facts">
        <dt>Lost</dt>
        <dd>
          <Ago time={loss.time} />
        </dd>
        <dt>Why</dt>
        <dd>
          <p class="error-line">{loss.why}</p>
          <span class="muted">
            It stays in the list until its agent registers again, or until somebody dismisses it. What it
            ran has started again on other nodes, or failed.
          </span>
        </dd>
        <dt>Address</dt>
        <dd class="mono">{node.address}</dd>
        <dt>Process</dt>
        <dd class="mono">{node.instance}</dd>
        <dt>Version</dt>
        <dd>{node.version}</dd>
      </dl>
    </div>
  );
}
