// A task that runs: how far it says it is, and what can be asked of a program meanwhile.

import { useState } from "preact/hooks";
import { pauseTask, resumeTask, sendSignal } from "@ui/api/actions";
import type { Task } from "@ui/api/types";
import { Bar, Button } from "@ui/parts/basics";
import { Field, FormDialog } from "@ui/parts/dialog";
import { attempt, tell } from "@ui/parts/toasts";
import { progressText, taskName } from "@ui/views/task/names";

const SIGNALS = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "KILL"];

export function ProgressLine({ task }: { task: Task }) {
  const { fraction, text = "" } = task.progress!;
  return (
    <p class="progress" data-testid="progress">
      {fraction === undefined ? (
        text
      ) : (
        <Bar share={fraction} text={progressText(task)} label="Progress" calm />
      )}
    </p>
  );
}

/** Only programs take orders while they run; a replica is its service's. */
const takesOrders = ({ state, spec, attempts, cancelRequested }: Task) =>
  state === "TASK_STATE_RUNNING" &&
  Boolean(spec?.command) &&
  Boolean(attempts?.at(-1)?.startTime) &&
  !cancelRequested;

export function RunningActions({ task }: { task: Task }) {
  const [choosing, setChoosing] = useState(false);
  if (!takesOrders(task)) return null;
  const name = taskName(task);
  const send = async (data: FormData) => {
    const signal = String(data.get("signal"));
    await sendSignal(task.id, signal);
    tell(`SIG${signal} is on its way to ${name}.`);
  };
  return (
    <>
      {task.suspended ? (
        <Button
          icon="play"
          onClick={() => void attempt(() => resumeTask(task.id), `${name} goes on.`)}
        >
          Resume
        </Button>
      ) : (
        <Button
          icon="pause"
          title="Stop its processes; it keeps its slot, and its timeout stands still"
          onClick={() => void attempt(() => pauseTask(task.id), `${name} is suspended.`)}
        >
          Pause
        </Button>
      )}
      <Button icon="send" onClick={() => setChoosing(true)}>
        Signal
      </Button>
      {choosing && (
        <FormDialog
          title="Send a signal"
          submit="Send"
          onClose={() => setChoosing(false)}
          onSubmit={send}
        >
          <Field label="Signal" hint="For the whole process group. To end the task, cancel it.">
            <select name="signal">
              {SIGNALS.map((signal) => (
                <option key={signal} value={signal}>
                  SIG{signal}
                </option>
              ))}
            </select>
          </Field>
        </FormDialog>
      )}
    </>
  );
}
