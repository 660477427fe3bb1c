// The fields of a form about when a schedule fires, and what becomes of its ticks.

import { Field } from "@ui/parts/dialog";
import { FOLDS, GAPS, MOST_BLACKOUTS } from "@ui/views/schedules/rules";
import { OVERLAPS } from "@ui/views/schedules/when";

type Texts = Readonly<Record<string, string>>;

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const TIMING = ["schedule.spec.timing", "schedule.spec.cron", "SCHEDULE_NEVER_FIRES"];

export function TimingFields({ values = {} }: { values?: Texts }) {
  return (
    <>
      <div class="fields">
        <Field label="Cron" hint="Minute, hour, day, month, weekday; also @daily, L, #, H." of={TIMING}>
          <input
            name="cron"
            class="mono"
            defaultValue={values.cron}
            placeholder="30 2 * * *"
            autocomplete="off"
          />
        </Field>
        <Field label="Time zone" hint="Of cron; such as Europe/Berlin." of="schedule.spec.time_zone">
          <input name="zone" defaultValue={values.zone ?? ZONE} placeholder="UTC" autocomplete="off" />
        </Field>
      </div>
      <div class="fields">
        <Field label="Every" hint="Instead of cron, 1 s to 366 d: 30s, 5m, 1h 30m." of="schedule.spec.interval">
          <input name="every" defaultValue={values.every} placeholder="none; such as 5m" autocomplete="off" />
        </Field>
        <Field label="Jitter" hint="Puts each run off by a part of it; at most 1 d." of="schedule.spec.jitter">
          <input name="jitter" defaultValue={values.jitter} placeholder="none; such as 10m" autocomplete="off" />
        </Field>
      </div>
    </>
  );
}

export function RuleFields({ values = {} }: { values?: Texts }) {
  const choice = (
    name: string,
    label: string,
    options: readonly { value: string; label: string }[],
    of: string,
    hint?: string,
  ) => (
    <Field label={label} of={of} {...(hint && { hint })}>
      <select name={name}>
        {options.map(({ value, label: text }) => (
          <option key={value} value={value} selected={value === values[name]}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
  const changed = values.blackouts || values.dstGap !== GAPS[0].value || values.dstFold !== FOLDS[0].value;
  return (
    <>
      <div class="fields">
        {choice("overlap", "While a run is not finished", OVERLAPS, "schedule.spec.overlap")}
        {choice("pauseOnFailure", "After a failed run", FAILED, "schedule.spec.pause_on_failure")}
      </div>
      <details open={Boolean(values.dstGap && changed)}>
        <summary>Blackouts and clock changes</summary>
        <Field
          label="No ticks during"
          hint={
            <>
              One on each line, at most {MOST_BLACKOUTS}: two dates ({ZONE}), or a cron expression and a length up to
              31 d, such as <code class="whole">0 9 * * 1-5/8h</code>.
            </>
          }
          of="schedule.spec.blackouts"
        >
          <textarea
            name="blackouts"
            class="mono"
            rows={3}
            placeholder="2026-12-24 to 2026-12-27"
            defaultValue={values.blackouts}
          />
        </Field>
        <div class="fields">
          {choice("dstGap", "A tick in the hour that is skipped", GAPS, "schedule.spec.dst_gap", "When summer time begins.")}
          {choice("dstFold", "A tick in the hour that comes twice", FOLDS, "schedule.spec.dst_fold", "When summer time ends.")}
        </div>
        <p class="muted">Clock changes matter for fixed times only, such as 30 2 * * *.</p>
      </details>
    </>
  );
}

const FAILED = [
  { value: "", label: "Go on" },
  { value: "yes", label: "Pause it" },
];
