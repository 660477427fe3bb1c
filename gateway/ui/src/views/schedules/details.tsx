// What there is to know of one schedule: its settings, next ticks, last runs, and ticks without a run.

import { Fragment, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { getSchedule } from "@ui/api/actions";
import type { Schedule } from "@ui/api/types";
import { count, durationMs, minute, num, plain, shortId, span } from "@ui/lib/format";
import { hookText } from "@ui/lib/hooks";
import { Ago, Badge, Failure, Loading } from "@ui/parts/basics";
import { blackouts, catchUp, clockChanges, hrefOf, workOf } from "@ui/views/schedules/when";

/** Read anew when `version` changes. */
export function Details({ name, version }: { name: string; version: unknown }) {
  const [schedule, setSchedule] = useState<Schedule>();
  const [failure, setFailure] = useState("");
  useEffect(() => {
    const abort = new AbortController();
    getSchedule(name, { signal: abort.signal }).then(
      ({ schedule: found }) => {
        setSchedule(found);
        setFailure("");
      },
      (error: Error) => abort.signal.aborted || setFailure(error.message),
    );
    return () => abort.abort();
  }, [name, version]);
  if (failure) return <Failure message={failure} />;
  if (!schedule) return <Loading rows={2} />;
  return (
    <div class="schedule">
      <Facts schedule={schedule} />
      <List title="Next ticks" none="No tick is left, or it is paused.">
        {schedule.nextTicks?.map((tick) => (
          <li key={tick}>
            {minute(tick)} <span class="muted"><Ago time={tick} /></span>
          </li>
        ))}
      </List>
      <List title="Last runs" none="None yet.">
        {schedule.lastRuns?.map((run) => (
          <li key={run.task || run.job}>
            <Badge tone={plain(run.state, "TASK_STATE_") || "none"}>
              {plain(run.state, "TASK_STATE_") || "gone"}
            </Badge>{" "}
            <a href={hrefOf(run)}>{shortId(run.task || run.job || "")}</a>{" "}
            {minute(run.tickTime)}
            {run.cause !== "SCHEDULE_CAUSE_TICK" && ` (${plain(run.cause, "SCHEDULE_CAUSE_")})`}
          </li>
        ))}
      </List>
      <List title="Ticks without a run" none="None.">
        {schedule.lastMisses?.map((miss) => (
          <li key={`${miss.firstTime}${miss.reason}`}>
            {num(miss.ticks) < 0 ? "over 200" : count(miss.ticks)} from{" "}
            {minute(miss.firstTime)}: {plain(miss.reason, "MISS_REASON_")}
            {miss.detail && ` (${miss.detail})`}
          </li>
        ))}
      </List>
    </div>
  );
}

function Facts({ schedule }: { schedule: Schedule }) {
  const { spec = {}, pauseUntil, backfill: left } = schedule;
  const { setup, cleanup } = spec.task?.hooks ?? {};
  const paused = [
    schedule.pausedBy && `by ${schedule.pausedBy}`,
    pauseUntil && `until ${minute(pauseUntil)}`,
    schedule.pauseReason,
  ].filter(Boolean);
  const facts: [string, string | undefined][] = [
    ["Paused", paused.join(", ")],
    ["Task", workOf(spec)],
    ["Set-up", setup && hookText(setup)],
    ["Clean-up", cleanup && hookText(cleanup)],
    ["Overlap", plain(spec.overlap, "OVERLAP_POLICY_") || "skip"],
    ["Catch-up", catchUp(spec)],
    ["Jitter", spec.jitter && `up to ${span(durationMs(spec.jitter))}`],
    ["No ticks", blackouts(spec)],
    ["Not before", spec.startTime && minute(spec.startTime)],
    ["Not after", spec.endTime && minute(spec.endTime)],
    ["Clock changes", clockChanges(spec)],
    ["On failure", spec.pauseOnFailure ? "is paused" : ""],
    ["Remaining runs", schedule.remainingRuns?.toString()],
    ["Backfill", left && `from ${minute(left.startTime)} to ${minute(left.endTime)} is left`],
    ["Waiting ticks", schedule.waitingTicks?.length.toString()],
    ["Cannot run now", schedule.blockedReason],
    ["Created by", schedule.createdBy],
  ];
  return (
    <dl class="facts">
      {facts.map(
        ([name, value]) =>
          value && (
            <Fragment key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </Fragment>
          ),
      )}
    </dl>
  );
}

function List(props: { title: string; none: string; children?: ComponentChildren[] }) {
  return (
    <section>
      <h3>{props.title}</h3>
      {props.children?.length ? <ul>{props.children}</ul> : <p class="muted">{props.none}</p>}
    </section>
  );
}
