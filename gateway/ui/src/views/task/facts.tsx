// What was asked for, and when things happened.

import { sentence } from "@ui/api/rest";
import { now } from "@ui/api/store";
import type { Task, TaskSpec } from "@ui/api/types";
import { bytes, clock, count, durationMs, instant, num, shortId, span } from "@ui/lib/format";
import { hookText } from "@ui/lib/hooks";
import { pretty } from "@ui/lib/json";
import { ruleRows } from "@ui/lib/placing";
import { href } from "@ui/lib/router";
import { base64Size, joinWords } from "@ui/lib/words";
import { Ago, Copy, Labels, Panel } from "@ui/parts/basics";
import { attemptOf, hooksText, lastAttempt, ranFor, snoozeText } from "@ui/views/task/names";

const DEADLINE = "Its start deadline: it is expired then, if no attempt of it has started.";
const UNCOUNTED =
  "Attempts before a manual retry, and those lost with a node or returned by it, are not counted as tries.";

interface FactsProps {
  task: Task;
  /** Shows the log of an attempt. */
  onShow?: (number: number) => void;
}

export function Facts({ task, onShow }: FactsProps) {
  const attempt = lastAttempt(task);
  const first = task.attempts?.[0];
  const waited = instant(first?.startTime) - instant(task.createTime);
  const running = task.state === "TASK_STATE_RUNNING";
  const ran = ranFor(task, running ? now.value : 0);
  const rows: [string, preact.ComponentChildren][] = [
    ["Created", <Ago time={task.createTime} />],
  ];
  if (task.createdBy) rows.push(["By", task.createdBy]);
  if (task.jobId) {
    const job = task.graphTask ? "the graph" : shortId(task.jobId);
    rows.push(["Job", <a href={href("jobs", task.jobId)}>{job}</a>]);
  }
  const { name: schedule, tickTime } = task.spec?.schedule ?? {};
  if (schedule) {
    rows.push(["Schedule", <a href={href("schedules", schedule)}>{schedule}</a>]);
    rows.push(["For", clock(tickTime)]);
  }
  if (task.state === "TASK_STATE_SCHEDULED") rows.push(["Starts", <Ago time={task.scheduleTime} />]);
  const snoozed = snoozeText(task);
  if (snoozed) rows.push(["Snoozed", snoozed]);
  if (task.expireTime) {
    rows.push(["Expires", <span title={DEADLINE}><Ago time={task.expireTime} />, unless it starts</span>]);
  }
  if (task.pendingReason) {
    rows.push(["Waits", <span class="error-line">{sentence({ detail: task.pendingReason })}</span>]);
  }
  if (task.limitedBy) rows.push(["Waits", sentence({ detail: `for ${task.limitedBy}` })]);
  if (first?.number === 1 && waited >= 0) rows.push(["Waited", span(waited)]);
  if (!Number.isNaN(ran)) rows.push([running ? "Running for" : "Ran", span(ran)]);
  if (task.finishTime) rows.push(["Finished", <Ago time={task.finishTime} />]);
  if (attempt?.node) rows.push(["Node", <a href={href("nodes", attempt.node)}>{attempt.node}</a>]);
  rows.push(["Attempt", <span title={UNCOUNTED}>{attemptOf(task)}</span>]);
  if (task.failures) rows.push(["Failures", count(task.failures)]);
  if (task.crashes) rows.push(["Nodes lost", count(task.crashes)]);
  const ended = hooksRow(task, onShow);
  if (ended) rows.push(["Hooks", ended]);
  return (
    <Panel title="Facts">
      <dl class="facts">
        {rows.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
    </Panel>
  );
}

/** How the hooks of the last attempt ended that has any; what they wrote is in its log. */
function hooksRow(task: Task, onShow?: (number: number) => void) {
  const attempt = task.attempts?.findLast((one) => hooksText(one));
  if (!attempt) return undefined;
  const { hooks, number = 0 } = attempt;
  const failed = hooks?.setup?.error || hooks?.cleanup?.error;
  return (
    <>
      <span class={failed ? "error-line" : ""}>{hooksText(attempt)}</span>
      {onShow && (
        <button type="button" class="link" onClick={() => onShow(number)}>
          Log of attempt {number}
        </button>
      )}
    </>
  );
}

export function SpecPanel({ spec }: { spec: TaskSpec }) {
  const { command, python, retry, resources } = spec;
  const argv = command?.argv ?? spec.service?.command?.argv;
  const rows: [string, preact.ComponentChildren][] = [];
  if (python?.pickle) {
    rows.push(["Arguments", `a pickle of ${bytes(base64Size(python.pickle))}`]);
  }
  if (spec.service) rows.push(["Service", <a href={href("services")}>{spec.service.service}</a>]);
  if (command?.cwd) rows.push(["Directory", <span class="mono">{command.cwd}</span>]);
  if (command?.stdin) rows.push(["Input", bytes(base64Size(command.stdin))]);
  if (spec.priority) rows.push(["Priority", spec.priority]);
  if (spec.labels) rows.push(["Labels", <Labels labels={spec.labels} />]);
  for (const [name, hook] of [["Set-up", spec.hooks?.setup], ["Clean-up", spec.hooks?.cleanup]] as const) {
    if (!hook) continue;
    const most = hook.timeout ? `, at most ${span(durationMs(hook.timeout))}` : "";
    rows.push([name, <><span class="mono">{hookText(hook)}</span>{most}</>]);
  }
  if (spec.startDeadline) rows.push(["Start deadline", span(durationMs(spec.startDeadline))]);
  if (spec.timeout) rows.push(["Timeout", span(durationMs(spec.timeout))]);
  if (spec.notBefore) rows.push(["Not before", clock(spec.notBefore)]);
  if (resources?.cpu) rows.push(["Cores", resources.cpu]);
  if (num(resources?.memory)) rows.push(["Memory", bytes(resources?.memory)]);
  if (resources?.counters) rows.push(["Resources", <Labels labels={strings(resources.counters)} />]);
  if (spec.fairnessKey) rows.push(["Fairness key", <span class="mono">{spec.fairnessKey}</span>]);
  if (spec.unique) rows.push(["Unique key", <span class="mono">{spec.unique.key}</span>]);
  if (spec.unique?.window) rows.push(["Unique for", span(durationMs(spec.unique.window))]);
  if (spec.orderingKey) rows.push(["Ordering key", <span class="mono">{spec.orderingKey}</span>]);
  if (spec.limitKey) rows.push(["Limit key", <span class="mono">{spec.limitKey}</span>]);
  if (spec.limits?.length) rows.push(["Limits", spec.limits.join(", ")]);
  if (spec.affinityKey) rows.push(["Affinity", <span class="mono">{spec.affinityKey}</span>]);
  for (const [name, text] of ruleRows(spec.placement)) rows.push([name, text]);
  if (retry?.initialBackoff) rows.push(["First backoff", span(durationMs(retry.initialBackoff))]);
  if (retry?.maxBackoff) rows.push(["Longest backoff", span(durationMs(retry.maxBackoff))]);
  if (retry?.fatalErrors?.length) rows.push(["Final errors", retry.fatalErrors.join(", ")]);
  const environment = Object.entries(command?.env ?? {});
  return (
    <Panel
      title="Specification"
      aside={<Copy text={JSON.stringify(spec, null, 2)} what="the specification as JSON" />}
    >
      {argv && <pre tabIndex={0} class="code wrap">{joinWords(argv)}</pre>}
      {python?.entrypoint && <pre tabIndex={0} class="code wrap">{python.entrypoint}</pre>}
      {python?.json && python.json !== "[]" && <pre tabIndex={0} class="code wrap">{pretty(python.json)}</pre>}
      {rows.length > 0 && (
        <dl class="facts">
          {rows.map(([name, value]) => (
            <>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </>
          ))}
        </dl>
      )}
      {environment.length > 0 && (
        <details>
          <summary>Environment ({environment.length})</summary>
          <pre tabIndex={0} class="code">{environment.map(([key, value]) => `${key}=${value}`).join("\n")}</pre>
        </details>
      )}
    </Panel>
  );
}

const strings = (values: Record<string, string | number>) =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]));
