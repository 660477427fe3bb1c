// The log of an attempt: its end while it is written, or a part that was asked for. Following stops
// when the reader scrolls up.

import { useEffect, useRef, useState } from "preact/hooks";
import { live } from "@ui/api/live";
import type { LogMatch, Task } from "@ui/api/types";
import { ansi } from "@ui/lib/ansi";
import { bytes, clock, count, plural } from "@ui/lib/format";
import { Button, Panel } from "@ui/parts/basics";
import { tell } from "@ui/parts/toasts";
import { LogLines, type LogLine } from "@ui/views/task/log-lines";
import { around, beginOf, earlier, first, LINES, whole, type Begin, type Part } from "@ui/views/task/log-parts";
import { LogSearch } from "@ui/views/task/log-search";

/** As it was chosen last, for as long as the page is open. */
let timesShown = false;

export function LogPanel({ task, number }: { task: Task; number: number }) {
  const [wrap, setWrap] = useState(true);
  const [follow, setFollow] = useState(true);
  const [times, setTimes] = useState(timesShown);
  const [searching, setSearching] = useState(false);
  const [saving, setSaving] = useState(-1);
  const log = useLog(task.id, number);
  const { lines, begin, ended, failure, away, part, busy } = log;
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current;
    if (follow && !part && element) element.scrollTop = element.scrollHeight;
  }, [lines.version, follow, wrap, times, part]);
  if (!number) return null;
  const shown = lines.all;
  // A subtask's log, and one on a node of an earlier version, is not read in parts.
  const parts = begin !== undefined;
  const before = begin?.linesBefore ?? 0;
  const hidden = before < 0 ? before : before + lines.dropped;
  const save = async () => {
    setSaving(0);
    try {
      const file = await whole(task.id, number, setSaving, log.signal());
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = `${task.id}.${number}.log`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      tell((error as Error).message, { failed: true });
    }
    setSaving(-1);
  };
  return (
    <Panel
      title={
        <>
          Log <small class="muted">attempt {number}</small>
          {!ended && !part && task.state === "TASK_STATE_RUNNING" && <i class="live" title="live" />}
        </>
      }
      class="flush log"
      aside={
        <span class="row">
          {parts && (
            <Button
              kind="quiet"
              icon="search"
              title="Search in the log"
              pressed={searching}
              onClick={() => setSearching(!searching)}
            />
          )}
          <Button
            kind="quiet"
            icon="save"
            title={saving < 0 ? "Download the log" : `Downloading: ${bytes(saving)}`}
            busy={saving >= 0}
            onClick={() => void save()}
          />
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
          <Button
            kind="quiet"
            icon="follow"
            title="Follow the end"
            pressed={follow && !part}
            onClick={() => {
              if (part) log.end();
              setFollow(part || !follow);
            }}
          />
        </span>
      }
    >
      {searching && <LogSearch id={task.id} number={number} onPick={(match) => void log.show(match)} />}
      {saving >= 0 && <p class="note">Downloading: {bytes(saving)}</p>}
      {away && <p class="note" role="status">{away}</p>}
      {parts && (before !== 0 || lines.dropped > 0) && (
        <p class="note row log-cut">
          <span>
            {hidden < 0 ? "Earlier lines are" : `${plural(hidden, "earlier line")} ${hidden === 1 ? "is" : "are"}`} not
            shown.
          </span>
          {!lines.dropped && (
            <Button busy={busy} onClick={() => void log.earlier()}>
              Load {hidden > 0 && hidden <= LINES ? "them" : "earlier lines"}
            </Button>
          )}
          <Button busy={busy} onClick={() => void log.first()}>
            Show the beginning
          </Button>
        </p>
      )}
      {!parts && lines.dropped > 0 && (
        <p class="note">
          {count(lines.dropped)} earlier lines are not shown. All of it: <code>quorate logs {task.id}</code>
        </p>
      )}
      {(begin?.dropped ?? 0) > 0 && (
        <p class="note">
          {bytes(begin!.dropped)} in the middle are gone: the node keeps the first and the last part of a log.
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
          if (!part && atEnd !== follow) setFollow(atEnd);
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
      {part && (
        <p class="note row log-cut">
          <span>This is a part of the log.</span>
          <Button
            onClick={() => {
              log.end();
              setFollow(true);
            }}
          >
            Show the end
          </Button>
        </p>
      )}
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

/** The lines of an attempt: live, or a part of them until `end` is called. */
function useLog(id: string, number: number) {
  const [lines, setLines] = useState(() => new LogLines());
  const [begin, setBegin] = useState<Begin>();
  const [, draw] = useState(0);
  const [ended, setEnded] = useState(false);
  const [failure, setFailure] = useState("");
  const [away, setAway] = useState("");
  const [part, setPart] = useState(false);
  const [busy, setBusy] = useState(false);
  const gone = useRef(new AbortController());
  useEffect(() => () => gone.current.abort(), []);
  useEffect(() => {
    if (!number || part) return undefined;
    const found = new LogLines();
    setLines(found);
    setEnded(false);
    setFailure("");
    let frame = 0;
    const redraw = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => draw((one) => one + 1));
    };
    const stop = live.subscribe(
      "logs",
      { id, attempt: number, tailLines: LINES },
      {
        extent: (extent) => {
          setAway("");
          // It comes again behind a break, and says then what is before the break.
          if (!found.version) setBegin(beginOf(extent));
        },
        away: (problem) => setAway(problem.message),
        lines: (stream, text, offset, time) => {
          setAway("");
          found.add(stream, text, offset, time);
          redraw();
        },
        end: () => {
          setAway("");
          found.flush();
          setEnded(true);
          redraw();
        },
        error: (problem) => {
          setAway(found.all.length ? problem.message : "");
          setFailure(problem.message);
          setEnded(true);
        },
      },
    );
    return () => {
      cancelAnimationFrame(frame);
      stop();
    };
  }, [id, number, part]);
  const load = async (read: () => Promise<Part>, keep: boolean) => {
    setBusy(true);
    try {
      const found = await read();
      if (keep) {
        const joined = new LogLines();
        joined.prepend(lines);
        joined.prepend(found.lines);
        found.lines = joined;
        found.begin.dropped ||= begin?.dropped ?? 0;
      }
      setPart(true);
      setLines(found.lines);
      setBegin(found.begin);
    } catch (error) {
      if (!gone.current.signal.aborted) tell((error as Error).message, { failed: true });
    }
    setBusy(false);
  };
  const { signal } = gone.current;
  return {
    lines, begin, ended, failure, away, part, busy,
    signal: () => gone.current.signal,
    earlier: () => load(() => earlier(id, number, begin!, signal), true),
    first: () => load(() => first(id, number, signal), false),
    show: (match: LogMatch) => load(() => around(id, number, match, signal), false),
    end: () => setPart(false),
  };
}
