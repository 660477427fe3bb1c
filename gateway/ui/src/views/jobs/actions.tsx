// What can be done with a job: the same buttons in the list and on its page.

import { useState } from "preact/hooks";
import type { May } from "@ui/api/caller";
import { cancelJob, closeJob, deleteJob, pauseJob, resumeJob, retryJob, type Job } from "@ui/api/jobs";
import { num, plain, plural } from "@ui/lib/format";
import { Button } from "@ui/parts/basics";
import { confirm } from "@ui/parts/dialog";
import type { IconName } from "@ui/parts/icons";
import { attempt, tell } from "@ui/parts/toasts";
import { AppendItems } from "@ui/views/jobs/append";
import { takesLines } from "@ui/views/jobs/array-spec";
import {
  canCancel,
  canClose,
  canDelete,
  canPause,
  canResume,
  canRetry,
  finished,
  jobName,
  partOf,
  total,
} from "@ui/views/jobs/names";
import { ChangeJob } from "@ui/views/jobs/change";

interface ActionsProps {
  job: Job;
  /** What the caller may not do is left out. */
  may: May;
  /** Icons only. */
  small?: boolean;
  /** Something was done. */
  onDone: () => void;
  /** It is gone. */
  onDeleted: () => void;
}

export function JobActions({ job, may, small, onDone, onDeleted }: ActionsProps) {
  const name = jobName(job);
  const [changing, setChanging] = useState(false);
  const [appending, setAppending] = useState(false);
  const open = may("tasks.submit") && canClose(job);
  const control = may("tasks.control");
  const button = (icon: IconName, word: string, act: () => void, kind?: "primary" | "danger") =>
    small ? (
      <Button kind="quiet" icon={icon} title={`${word} ${name}`} onClick={act} />
    ) : (
      <Button kind={kind} icon={icon} onClick={act}>
        {word}
      </Button>
    );
  const run = (act: (id: string) => Promise<unknown>, done: string) => () =>
    void attempt(() => act(job.id), done).then((good) => good && onDone());
  const cancel = () =>
    confirm({
      title: `Cancel ${name}?`,
      text: `${plural(total(job) - finished(job), partOf(job))} that are not finished are cancelled; those on nodes are ended. Retry runs them again.`,
      submit: "Cancel job",
      act: async () => {
        await cancelJob(job.id);
        tell(`${name} is being cancelled.`);
        onDone();
      },
    });
  const close = () =>
    confirm({
      title: `Close ${name}?`,
      text: `It has ${plural(num(job.count), "item")} and accepts no more. It ends when all its subtasks have.`,
      submit: "Close job",
      danger: false,
      act: async () => {
        await closeJob(job.id);
        tell(`${name} is closed.`);
        onDone();
      },
    });
  const remove = () =>
    confirm({
      title: `Delete ${name}?`,
      text: `Its record, ${plain(job.state, "JOB_STATE_")}, is gone for good, with all results.`,
      submit: "Delete",
      act: async () => {
        await deleteJob(job.id);
        tell(`${name} was deleted.`);
        onDeleted();
      },
    });
  return (
    <>
      {!small && open && takesLines(job.spec?.template) &&
        button("plus", "Append", () => setAppending(true), "primary")}
      {appending && <AppendItems job={job} onClose={() => setAppending(false)} onDone={onDone} />}
      {!small && open && button("check", "Close", close)}
      {control && !small && canCancel(job) && button("edit", "Change", () => setChanging(true))}
      {changing && <ChangeJob job={job} onClose={() => setChanging(false)} onDone={onDone} />}
      {control && canPause(job) &&
        button("pause", "Pause", run(pauseJob, `${name} is paused: nothing new starts.`))}
      {control && canResume(job) &&
        button("play", "Resume", run(resumeJob, `${name} goes on.`), "primary")}
      {control && canCancel(job) && button("cancel", "Cancel", cancel)}
      {control && canRetry(job) &&
        button("retry", "Retry", run(retryJob, `What failed of ${name} runs again.`), "primary")}
      {control && canDelete(job) && button("trash", "Delete", remove, "danger")}
    </>
  );
}
