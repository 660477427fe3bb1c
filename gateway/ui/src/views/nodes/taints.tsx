// The taints of a node, and setting and removing them.

import { useState } from "preact/hooks";
import { taintNode, untaintNode } from "@ui/api/actions";
import type { Node } from "@ui/api/types";
import { readTaint, taintText } from "@ui/lib/placing";
import { Button } from "@ui/parts/basics";
import { Field, FormDialog } from "@ui/parts/dialog";
import { attempt, tell } from "@ui/parts/toasts";

export function Taints({ node, control }: { node: Node; control: boolean }) {
  const [adding, setAdding] = useState(false);
  const { name, taints = [], agentTaints = [] } = node;
  return (
    <span class="row">
      {agentTaints.map((taint) => (
        <span class="label" key={taintText(taint)} title="Set by its agent (--taints)">
          {taintText(taint)}
        </span>
      ))}
      {taints.map((taint) => (
        <span class="label" key={taintText(taint)}>
          {taintText(taint)}
          {control && (
            <Button
              kind="quiet"
              icon="close"
              title={`Remove the taint ${taintText(taint)} from ${name}`}
              onClick={() =>
                void attempt(() => untaintNode(name, taint), `${name} has lost ${taintText(taint)}.`)
              }
            />
          )}
        </span>
      ))}
      {control && (
        <Button
          kind="quiet"
          icon="plus"
          title={`Add a taint to ${name}`}
          onClick={() => setAdding(true)}
        />
      )}
      {adding && <TaintDialog name={name} onClose={() => setAdding(false)} />}
    </span>
  );
}

function TaintDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const submit = async (data: FormData) => {
    const taint = readTaint(String(data.get("taint") ?? ""));
    await taintNode(name, taint);
    tell(`${name} has the taint ${taintText(taint)}.`);
  };
  return (
    <FormDialog title={`Add a taint to ${name}`} submit="Add taint" onClose={onClose} onSubmit={submit}>
      <Field label="Taint" hint="New tasks that do not tolerate it go elsewhere. What runs goes on.">
        <input name="taint" placeholder="such as dedicated=ml" autocomplete="off" required />
      </Field>
    </FormDialog>
  );
}
