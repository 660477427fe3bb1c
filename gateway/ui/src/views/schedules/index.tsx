// The schedules: when each fires next, what became of its last run, and what can be done with it.
// Read when the view is opened and every few seconds after that.

import { useEffect, useState } from "preact/hooks";
import {
  deleteSchedule,
  getCaller,
  listSchedules,
  resumeSchedule,
  runSchedule,
} from "@ui/api/actions";
import { token } from "@ui/api/token";
import type { Caller, Schedule } from "@ui/api/types";
import { count, plain } from "@ui/lib/format";
import { usePages } from "@ui/lib/pages";
import { href } from "@ui/lib/router";
import { Ago, Badge, Button, Count, Empty, Failure, Loading, Panel } from "@ui/parts/basics";
import { confirm } from "@ui/parts/dialog";
import { Table, type Column } from "@ui/parts/table";
import { tell } from "@ui/parts/toasts";
import { BackfillDialog } from "@ui/views/schedules/backfill";
import { Details } from "@ui/views/schedules/details";
import { CreateDialog, PauseDialog, TimingDialog } from "@ui/views/schedules/dialogs";
import { hrefOf, stateOf, timing } from "@ui/views/schedules/when";

const PAGE = 100;
const EVERY_MS = 5_000;

type Asked = { act: "create" } | { act: "timing" | "pause" | "backfill"; schedule: Schedule };

export function SchedulesView({ rest }: { rest: string }) {
  const { items, more, failure, busy, refresh, next } = usePages<Schedule>(
    async (pageToken, signal) => {
      const page = await listSchedules({ pageSize: PAGE, pageToken }, { signal });
      return { items: page.schedules, token: page.nextPageToken };
    },
    token.value,
  );
  const [caller, setCaller] = useState<Caller>();
  const [open, setOpen] = useState(rest);
  const [asked, setAsked] = useState<Asked>();
  const [version, setVersion] = useState(0);

  useEffect(() => {
    const abort = new AbortController();
    // Without an answer nothing is left out: what may not be done is refused with a sentence.
    getCaller({ signal: abort.signal }).then(({ caller: found }) => setCaller(found), () => {});
    return () => abort.abort();
  }, [token.value]);

  const again = async () => {
    await refresh();
    setVersion((before) => before + 1);
  };
  const onePage = items !== undefined && !more && items.length <= PAGE;
  useEffect(() => {
    if (!onePage) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) void again();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [onePage]);

  const may = (permission: string) => caller?.permissions?.includes(permission) ?? true;
  const rows = items ?? [];
  const create = may("schedules.write") && (
    <Button kind="primary" icon="plus" onClick={() => setAsked({ act: "create" })}>
      Create schedule
    </Button>
  );
  const dialog = { onClose: () => setAsked(undefined), onDone: () => void again() };
  return (
    <div class="view">
      <div class="title">
        <h1>Schedules</h1>
        {items && <span class="muted">{`${count(rows.length)}${more ? "+" : ""}`}</span>}
        <span class="push row" data-create>
          {create}
          <Button icon="retry" busy={busy && items === undefined} onClick={() => void again()}>
            Refresh
          </Button>
        </span>
      </div>
      <Panel title="Tasks that start by themselves" class="flush bare">
        {failure && <Failure message={failure} />}
        {!items && !failure && <Loading />}
        {items && !rows.length && (
          <Empty icon="schedules" title="No schedules">
            <p>A schedule creates a task at each of its instants: every night, or every five minutes.</p>
            {create}
          </Empty>
        )}
        {rows.length > 0 && (
          <Table
            label="Schedules"
            columns={columns(may, open, setOpen, setAsked, again)}
            items={rows}
            keyOf={({ name }) => name}
            below={({ name }) => open === name && <Details name={name} version={version} />}
          />
        )}
      </Panel>
      {more && (
        <Button busy={busy} onClick={() => void next()}>
          Show more
        </Button>
      )}
      {asked?.act === "create" && <CreateDialog {...dialog} />}
      {asked?.act === "timing" && <TimingDialog {...dialog} schedule={asked.schedule} />}
      {asked?.act === "backfill" && <BackfillDialog {...dialog} schedule={asked.schedule} />}
      {asked?.act === "pause" && <PauseDialog {...dialog} schedule={asked.schedule} />}
    </div>
  );
}

/** Asks before it does what cannot be undone; shows failures. */
async function act(what: () => Promise<string>, again: () => Promise<void>): Promise<void> {
  try {
    tell(await what());
  } catch (error) {
    tell((error as Error).message, { failed: true });
  }
  await again();
}

const columns = (
  may: (permission: string) => boolean,
  open: string,
  setOpen: (name: string) => void,
  ask: (asked: Asked) => void,
  again: () => Promise<void>,
): readonly Column<Schedule>[] => [
  {
    name: "Name",
    wide: true,
    cell: ({ name }) => (
      <button
        type="button"
        class="link"
        aria-expanded={open === name}
        onClick={() => setOpen(open === name ? "" : name)}
      >
        {name}
      </button>
    ),
  },
  {
    name: "State",
    cell: (schedule) => (
      <span title={schedule.pauseReason}>
        <Badge tone={stateOf(schedule) === "active" ? "running" : "cancelled"}>
          {stateOf(schedule)}
        </Badge>
      </span>
    ),
  },
  { name: "When", cell: ({ spec }) => <code>{timing(spec)}</code> },
  { name: "Next", cell: ({ nextTicks }) => <Ago time={nextTicks?.[0]} /> },
  {
    name: "Last run",
    cell: ({ lastRuns: [run] = [] }) =>
      run ? (
        <a href={hrefOf(run)}>
          {plain(run.state, "TASK_STATE_") || "gone"} <Ago time={run.tickTime} />
        </a>
      ) : (
        "–"
      ),
  },
  { name: "Runs", right: true, minor: true, cell: ({ runs }) => <Count value={runs} /> },
  { name: "Missed", right: true, cell: ({ missedTicks }) => <Count value={missedTicks} tone="failed" /> },
  {
    name: "Queue",
    minor: true,
    cell: ({ spec }) => (
      <a href={href("tasks", "", { queue: spec?.queue || "default" })}>{spec?.queue || "default"}</a>
    ),
  },
  {
    name: "Actions",
    right: true,
    cell: (schedule) => (
      <span class="actions">
        {may("schedules.control") && (
          <>
            <Button
              kind="quiet"
              icon="play"
              title={`Run ${schedule.name} now`}
              onClick={() =>
                void act(async () => {
                  await runSchedule(schedule.name);
                  return `${schedule.name} runs now.`;
                }, again)
              }
            />
            <Button
              kind="quiet"
              icon="history"
              title={`Run past ticks of ${schedule.name}`}
              onClick={() => ask({ act: "backfill", schedule })}
            />
            {stateOf(schedule) === "paused" ? (
              <Button
                kind="quiet"
                icon="clock"
                title={`Resume ${schedule.name}`}
                onClick={() =>
                  void act(async () => {
                    await resumeSchedule(schedule.name);
                    return `The schedule ${schedule.name} goes on.`;
                  }, again)
                }
              />
            ) : (
              <Button
                kind="quiet"
                icon="pause"
                title={`Pause ${schedule.name}`}
                onClick={() => ask({ act: "pause", schedule })}
              />
            )}
          </>
        )}
        {may("schedules.write") && (
          <>
            <Button
              kind="quiet"
              icon="edit"
              title={`Change when ${schedule.name} fires`}
              onClick={() => ask({ act: "timing", schedule })}
            />
            <Button
              kind="quiet"
              icon="trash"
              title={`Delete ${schedule.name}`}
              onClick={() =>
                confirm({
                  title: `Delete the schedule ${schedule.name}?`,
                  text: "No further task is created. Its tasks stay.",
                  submit: "Delete",
                  act: async () => {
                    await deleteSchedule(schedule.name);
                    tell(`The schedule ${schedule.name} was deleted.`);
                    await again();
                  },
                })
              }
            />
          </>
        )}
      </span>
    ),
  },
];
