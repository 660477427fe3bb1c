// The first line of the overview: all is well, or what is not, each with where to look.

import { useState } from "preact/hooks";
import { pulse } from "@ui/api/store";
import type { Problem } from "@ui/api/types";
import { plural } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Ago } from "@ui/parts/basics";
import { Icon } from "@ui/parts/icons";

const SHOWN = 6;
const NOTE = "SEVERITY_NOTE";
const ERROR = "SEVERITY_ERROR";

/** Where a problem is looked into. */
export function whereOf({ kind = "", name = "" }: Problem): string {
  switch (kind) {
    case "node":
      return href("nodes", name);
    case "task":
      return href("tasks", name);
    case "job":
      return href("jobs", name);
    case "service":
      return href("services", name);
    case "queue":
      return href("queues");
    case "dead":
      return href("dead", "", name ? { queue: name } : {});
    default:
      return "";
  }
}

export function Verdict() {
  const cluster = pulse.value?.cluster;
  const [all, setAll] = useState(false);
  // Until the leader has said something, and of one that does not look: nothing.
  if (!cluster?.problemsTime) return null;
  const found = cluster.problems ?? [];
  const bad = found.filter(({ severity }) => severity !== NOTE);
  const shown = all ? found : found.slice(0, SHOWN);
  const tone = bad.some(({ severity }) => severity === ERROR) ? "failed" : bad.length ? "warm" : "well";
  return (
    <section class={`verdict ${tone}`} aria-label="Verdict">
      <p class="said">
        <Icon name={bad.length ? "warning" : "check"} />
        <strong>{bad.length ? plural(bad.length, "problem") : "All is well"}</strong>
      </p>
      {found.length > 0 && (
        <ul>
          {shown.map((problem) => (
            <Line key={`${problem.code} ${problem.kind} ${problem.name}`} problem={problem} />
          ))}
        </ul>
      )}
      {found.length > SHOWN && (
        <button type="button" class="link" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${found.length}`}
        </button>
      )}
    </section>
  );
}

function Line({ problem }: { problem: Problem }) {
  const where = whereOf(problem);
  const { sentence, since, severity = "" } = problem;
  return (
    <li class={severity === NOTE ? "minor" : ""}>
      {where ? <a href={where}>{sentence}</a> : <span>{sentence}</span>}{" "}
      {severity !== NOTE && (
        <span class="muted">
          <Ago time={since} />
        </span>
      )}
    </li>
  );
}
