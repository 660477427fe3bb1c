// The forms about schedules: a new one, when one fires, and a pause.

import { createSchedule, pauseSchedule, updateSchedule } from "@ui/api/actions";
import { useQueues } from "@ui/api/store";
import type { Schedule } from "@ui/api/types";
import { duration } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { OVERLAPS, scheduleOf, timingOf } from "@ui/views/schedules/when";

interface Props {
  onClose: () => void;
  onDone: () => void;
}

const reader = (data: FormData) => (name: string) => String(data.get(name) ?? "").trim();

function Timing({ schedule }: { schedule?: Schedule }) {
  const { cron, timeZone, interval } = schedule?.spec ?? {};
  return (
    <>
      <div class="fields">
        <Field label="Cron" hint="Minute, hour, day, month, weekday; also @daily, L, #, H.">
          <input name="cron" defaultValue={cron} placeholder="30 2 * * *" autocomplete="off" />
        </Field>
        <Field label="Time zone">
          <input
            name="zone"
            defaultValue={timeZone || Intl.DateTimeFormat().resolvedOptions().timeZone}
            autocomplete="off"
          />
        </Field>
      </div>
      <Field label="Every" hint="Another way to say when: 30s, 5m, 1h 30m.">
        <input name="every" defaultValue={interval?.every} placeholder="5m" autocomplete="off" />
      </Field>
    </>
  );
}

export function CreateDialog({ onClose, onDone }: Props) {
  const queues = [...(useQueues().value?.keys() ?? ["default"])].sort();
  const submit = async (data: FormData) => {
    const made = scheduleOf(reader(data));
    await createSchedule(made);
    tell(`The schedule ${made.name} was created.`);
    onDone();
  };
  return (
    <FormDialog
      title="Create a schedule"
      submit="Create schedule"
      wide
      onClose={onClose}
      onSubmit={submit}
    >
      <div class="fields">
        <Field label="Name">
          <input
            name="name"
            required
            autofocus
            maxLength={64}
            pattern="[a-z0-9][a-z0-9._\-]*"
            placeholder="nightly"
            autocapitalize="none"
          />
        </Field>
        <Field label="Queue">
          <select name="queue">
            {queues.map((name) => (
              <option key={name} selected={name === "default"}>
                {name}
              </option>
            ))}
          </select>
        </Field>
      </div>
      <Field label="Command" hint="As in a shell, without pipes and variables.">
        <input name="command" required placeholder="/srv/report --all" autocomplete="off" />
      </Field>
      <div class="fields">
        <Field label="Set-up" hint="Runs before each attempt.">
          <input name="setup" placeholder="none; a command or module:function" autocomplete="off" />
        </Field>
        <Field label="Clean-up" hint="Runs after each attempt, however it ended.">
          <input name="cleanup" placeholder="none; a command or module:function" autocomplete="off" />
        </Field>
      </div>
      <Timing />
      <div class="fields">
        <Field label="While a run is not finished">
          <select name="overlap">
            {OVERLAPS.map(({ value, label }) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </Field>
        <Field label="After a failed run">
          <select name="pauseOnFailure">
            <option value="">Go on</option>
            <option value="yes">Pause it</option>
          </select>
        </Field>
      </div>
      <Field label="Jitter" hint="Puts each run off by a part of it.">
        <input name="jitter" placeholder="none" autocomplete="off" />
      </Field>
    </FormDialog>
  );
}

export function TimingDialog({ schedule, onClose, onDone }: Props & { schedule: Schedule }) {
  const submit = async (data: FormData) => {
    await updateSchedule(schedule.name, timingOf(reader(data)));
    tell(`The schedule ${schedule.name} was changed.`);
    onDone();
  };
  return (
    <FormDialog
      title={`When ${schedule.name} fires`}
      submit="Change"
      onClose={onClose}
      onSubmit={submit}
    >
      <Timing schedule={schedule} />
      <p class="muted">Ticks up to now that have not run are missed.</p>
    </FormDialog>
  );
}

export function PauseDialog({ schedule, onClose, onDone }: Props & { schedule: Schedule }) {
  const submit = async (data: FormData) => {
    const read = reader(data);
    const span = duration(read("for"), "For");
    const until = span && new Date(Date.now() + Number.parseFloat(span) * 1000).toISOString();
    await pauseSchedule(schedule.name, { reason: read("reason"), ...(until ? { until } : {}) });
    tell(`The schedule ${schedule.name} is paused.`);
    onDone();
  };
  return (
    <FormDialog
      title={`Pause ${schedule.name}?`}
      submit="Pause"
      onClose={onClose}
      onSubmit={submit}
    >
      <Field label="Reason" hint="Others see it.">
        <input name="reason" maxLength={256} autofocus autocomplete="off" />
      </Field>
      <Field label="For" hint="Empty: until it is resumed.">
        <input name="for" placeholder="2h" autocomplete="off" />
      </Field>
      <p class="muted">Running tasks go on. Ticks of the pause do not run.</p>
    </FormDialog>
  );
}
