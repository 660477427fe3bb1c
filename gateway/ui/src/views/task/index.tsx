// One task: what it is, what became of it, attempt by attempt, with its log as it is written.

import { useEffect, useState } from "preact/hooks";
import { cancelTask, deleteTask, getTask, pauseTask, resumeTask, retryTask } from "@ui/api/actions";
import { useMay } from "@ui/api/caller";
import { useTasks } from "@ui/api/store";
import type { Task } from "@ui/api/types";
import { plain } from "@ui/lib/format";
import { go, href } from "@ui/lib/router";
import { Button, Copy, Empty, Failure, Loading, Panel, TaskBadge } from "@ui/parts/basics";
import { confirm } from "@ui/parts/dialog";
import { Icon } from "@ui/parts/icons";
import { attempt, tell } from "@ui/parts/toasts";
import { canChange, ChangeDialog } from "@ui/views/task/change";
import { ErrorPanel } from "@ui/views/task/error";
import { ExplainPanel } from "@ui/views/task/explain";
import { Facts, SpecPanel } from "@ui/views/task/facts";
import { LogPanel } from "@ui/views/task/log";
import { canCancel, canDelete, canRetry, isFinal, taskName } from "@ui/views/task/names";
import { ProgressLine, RunningActions } from "@ui/views/task/running";
import { ResultPanel } from "@ui/views/task/result";
import { RedriveDialog } from "@ui/views/task/redrive";
import { canRedrive } from "@ui/views/task/redrive-spec";
import { Timeline } from "@ui/views/task/timeline";

export function TaskPage({ id }: { id: string }) {
  const { task, failure, gone, reread } = useTask(id);
  const [shown, setShown] = useState(0);
  // Each of these actions needs this one permission.
  const control = useMay()("tasks.control");
  if (failure) {
    return (
      <div class="view">
        <BackLink id={id} />
        <Failure message={failure} />
      </div>
    );
  }
  if (gone) {
    return (
      <div class="view">
        <BackLink id={id} />
        <Empty icon="search" title="There is no such task">
          <p>
            It was deleted, or its retention has passed: <span class="mono">{id}</span>
          </p>
        </Empty>
      </div>
    );
  }
  if (!task) {
    return (
      <div class="view">
        <BackLink id={id} />
        <Loading rows={6} />
      </div>
    );
  }
  const number = shown || task.attempt || 0;
  return (
    <div class="view">
      <BackLink id={id} />
      <div class="title">
        <h1>{taskName(task)}</h1>
        <TaskBadge task={task} />
        <span class="push row">
          {control &&
            (isSubtask(id) ? (
              <SubtaskActions task={task} reread={reread} />
            ) : (
              <Actions task={task} reread={reread} />
            ))}
        </span>
      </div>
      <p class="subtitle">
        <span class="mono">{task.id}</span>
        <Copy text={task.id} what="the id" />
        <span>
          in <a href={href("tasks", "", { queue: task.queue })}>{task.queue}</a>
        </span>
      </p>
      {task.progress && <ProgressLine task={task} />}
      <div class="columns">
        <div>
          {task.error && task.state !== "TASK_STATE_SUCCEEDED" && <ErrorPanel task={task} />}
          {task.result && <ResultPanel result={task.result} />}
          <Panel title="Attempts">
            <Timeline task={task} shown={number} onShow={setShown} />
          </Panel>
          <LogPanel task={task} number={number} key={`${id} ${number}`} />
        </div>
        <div>
          <ExplainPanel task={task} />
          <Facts task={task} onShow={setShown} />
          {task.spec && <SpecPanel spec={task.spec} />}
        </div>
      </div>
    </div>
  );
}

/** A subtask of a job: `<job>.<index>`. It is paused, changed and deleted with its job. */
const isSubtask = (id: string): boolean => id.includes(".");

// Live updates tell of tasks only.
const SUBTASK_MS = 2_000;

function BackLink({ id }: { id: string }) {
  if (isSubtask(id)) {
    return (
      <a class="back" href={href("jobs", id.split(".")[0])}>
        <Icon name="back" />
        Job
      </a>
    );
  }
  return (
    <a
      class="back"
      href={href("tasks")}
      onClick={(event) => {
        // Back to the list as it was filtered.
        if (history.length > 1 && document.referrer === "" && cameFromList()) {
          event.preventDefault();
          history.back();
        }
      }}
    >
      <Icon name="back" />
      Tasks
    </a>
  );
}

let previous = "";
let current = location.hash;
addEventListener("hashchange", () => {
  previous = current;
  current = location.hash;
});
const cameFromList = () => /^#\/tasks(\?|$)/.test(previous);

/** The whole task from GET, kept up to date by the live subscription. */
function useTask(id: string) {
  const [full, setFull] = useState<Task>();
  const [failure, setFailure] = useState("");
  const [gone, setGone] = useState(false);
  const [round, setRound] = useState(0);
  const items = useTasks({ ids: [id], progress: true }).value;
  // Of a subtask the live state would only have what it was at first.
  const fresh = isSubtask(id) ? undefined : items?.get(id);
  const finished = fresh !== undefined && isFinal(fresh);
  useEffect(() => {
    const control = new AbortController();
    getTask(id, { signal: control.signal }).then(
      ({ task }) => {
        setFull(task);
        setGone(false);
      },
      (error: Error & { details?: { code?: string } }) => {
        if (control.signal.aborted) return;
        if (["NOT_FOUND", "INVALID_ARGUMENT"].includes(error.details?.code ?? "")) setGone(true);
        else setFailure(error.message);
      },
    );
    return () => control.abort();
    // Once more when it has finished: live items leave large results and tracebacks out.
  }, [id, finished, round]);
  const settled = full !== undefined && isFinal(full) && fresh?.state === full.state;
  // Live items do not say why a task waits: what was read says it, as long as it waits.
  const reasons = fresh?.state === full?.state ? full : undefined;
  const { pendingReason, limitedBy } = reasons ?? {};
  const waits = { pendingReason, limitedBy };
  const task = full && fresh && !settled ? { ...fresh, spec: full.spec, ...waits } : full;
  const reread = () => setRound((before) => before + 1);
  const polled = isSubtask(id) && full !== undefined && !isFinal(full);
  useEffect(() => {
    if (!polled) return;
    const timer = setInterval(reread, SUBTASK_MS);
    return () => clearInterval(timer);
  }, [id, polled]);
  const deleted =
    !isSubtask(id) && full !== undefined && items !== undefined && !fresh && finishedOnce(full);
  return { task, reread, failure, gone: gone || deleted };
}

/** A task that was there and is not in the live state any more was deleted. */
const finishedOnce = isFinal;

function SubtaskActions({ task, reread }: { task: Task; reread: () => void }) {
  const name = `Subtask ${task.id.split(".")[1] ?? ""}`;
  const run = (act: (id: string) => Promise<unknown>, done: string) => () =>
    void attempt(() => act(task.id), `${name} ${done}`).then((good) => good && reread());
  const ended = task.state === "TASK_STATE_RUNNING" ? "is being ended." : "was cancelled.";
  return (
    <>
      {canCancel(task) && (
        <Button icon="cancel" onClick={run(cancelTask, ended)}>
          Cancel
        </Button>
      )}
      {canRetry(task) && (
        <Button icon="retry" kind="primary" onClick={run(retryTask, "is tried again.")}>
          Retry
        </Button>
      )}
    </>
  );
}

function Actions({ task, reread }: { task: Task; reread: () => void }) {
  const name = taskName(task);
  const [changing, setChanging] = useState(false);
  const [redriving, setRedriving] = useState(false);
  return (
    <>
      {canChange(task) && (
        <Button icon="edit" onClick={() => setChanging(true)}>
          Change
        </Button>
      )}
      {task.state === "TASK_STATE_PAUSED" ? (
        <Button
          icon="play"
          onClick={() => void attempt(() => resumeTask(task.id), `${name} goes on.`)}
        >
          Resume
        </Button>
      ) : (
        canChange(task) && (
          <Button
            icon="pause"
            onClick={() => void attempt(() => pauseTask(task.id), `${name} is paused.`)}
          >
            Pause
          </Button>
        )
      )}
      <RunningActions task={task} />
      {changing && (
        <ChangeDialog task={task} onClose={() => setChanging(false)} onDone={reread} />
      )}
      {canCancel(task) && (
        <Button
          icon="cancel"
          onClick={() =>
            void attempt(
              () => cancelTask(task.id),
              task.state === "TASK_STATE_RUNNING" ? `${name} is being ended.` : `${name} was cancelled.`,
            )
          }
        >
          Cancel
        </Button>
      )}
      {canRetry(task) && (
        <Button
          icon="retry"
          kind="primary"
          onClick={() => void attempt(() => retryTask(task.id), `${name} is tried again.`)}
        >
          Retry
        </Button>
      )}
      {canRetry(task) && canRedrive(task) && (
        <Button icon="edit" title="Retry with another queue, arguments or options" onClick={() => setRedriving(true)}>
          Retry with changes
        </Button>
      )}
      {redriving && (
        <RedriveDialog task={task} onClose={() => setRedriving(false)} onDone={reread} />
      )}
      {canDelete(task) && (
        <Button
          icon="trash"
          kind="danger"
          onClick={() =>
            confirm({
              title: `Delete ${name}?`,
              text: `Its record, ${plain(task.state, "TASK_STATE_")}, is gone for good.`,
              submit: "Delete",
              act: async () => {
                await deleteTask(task.id);
                tell(`${name} was deleted.`);
                go(href("tasks"));
              },
            })
          }
        >
          Delete
        </Button>
      )}
    </>
  );
}
