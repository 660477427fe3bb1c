// Runs ticks of the past: which ones is shown before.

import { useEffect, useState } from "preact/hooks";
import { getSchedule, previewBackfill, runBackfill } from "@ui/api/actions";
import type { Backfill, Schedule } from "@ui/api/types";
import { durationMs, instant, minute, plural } from "@ui/lib/format";
import { fieldTime } from "@ui/lib/instants";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { workOf } from "@ui/views/schedules/when";

interface Props {
  schedule: Schedule;
  onClose: () => void;
  onDone: () => void;
}

interface Range {
  from: string;
  to: string;
}

interface Preview {
  ticks: string[];
  /** What was looked at: the same is run, also when it ends now. */
  backfill: Backfill;
}

const TYPING_MS = 250;
/** Of many ticks the first and the last ones are shown. */
const FIRST = 5;
const LAST = 3;
const POLICIES = [
  { value: "OVERLAP_POLICY_QUEUE_ALL", label: "One after the other", how: "one after the other" },
  { value: "OVERLAP_POLICY_ALLOW", label: "All at once", how: "all at once" },
  {
    value: "OVERLAP_POLICY_SKIP",
    label: "Leave out ticks while a run is not finished",
    how: "those at which no run is unfinished",
  },
] as const;

export function BackfillDialog({ schedule, onClose, onDone }: Props) {
  const { name, spec } = schedule;
  const [range, setRange] = useState<Range>();
  const [overlap, setOverlap] = useState<string>(POLICIES[0].value);
  const [preview, setPreview] = useState<Preview>();
  const [problem, setProblem] = useState<Error>();

  useEffect(() => {
    const abort = new AbortController();
    getSchedule(name, { signal: abort.signal }).then(
      // What was typed meanwhile stays.
      ({ schedule: found }) => setRange((typed) => typed ?? { from: fieldTime(usualStart(found, Date.now())), to: "" }),
      (error: Error) => abort.signal.aborted || setProblem(error),
    );
    return () => abort.abort();
  }, [name]);

  useEffect(() => {
    setPreview(undefined);
    if (!range?.from) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const asked: Backfill = { startTime: timeOf(range.from), endTime: timeOf(range.to), overlap };
      previewBackfill(name, asked, { signal: abort.signal }).then(
        ({ ticks = [] }) => {
          setProblem(undefined);
          setPreview({ ticks, backfill: { ...asked, endTime: asked.endTime ?? justAfter(ticks.at(-1)) } });
        },
        (error: Error) => abort.signal.aborted || setProblem(error),
      );
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [name, range?.from, range?.to, overlap]);

  const many = preview?.ticks.length ?? 0;
  const submit = async () => {
    if (!preview) return;
    await runBackfill(name, preview.backfill);
    tell(`${plural(many, "tick")} of ${name} will run.`);
    onDone();
  };
  const change = (part: Partial<Range>) => setRange({ from: "", to: "", ...range, ...part });
  return (
    <FormDialog
      title={`Run past ticks of ${name}`}
      submit={preview ? `Run ${plural(many, "tick")}` : "Run"}
      disabled={!preview}
      problem={problem}
      wide
      onClose={onClose}
      onSubmit={submit}
    >
      <div class="fields">
        <Field label="From" of="backfill.start_time">
          <input
            type="datetime-local"
            required
            value={range?.from}
            onInput={(event) => change({ from: event.currentTarget.value })}
          />
        </Field>
        <Field label="To" hint="Empty: now." of={["backfill.end_time", "backfill"]}>
          <input
            type="datetime-local"
            value={range?.to}
            onInput={(event) => change({ to: event.currentTarget.value })}
          />
        </Field>
      </div>
      <Field label="Runs" of="backfill.overlap">
        <select value={overlap} onChange={(event) => setOverlap(event.currentTarget.value)}>
          {POLICIES.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </Field>
      <div class="preview" role="status" data-testid="preview">
        {preview ? (
          <>
            <p>
              <strong>{plural(many, "tick")}</strong> of the past would run,{" "}
              {POLICIES.find(({ value }) => value === overlap)?.how}: <code>{workOf(spec)}</code> in the queue{" "}
              {spec?.queue || "default"}
            </p>
            <Ticks ticks={preview.ticks} />
          </>
        ) : (
          <p class="muted">{problem ? "Nothing would run." : "Looking for ticks …"}</p>
        )}
      </div>
      <p class="muted">At most 1,000 ticks. Also while the schedule is paused, and during its blackouts.</p>
    </FormDialog>
  );
}

function Ticks({ ticks }: { ticks: string[] }) {
  const all = ticks.length <= FIRST + LAST + 1;
  const left = ticks.length - FIRST - LAST;
  const item = (tick: string) => <li key={tick}>{minute(tick)}</li>;
  return (
    <ul aria-label="Ticks">
      {(all ? ticks : ticks.slice(0, FIRST)).map(item)}
      {!all && <li class="muted">… {plural(left, "more tick")} …</li>}
      {!all && ticks.slice(-LAST).map(item)}
    </ul>
  );
}

/** Ticks that come while the form is open are not part of it. */
const justAfter = (tick: string | undefined) => tick && new Date(instant(tick) + 1).toISOString();
const timeOf = (typed: string): string | undefined => (typed ? new Date(typed).toISOString() : undefined);

const DAY_MS = 86_400_000;
/** Ticks that are offered when none was missed. */
const USUAL = 3;

/** Since the oldest ticks that were missed last, or so that the last few ticks are in it; milliseconds. */
export function usualStart({ nextTicks = [], lastMisses = [], spec }: Schedule, now: number): number {
  const missed = lastMisses.map(({ firstTime }) => instant(firstTime)).filter((at) => at < now);
  if (missed.length) return Math.min(...missed);
  const [first, second] = nextTicks.map(instant);
  const every = second! - first! || durationMs(spec?.interval?.every) || DAY_MS;
  // A field shows minutes, and ticks of every second are many.
  return now - Math.max(60_000, USUAL * every);
}
