// The log of an attempt while it is written. The newest lines only; following stops when the reader
// scrolls up.

import { useEffect, useRef, useState } from "preact/hooks";
import { live } from "@ui/api/live";
import type { Task } from "@ui/api/types";
import { ansi } from "@ui/lib/ansi";
import { clock, count } from "@ui/lib/format";
import { Button, Panel } from "@ui/parts/basics";
import { LogLines, type LogLine } from "@ui/views/task/log-lines";

const TAIL = 1_000;
/** As it was chosen last, for as long as the page is open. */
let timesShown = false;

export function LogPanel({ task, number }: { task: Task; number: number }) {
  const [wrap, setWrap] = useState(true);
  const [follow, setFollow] = useState(true);
  const [times, setTimes] = useState(timesShown);
  const { lines, ended, failure } = useLog(task.id, number);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current;
    if (follow && element) element.scrollTop = element.scrollHeight;
  }, [lines.version, follow, wrap, times]);
  if (!number) return null;
  const shown = lines.all;
  return (
    <Panel
      title={
        <>
          Log <small class="muted">attempt {number}</small>
          {!ended && task.state === "TASK_STATE_RUNNING" && <i class="live" title="live" />}
        </>
      }
      class="flush log"
      aside={
        <span class="row">
          <Button
            kind="quiet"
            icon="clock"
            title="Show when lines were written"
            pressed={times}
            onClick={() => {
              timesShown = !times;
              setTimes(!times);
            }}
          />
          <Button kind="quiet" icon="wrap" title="Wrap long lines" pressed={wrap} onClick={() => setWrap(!wrap)} />
          <Button kind="quiet" icon="follow" title="Follow the end" pressed={follow} onClick={() => setFollow(!follow)} />
        </span>
      }
    >
      {lines.dropped > 0 && (
        <p class="note">
          {count(lines.dropped)} earlier lines are not shown. All of it:{" "}
          <code>quorate logs {task.id}</code>
        </p>
      )}
      <div
        ref={box}
        class={wrap ? "log-box wrap" : "log-box"}
        tabIndex={0}
        role="log"
        aria-label={`Log of attempt ${number}`}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          const atEnd = scrollHeight - scrollTop - clientHeight < 24;
          if (atEnd !== follow) setFollow(atEnd);
        }}
      >
        {shown.map((line) => (
          <Line key={line.number} line={line} times={times} />
        ))}
        {!shown.length && (
          <p class="note">
            {failure || (ended ? "It wrote nothing." : "Nothing was written so far.")}
          </p>
        )}
      </div>
    </Panel>
  );
}

function Line({ line, times }: { line: LogLine; times: boolean }) {
  const runs = ansi(line.text);
  return (
    <div class={line.stream === "stderr" ? "line stderr" : "line"}>
      {times && (
        <time dateTime={line.time || undefined} title={line.time ? clock(line.time) : "Nobody knows when"}>
          {line.time ? clock(line.time).slice(-12) : "–"}
        </time>
      )}
      {runs.length ? runs.map((run) => (run.style ? <span class={run.style}>{run.text}</span> : run.text)) : " "}
    </div>
  );
}

function useLog(id: string, number: number) {
  const [lines] = useState(() => new LogLines());
  const [, draw] = useState(0);
  const [ended, setEnded] = useState(false);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    if (!number) return undefined;
    let frame = 0;
    const redraw = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => draw(lines.version));
    };
    const stop = live.subscribe(
      "logs",
      { id, attempt: number, tailLines: TAIL },
      {
        lines: (stream, text, offset, time) => {
          lines.add(stream, text, offset, time);
          redraw();
        },
        end: () => {
          lines.flush();
          setEnded(true);
          redraw();
        },
        error: (problem) => {
          setFailure(problem.message);
          setEnded(true);
        },
      },
    );
    return () => {
      cancelAnimationFrame(frame);
      stop();
    };
  }, [id, number]);
  return { lines, ended, failure };
}
