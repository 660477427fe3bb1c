// Why it failed: type, sentence, traceback.

import type { Task } from "@ui/api/types";
import { Copy, Panel } from "@ui/parts/basics";

export function ErrorPanel({ task }: { task: Task }) {
  const { type, message, traceback } = task.error!;
  const over = ["FAILED", "CANCELLED", "EXPIRED"].some((name) => task.state === `TASK_STATE_${name}`);
  return (
    <Panel
      title={over ? "Error" : "Error of the last attempt"}
      class="error"
      aside={<Copy text={[`${type}: ${message}`, traceback].filter(Boolean).join("\n\n")} what="the error" />}
    >
      <p class="error-line">
        <span class="error-type">{type}</span> {message}
      </p>
      {traceback && <pre tabIndex={0} class="code">{traceback.trimEnd()}</pre>}
    </Panel>
  );
}
