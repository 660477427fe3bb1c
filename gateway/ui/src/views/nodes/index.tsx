// The nodes: how busy, what runs on each, and taking them out of service.

import { useState } from "preact/hooks";
import { cordonNode, dismissNode, drainNode, uncordonNode } from "@ui/api/actions";
import { useMay } from "@ui/api/caller";
import { useNodes, useServices } from "@ui/api/store";
import type { Node, Service } from "@ui/api/types";
import { bytes, count, num, percent, plain } from "@ui/lib/format";
import { go, href } from "@ui/lib/router";
import { duration } from "@ui/lib/words";
import { Ago, Badge, Bar, Button, Empty, Labels, Loading, Panel } from "@ui/parts/basics";
import { Spark } from "@ui/parts/chart";
import { Field, FormDialog } from "@ui/parts/dialog";
import { Table, type Column } from "@ui/parts/table";
import { attempt, tell } from "@ui/parts/toasts";
import { NodeDetail } from "@ui/views/nodes/detail";

const TONES: Record<string, string> = {
  ready: "succeeded",
  connecting: "scheduled",
  cordoned: "paused",
  draining: "pending",
  drained: "cancelled",
  leaving: "paused",
  unwritable: "failed",
  lost: "failed",
};

const LEAVING = "Idle, and fewer nodes are wanted: a scale-down may end it";

const waitingText = (tasks: number) =>
  `${count(tasks)} more running tasks wait for other tasks and use no slot`;

/** `#/nodes/<name>` shows what runs on that one. */
export function NodesView({ rest }: { rest: string }) {
  const nodes = useNodes().value;
  const [draining, setDraining] = useState("");
  const control = useMay()("nodes.control");
  const rows = [...(nodes?.values() ?? [])].sort((a, b) =>
    a.name.localeCompare(b.name, "en", { numeric: true }),
  );
  const here = rows.filter((node) => !node.loss);
  const slots = here.reduce((sum, node) => sum + (node.slots ?? 0), 0);
  const replicas = replicasByNode(useServices().value);
  const busyOf = (node: Node) =>
    Math.max(0, (node.running ?? 0) - (replicas.get(node.name) ?? 0) - yieldedOf(node));
  const busy = rows.reduce((sum, node) => sum + busyOf(node), 0);
  return (
    <div class="view">
      <div class="title">
        <h1>Nodes</h1>
        {nodes && (
          <span class="muted">
            {count(here.length)} · {count(busy)} of {count(slots)} slots busy
            {here.length < rows.length && ` · ${count(rows.length - here.length)} lost`}
          </span>
        )}
      </div>
      <Panel title="All nodes" class="flush bare">
        {!nodes && <Loading />}
        {nodes && !rows.length && (
          <Empty icon="nodes" title="No node is registered">
            <p>
              Nothing can run without one. Start an agent: <code>python -m node_agent</code>, or a
              local cluster: <code>quorate up</code>
            </p>
          </Empty>
        )}
        {rows.length > 0 && (
          <Table
            label="Nodes"
            columns={columns(rest, setDraining, busyOf).filter(
              ({ name }) => control || name !== "Actions",
            )}
            items={rows}
            keyOf={(node) => node.name}
            below={(node) => node.name === rest && <NodeDetail node={node} control={control} />}
          />
        )}
        {rest && nodes && !nodes.has(rest) && (
          <Empty icon="nodes" title={`${rest} is not registered`}>
            It stopped, or its lease ran out. Its tasks run elsewhere.
          </Empty>
        )}
      </Panel>
      {draining && <DrainDialog name={draining} onClose={() => setDraining("")} />}
    </div>
  );
}

/** Tasks that wait for other tasks: they run without a slot. */
function yieldedOf(node: Node): number {
  return node.stats?.yielded ?? 0;
}

/** Replicas of services run beside a node's slots, and are counted as running there. */
function replicasByNode(services: ReadonlyMap<string, Service> | undefined): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { instances = [] } of services?.values() ?? []) {
    for (const { node } of instances) if (node) counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return counts;
}

function columns(
  open: string,
  drain: (name: string) => void,
  busyOf: (node: Node) => number,
): Column<Node>[] {
  return [
    {
      name: "Node",
      wide: true,
      cell: (node) => (
        <div class="row">
          <button
            type="button"
            class="expand"
            aria-expanded={node.name === open}
            title={node.name === open ? "Hide what runs on it" : "Show what runs on it"}
            onClick={() => go(href("nodes", node.name === open ? "" : node.name))}
          >
            <strong>{node.name}</strong>
          </button>
          <Labels labels={node.labels} />
        </div>
      ),
    },
    {
      name: "State",
      cell: (node) => {
        const state = plain(node.state, "NODE_STATE_") || "connecting";
        const error = node.stats?.diskError;
        const why = error ? `Cannot write to its disk, takes no work: ${error}` : LEAVING;
        return (
          <span title={error || state === "leaving" ? why : undefined}>
            <Badge tone={TONES[state] ?? "cancelled"}>{state}</Badge>
            {node.loss && (
              <span class="muted" title={node.loss.why}>
                {" "}
                <Ago time={node.loss.time} />
              </span>
            )}
            {node.fault && (
              <span title={`Its agent is at fault: ${node.fault}`}>
                {" "}
                <Badge tone="failed">at fault</Badge>
              </span>
            )}
          </span>
        );
      },
    },
    {
      name: "Slots",
      cell: (node) => node.loss ? <span class="muted">–</span> : (
        <span title={yieldedOf(node) ? waitingText(yieldedOf(node)) : undefined}>
          <Bar
            share={busyOf(node) / Math.max(1, node.slots ?? 0)}
            text={`${busyOf(node)} of ${node.slots ?? 0}${yieldedOf(node) ? `, ${yieldedOf(node)} wait` : ""}`}
            label={`Slots of ${node.name}`}
            calm
          />
        </span>
      ),
    },
    {
      name: "CPU",
      cell: (node) => node.loss ? <span class="muted">–</span> : (
        <span class="row tight">
          <Spark column={`node.${node.name}`} colour="--c-cpu" width={72} least={100} />
          <span class="number fixed">{percent(node.stats?.cpu ?? 0)}</span>
        </span>
      ),
    },
    {
      name: "Memory",
      cell: ({ name, stats, loss }) => loss ? <span class="muted">–</span> : (
        <Bar
          share={num(stats?.memoryUsed) / Math.max(1, num(stats?.memoryTotal))}
          text={`${bytes(stats?.memoryUsed)} of ${bytes(stats?.memoryTotal)}`}
          label={`Memory of ${name}`}
        />
      ),
    },
    {
      name: "Registered",
      minor: true,
      right: true,
      cell: (node) => node.loss ? <span class="muted">–</span> : <Ago time={node.registerTime} />,
    },
    {
      name: "Actions",
      right: true,
      cell: (node) => <Actions node={node} onDrain={() => drain(node.name)} />,
    },
  ];
}

function Actions({ node, onDrain }: { node: Node; onDrain: () => void }) {
  const { name } = node;
  const state = plain(node.state, "NODE_STATE_");
  if (node.loss) {
    return (
      <span class="actions">
        <Button
          kind="quiet"
          icon="close"
          title={`Dismiss ${name}: list it no longer`}
          onClick={() => void attempt(() => dismissNode(name), `${name} is dismissed.`)}
        />
      </span>
    );
  }
  const open = ["ready", "connecting", "leaving", "unwritable"].includes(state);
  return (
    <span class="actions">
      {open ? (
        <Button
          kind="quiet"
          title={`Cordon ${name}: no new work`}
          label={`Cordon ${name}: no new work`}
          onClick={() => void attempt(() => cordonNode(name), `${name} gets no new work.`)}
        >
          Cordon
        </Button>
      ) : (
        <Button
          kind="quiet"
          title={`Uncordon ${name}: takes work again`}
          label={`Uncordon ${name}: takes work again`}
          onClick={() => void attempt(() => uncordonNode(name), `${name} takes work again.`)}
        >
          Uncordon
        </Button>
      )}
      {state !== "draining" && state !== "drained" && (
        <Button kind="quiet" icon="drain" title={`Drain ${name}: empty it`} onClick={onDrain} />
      )}
    </span>
  );
}

function DrainDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const submit = async (data: FormData) => {
    await drainNode(name, duration(String(data.get("grace") ?? ""), "Grace"));
    tell(`${name} is being drained.`);
  };
  return (
    <FormDialog title={`Drain ${name}?`} submit="Drain" danger onClose={onClose} onSubmit={submit}>
      <p>
        The node gets no new work. Attempts that have not started return to the queue at once. Running ones may
        finish within the grace; then they are ended and run elsewhere. Uncordon undoes it.
      </p>
      <Field label="Grace">
        <input name="grace" placeholder="30s" autofocus />
      </Field>
    </FormDialog>
  );
}
