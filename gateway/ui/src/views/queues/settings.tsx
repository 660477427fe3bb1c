// The settings of a queue: the form, what it says, and changing those of a queue that is there.

import { updateQueue } from "@ui/api/actions";
import type { Queue } from "@ui/api/types";
import { countText, rateText, readCount, readRate } from "@ui/lib/limits";
import { duration, pairs, Unreadable } from "@ui/lib/words";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";

const DROP = "LENGTH_POLICY_DROP_OLDEST";
/** The fields of `update_mask`: the form has them all. */
const SETTINGS = [
  ...["placement", "disconnect", "retention", "maxRunning", "rate"],
  ...["maxRunningPerKey", "ratePerKey", "maxLength", "lengthPolicy", "weights", "aging", "share"],
  ...["spreadLabel", "filters", "score"],
];

export function QueueSettingsDialog({ queue, onClose }: { queue: Queue; onClose: () => void }) {
  const submit = async (data: FormData) => {
    const made = settingsOf((name) => String(data.get(name) ?? "").trim());
    await updateQueue({ name: queue.name, ...made }, SETTINGS);
    tell(`The settings of ${queue.name} were changed.`);
  };
  return (
    <FormDialog
      title={`Settings of ${queue.name}`}
      submit="Change settings"
      wide
      onClose={onClose}
      onSubmit={submit}
    >
      <QueueFields queue={queue} />
    </FormDialog>
  );
}

/** What a queue can be set to; of `queue`, or the defaults. */
export function QueueFields({ queue }: { queue?: Queue }) {
  const text = (name: string, label: string, value: string, hint?: string, empty = "no limit") => (
    <Field label={label} {...(hint ? { hint } : {})}>
      <input name={name} defaultValue={value} placeholder={empty} autocomplete="off" />
    </Field>
  );
  return (
    <>
      <div class="fields">
        <Field label="Placement" hint="How a node is chosen for its tasks.">
          <select name="placement" value={queue?.placement}>
            <option value="PLACEMENT_STRATEGY_LEAST_LOADED">Least loaded node</option>
            <option value="PLACEMENT_STRATEGY_ROUND_ROBIN">Each node in turn</option>
            <option value="PLACEMENT_STRATEGY_CONSISTENT_HASH">Same node for the same key</option>
            <option value="PLACEMENT_STRATEGY_BIN_PACK">Fullest node with a free slot</option>
            <option value="PLACEMENT_STRATEGY_SPREAD">Evenly over nodes, or over a label</option>
            <option value="PLACEMENT_STRATEGY_RANDOM_OF_TWO">Better of two random nodes</option>
          </select>
        </Field>
        {text("spreadLabel", "Spread over label", queue?.spreadLabel ?? "", undefined, "nodes")}
        <Field label="Nodes without contact" hint="What becomes of tasks on a node that hears nobody.">
          <select name="disconnect" value={queue?.disconnect}>
            <option value="DISCONNECT_POLICY_KEEP">Tasks run on</option>
            <option value="DISCONNECT_POLICY_STOP">Tasks are ended</option>
          </select>
        </Field>
      </div>
      <div class="fields">
        <Field label="Keep finished tasks for">
          <input name="age" placeholder="24h" defaultValue={queue?.retention?.age} />
        </Field>
        <Field label="Keep at most">
          <input
            name="count"
            type="number"
            min={1}
            max={1000000}
            placeholder="100000"
            defaultValue={queue?.retention?.count}
          />
        </Field>
      </div>
      <div class="fields">
        {text("maxRunning", "Running tasks", countText(queue?.maxRunning))}
        {text("rate", "Starts", rateText(queue?.rate), "Such as 10/s, or 100/15m burst 5.")}
      </div>
      <div class="fields">
        {text("maxRunningPerKey", "Running tasks per limit key", countText(queue?.maxRunningPerKey))}
        {text("ratePerKey", "Starts per limit key", rateText(queue?.ratePerKey))}
      </div>
      <div class="fields">
        {text(
          "weights",
          "Weights of fairness keys",
          weightsText(queue?.weights),
          "Such as gold=3, silver=2; others have 1.",
          "none",
        )}
        {text("aging", "Waiting worth one priority", queue?.aging ?? "", "Such as 10m.", "never")}
        {text("share", "Share of the slots", queue?.share ? `${queue.share}` : "", "While other queues wait.", "1")}
      </div>
      <div class="fields">
        {text("filters", "Filters of nodes", (queue?.filters ?? []).join(", "), "Plug-ins of the schedulers.", "none")}
        {text("score", "Score of nodes", queue?.score ?? "", "A plug-in that chooses the node.", "none")}
      </div>
      <div class="fields">
        {text("maxLength", "Waiting tasks", countText(queue?.maxLength))}
        <Field label="When so many wait">
          <select name="lengthPolicy" value={queue?.lengthPolicy === DROP ? DROP : ""}>
            <option value="">New tasks are refused</option>
            <option value={DROP}>The oldest task fails</option>
          </select>
        </Field>
      </div>
    </>
  );
}

/** The form as settings; what is left out is the default. Throws Unreadable with a sentence. */
export function settingsOf(read: (name: string) => string): Partial<Queue> {
  const age = duration(read("age"), "Keep finished tasks for");
  const most = read("count");
  const maxRunning = readCount(read("maxRunning"), "Running tasks");
  const rate = readRate(read("rate"), "Starts");
  const maxRunningPerKey = readCount(read("maxRunningPerKey"), "Running tasks per limit key");
  const ratePerKey = readRate(read("ratePerKey"), "Starts per limit key");
  const maxLength = readCount(read("maxLength"), "Waiting tasks");
  const lengthPolicy = read("lengthPolicy");
  const weights = readWeights(read("weights"));
  const filters = read("filters").split(",").map((name) => name.trim()).filter(Boolean);
  const aging = duration(read("aging"), "Waiting worth one priority");
  const share = Number(read("share"));
  if (!(share >= 0)) throw new Unreadable("Share of the slots: type a number above 0, such as 3.");
  if (lengthPolicy && maxLength === undefined) {
    throw new Unreadable("Waiting tasks: type how many may wait before the oldest one fails.");
  }
  return {
    placement: read("placement"),
    ...(read("spreadLabel") ? { spreadLabel: read("spreadLabel") } : {}),
    ...(filters.length ? { filters } : {}),
    ...(read("score") ? { score: read("score") } : {}),
    disconnect: read("disconnect"),
    ...(age || most
      ? { retention: { ...(age ? { age } : {}), ...(most ? { count: most } : {}) } }
      : {}),
    ...(maxRunning === undefined ? {} : { maxRunning }),
    ...(rate ? { rate } : {}),
    ...(maxRunningPerKey === undefined ? {} : { maxRunningPerKey }),
    ...(ratePerKey ? { ratePerKey } : {}),
    ...(maxLength === undefined ? {} : { maxLength }),
    ...(lengthPolicy ? { lengthPolicy } : {}),
    ...(weights ? { weights } : {}),
    ...(aging ? { aging } : {}),
    ...(share ? { share } : {}),
  };
}

/** "gold=3, silver=2"; undefined when empty. Throws Unreadable. */
export function readWeights(text: string): Record<string, number> | undefined {
  const found = pairs(text.replaceAll(",", "\n"), "Weights of fairness keys");
  const weights = Object.entries(found).map(([key, value]) => [key, Number(value)] as const);
  for (const [key, weight] of weights) {
    if (!(weight > 0)) {
      throw new Unreadable(`the weight of “${key}” is not a number above 0.`, "Weights of fairness keys");
    }
  }
  return weights.length ? Object.fromEntries(weights) : undefined;
}

const weightsText = (weights: Record<string, number> | undefined): string =>
  Object.entries(weights ?? {})
    .map(([key, weight]) => `${key}=${weight}`)
    .join(", ");

/** The limits of a queue in a line; empty without any. */
export function limitsText(queue: Queue): string {
  const words = [
    queue.maxRunning !== undefined && `${countText(queue.maxRunning)} at once`,
    queue.rate && rateText(queue.rate),
    queue.maxRunningPerKey !== undefined && `${countText(queue.maxRunningPerKey)} per key`,
    queue.ratePerKey && `${rateText(queue.ratePerKey)} per key`,
    queue.maxLength !== undefined && `${countText(queue.maxLength)} waiting`,
  ].filter(Boolean);
  return words.length ? `at most ${words.join(", ")}` : "";
}
