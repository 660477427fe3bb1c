// Looks for a text in a log, on the node that has it: matches as they are found.

import { useEffect, useRef, useState } from "preact/hooks";
import type { LogMatch } from "@ui/api/types";
import { bytes, clock, plural } from "@ui/lib/format";
import { Button } from "@ui/parts/basics";
import { matchText, MOST_MATCHES, search, type Found } from "@ui/views/task/log-parts";

interface Props {
  id: string;
  number: number;
  onPick: (match: LogMatch) => void;
}

export function LogSearch({ id, number, onPick }: Props) {
  const [found, setFound] = useState<Found>();
  const [failure, setFailure] = useState("");
  const [busy, setBusy] = useState(false);
  const stop = useRef<AbortController | undefined>(undefined);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    field.current?.focus();
    return () => stop.current?.abort();
  }, []);
  const run = async () => {
    const text = field.current?.value ?? "";
    if (!text) return;
    stop.current?.abort();
    const control = new AbortController();
    stop.current = control;
    setFound(undefined);
    setFailure("");
    setBusy(true);
    try {
      for await (const now of search(id, number, text, control.signal)) {
        if (control.signal.aborted) return;
        setFound(now);
      }
    } catch (error) {
      if (control.signal.aborted) return;
      setFailure((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <form
      class="log-search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}
    >
      <span class="row">
        <input
          ref={field}
          type="search"
          aria-label="Text to look for in the log"
          placeholder="Text, with upper and lower case"
          maxLength={256}
          autocomplete="off"
        />
        <Button type="submit" icon="search" busy={busy}>
          Search
        </Button>
      </span>
      <p class="note" role="status">
        {failure || said(found, busy)}
      </p>
      {found && found.matches.length > 0 && (
        <ul class="matches">
          {found.matches.map((match) => (
            <li key={`${match.stream} ${match.offset ?? 0}`}>
              <button type="button" title="Show this place in the log" onClick={() => onPick(match)}>
                <time dateTime={match.time}>{match.time ? clock(match.time).slice(-12) : "–"}</time>
                <span>{matchText(match).slice(0, 300)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </form>
  );
}

function said(found: Found | undefined, busy: boolean): string {
  if (!found) return busy ? "Searching …" : "";
  const { matches, looked, complete } = found;
  const lines = matches.length ? plural(matches.length, "line") : "No line";
  if (!complete && busy) return `${lines} so far; ${bytes(looked)} searched …`;
  if (!complete) return `The first ${MOST_MATCHES} lines with this text.`;
  return `${lines} with this text in ${bytes(looked)}.`;
}
