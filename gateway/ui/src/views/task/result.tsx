// What it gave back.

import type { Task } from "@ui/api/types";
import { bytes } from "@ui/lib/format";
import { pretty } from "@ui/lib/json";
import { base64Size } from "@ui/lib/words";
import { Copy, Panel } from "@ui/parts/basics";

export function ResultPanel({ result }: { result: NonNullable<Task["result"]> }) {
  if (result.blob) {
    return (
      <Panel title="Result">
        <p class="muted">
          {result.json !== undefined ? "JSON" : "A Python pickle"} of {bytes(result.blob.size)}, in the blob
          store. Read it with <code>handle.result()</code>.
        </p>
      </Panel>
    );
  }
  if (result.json !== undefined) {
    return (
      <Panel title="Result" class="result" aside={<Copy text={result.json} what="the result" />}>
        <pre tabIndex={0} class="code">{pretty(result.json)}</pre>
      </Panel>
    );
  }
  if (result.pickle !== undefined) {
    return (
      <Panel title="Result">
        <p class="muted">
          A Python pickle of {bytes(base64Size(result.pickle))}. Read it with{" "}
          <code>handle.result()</code>.
        </p>
      </Panel>
    );
  }
  return (
    <Panel title="Result">
      <p>
        Exit code <span class="mono">{result.exitCode ?? 0}</span>
      </p>
    </Panel>
  );
}
