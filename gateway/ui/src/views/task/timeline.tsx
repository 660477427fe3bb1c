// The task's history on one time axis: waiting, then each attempt as a bar on its node.

import { now } from "@ui/api/store";
import type { Task } from "@ui/api/types";
import { clock, span } from "@ui/lib/format";
import { isFinal } from "@ui/views/task/names";
import { spans, type Stretch } from "@ui/views/task/spans";

interface TimelineProps {
  task: Task;
  /** Number of the attempt whose log is shown. */
  shown: number;
  onShow: (number: number) => void;
}

export function Timeline({ task, shown, onShow }: TimelineProps) {
  // A finished task's picture does not depend on the time.
  const { from, to, rows } = spans(task, isFinal(task) ? Number.NaN : now.value);
  const place = (one: Stretch) => ({
    left: `${((one.from - from) / (to - from)) * 100}%`,
    width: `${Math.max(0.3, ((one.to - one.from) / (to - from)) * 100)}%`,
  });
  return (
    <div class="timeline">
      {rows.map((row) => (
        <button
          key={row.number}
          type="button"
          class="stretch"
          disabled={!row.number}
          aria-pressed={row.number > 0 && row.number === shown}
          title={row.number ? `Attempt ${row.number}: show its log` : undefined}
          onClick={() => onShow(row.number)}
        >
          <span class="what">{row.number ? `#${row.number}` : "Submitted"}</span>
          <span class="where">{row.where}</span>
          <span class="lane">
            {row.stretches.map((one) => (
              <i key={one.tone} class={`tone-${one.tone}`} style={place(one)} title={one.text} />
            ))}
          </span>
          <span class="number">{row.length === undefined ? "" : span(row.length)}</span>
          {row.error && <span class="why">{row.error}</span>}
        </button>
      ))}
      <div class="axis">
        <span>{clock(new Date(from).toISOString()).slice(11)}</span>
        <span>{span(to - from)}</span>
        <span>{clock(new Date(to).toISOString()).slice(11)}</span>
      </div>
    </div>
  );
}
