// The forms about schedules: a new one, when one fires, and a pause.

import { createSchedule, pauseSchedule, updateSchedule } from "@ui/api/actions";
import { useQueues } from "@ui/api/store";
import type { Schedule } from "@ui/api/types";
import { DAY, duration, Unreadable } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { RuleFields, TimingFields } from "@ui/views/schedules/fields";
import { ruleChange, ruleTexts } from "@ui/views/schedules/rules";
import { scheduleOf } from "@ui/views/schedules/when";

interface Props {
  onClose: () => void;
  onDone: () => void;
}

const reader = (data: FormData) => (name: string) => String(data.get(name) ?? "").replaceAll("\r\n", "\n").trim();

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
        <Field
          label="Name"
          hint="a-z, 0-9 and . _ -; at most 64 characters."
          of={["schedule.name", "SCHEDULE_ALREADY_EXISTS"]}
        >
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
        <Field label="Queue" of={["schedule.spec.queue", "QUEUE_NOT_FOUND"]}>
          <select name="queue">
            {queues.map((name) => (
              <option key={name} selected={name === "default"}>
                {name}
              </option>
            ))}
          </select>
        </Field>
      </div>
      <Field label="Command" hint="As in a shell, without pipes and variables." of="schedule.spec.task.command">
        <input name="command" required placeholder="/srv/report --all" autocomplete="off" />
      </Field>
      <div class="fields">
        <Field label="Set-up" hint="Runs before each attempt." of="schedule.spec.task.hooks.setup">
          <input name="setup" placeholder="none; a command or module:function" autocomplete="off" />
        </Field>
        <Field
          label="Clean-up"
          hint="Runs after each attempt, however it ended."
          of="schedule.spec.task.hooks.cleanup"
        >
          <input name="cleanup" placeholder="none; a command or module:function" autocomplete="off" />
        </Field>
      </div>
      <TimingFields />
      <RuleFields />
    </FormDialog>
  );
}

/** Changes when a schedule fires, and what becomes of its ticks. */
export function TimingDialog({ schedule, onClose, onDone }: Props & { schedule: Schedule }) {
  const values = ruleTexts(schedule.spec ?? {});
  const submit = async (data: FormData) => {
    const { spec, paths } = ruleChange(schedule.spec ?? {}, reader(data));
    if (!paths.length) throw new Unreadable("Nothing is changed.");
    await updateSchedule(schedule.name, spec, paths);
    tell(`The schedule ${schedule.name} was changed.`);
    onDone();
  };
  return (
    <FormDialog
      title={`When ${schedule.name} fires`}
      submit="Change"
      wide
      onClose={onClose}
      onSubmit={submit}
    >
      <TimingFields values={values} />
      <RuleFields values={values} />
      <p class="muted">Ticks up to now that have not run are missed.</p>
    </FormDialog>
  );
}

export function PauseDialog({ schedule, onClose, onDone }: Props & { schedule: Schedule }) {
  const submit = async (data: FormData) => {
    const read = reader(data);
    const span = duration(read("for"), "For", { most: 366 * DAY });
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
      <Field label="Reason" hint="Others see it." of="reason">
        <input name="reason" maxLength={256} autofocus autocomplete="off" />
      </Field>
      <Field label="For" hint="At most 366 d. Empty: until it is resumed." of="until">
        <input name="for" placeholder="2h" autocomplete="off" />
      </Field>
      <p class="muted">Running tasks go on. Ticks of the pause do not run.</p>
    </FormDialog>
  );
}
