// Pauses of all tasks that match: which there are, making and ending them. Read when the view is opened
// and every few seconds after that.

import { useEffect } from "preact/hooks";
import { createPause, deletePause, listPauses } from "@ui/api/actions";
import { token } from "@ui/api/token";
import type { Pause } from "@ui/api/types";
import { clock, plain } from "@ui/lib/format";
import { usePages } from "@ui/lib/pages";
import { duration, pairs } from "@ui/lib/words";
import { Button, Labels, Panel } from "@ui/parts/basics";
import { Field, FormDialog } from "@ui/parts/dialog";
import { Table, type Column } from "@ui/parts/table";
import { attempt, tell } from "@ui/parts/toasts";

const EVERY_MS = 2_000;
const STOPS: Record<string, string> = {
  dispatch: "no task starts",
  admission: "no new task is accepted",
  both: "no task starts or is accepted",
};

interface PausesProps {
  /** Opens the dialog. */
  adding: boolean;
  mayEnd: boolean;
  onClose: () => void;
}

/** Nothing where there are none. */
export function Pauses({ adding, mayEnd, onClose }: PausesProps) {
  // A cluster has at most 100: they are one page.
  const { items, refresh } = usePages<Pause>(async (pageToken, signal) => {
    const page = await listPauses({ pageSize: 1000, pageToken }, { signal });
    return { items: page.pauses, token: page.nextPageToken };
  }, token.value);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) void refresh();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const end = (pause: Pause) =>
    void attempt(async () => {
      await deletePause(pause);
      await refresh();
    }, `${pause.name} has ended.`);
  return (
    <>
      {items !== undefined && items.length > 0 && (
        <Panel title="Paused tasks" class="flush bare">
          <Table
            label="Pauses"
            columns={columns(end).filter(({ name }) => mayEnd || name !== "Actions")}
            items={items}
            keyOf={(pause) => pause.name}
          />
        </Panel>
      )}
      {adding && <PauseTasksDialog onClose={onClose} onDone={() => void refresh()} />}
    </>
  );
}

const columns = (end: (pause: Pause) => void): Column<Pause>[] => [
  { name: "Pause", wide: true, cell: (pause) => <strong>{pause.name}</strong> },
  {
    name: "Tasks",
    cell: ({ queue, labels, fairnessKey }) => (
      <span class="row">
        {queue && <span>of {queue}</span>}
        <Labels labels={labels} />
        {fairnessKey && <span>of tenant {fairnessKey}</span>}
      </span>
    ),
  },
  { name: "Stops", cell: ({ scope }) => STOPS[plain(scope, "PAUSE_SCOPE_")] ?? "" },
  { name: "Until", cell: ({ until }) => (until ? clock(until) : <span class="zero">–</span>) },
  {
    name: "Reason",
    cell: ({ reason, pausedBy }) => [reason, pausedBy && `by ${pausedBy}`].filter(Boolean).join(", "),
  },
  {
    name: "Actions",
    right: true,
    cell: (pause) => (
      <span class="actions">
        <Button kind="quiet" icon="play" title={`End ${pause.name}`} onClick={() => end(pause)} />
      </span>
    ),
  },
];

function PauseTasksDialog({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const submit = async (data: FormData) => {
    const made = pauseOf((name) => String(data.get(name) ?? "").trim(), Date.now());
    await createPause(made);
    tell(`${made.name} holds.`);
    onDone();
  };
  return (
    <FormDialog title="Pause tasks" submit="Pause tasks" wide onClose={onClose} onSubmit={submit}>
      <div class="fields">
        <Field label="Name">
          <input name="name" placeholder="vendor-outage" autocomplete="off" required />
        </Field>
        <Field label="What stops">
          <select name="scope">
            <option value="DISPATCH">No task starts</option>
            <option value="ADMISSION">No new task is accepted</option>
            <option value="BOTH">Both</option>
          </select>
        </Field>
      </div>
      <div class="fields">
        <Field label="Labels" hint="Tasks that have all of them, such as app=billing, region=eu.">
          <input name="labels" autocomplete="off" />
        </Field>
        <Field label="Fairness key">
          <input name="fairnessKey" placeholder="any" autocomplete="off" />
        </Field>
        <Field label="Queue">
          <input name="queue" placeholder="every queue" autocomplete="off" />
        </Field>
      </div>
      <div class="fields">
        <Field label="For" hint="Empty: until somebody ends it.">
          <input name="for" placeholder="such as 30m" autocomplete="off" />
        </Field>
        <Field label="Reason">
          <input name="reason" maxLength={256} />
        </Field>
      </div>
    </FormDialog>
  );
}

/** The pause that a form asks for. Throws Unreadable. */
export function pauseOf(read: (name: string) => string, now: number): Pause {
  const seconds = duration(read("for"), "For");
  const labels = pairs(read("labels").replaceAll(",", "\n"), "Labels");
  return {
    name: read("name"),
    scope: `PAUSE_SCOPE_${read("scope")}`,
    ...(read("queue") ? { queue: read("queue") } : {}),
    ...(Object.keys(labels).length ? { labels } : {}),
    ...(read("fairnessKey") ? { fairnessKey: read("fairnessKey") } : {}),
    ...(read("reason") ? { reason: read("reason") } : {}),
    ...(seconds ? { until: new Date(now + Number.parseFloat(seconds) * 1000).toISOString() } : {}),
  };
}
