// The instances of a service: where they are, whether they are well, what they get.

import type { Instance, Service } from "@ui/api/types";
import { count, plain, rate, shortId, span } from "@ui/lib/format";
import { href } from "@ui/lib/router";
import { Ago, Badge } from "@ui/parts/basics";
import { Table, type Column } from "@ui/parts/table";
import { failsChecks, type Traffic } from "@ui/views/services/traffic";

const TONES: Record<string, string> = {
  starting: "scheduled",
  healthy: "succeeded",
  unhealthy: "failed",
  draining: "pending",
};

export function Instances({ service, traffic }: { service: Service; traffic: Traffic | undefined }) {
  const { instances = [] } = service;
  if (!instances.length) {
    return (
      <p class="note">
        {service.spec?.command
          ? service.spec.replicas
            ? "No replica runs now."
            : "Scaled to zero."
          : "No process has registered. They do with POST /v1/services/{name}/instances."}
      </p>
    );
  }
  const rows = [...instances].sort((a, b) => a.id.localeCompare(b.id));
  return (
    <Table
      label={`Instances of ${service.name}`}
      columns={columns(traffic)}
      items={rows}
      keyOf={(instance) => instance.id}
    />
  );
}

function columns(traffic: Traffic | undefined): Column<Instance>[] {
  const of = (instance: Instance) => traffic?.instances.get(instance.id);
  return [
    {
      name: "Instance",
      wide: true,
      cell: (instance) =>
        instance.node ? (
          <a class="mono" href={href("tasks", instance.id)} title={instance.id}>
            {shortId(instance.id)}
          </a>
        ) : (
          <span class="mono">{instance.id}</span>
        ),
    },
    {
      name: "Health",
      cell: (instance) => {
        const state = plain(instance.state, "INSTANCE_STATE_") || "starting";
        const ejected = of(instance)?.ejected;
        return (
          <span class="row tight">
            {failsChecks(instance, traffic) ? (
              <span title="It is registered, but this gateway's checks of it fail: it gets no requests.">
                <Badge tone="failed">fails checks</Badge>
              </span>
            ) : (
              <Badge tone={TONES[state] ?? "cancelled"}>{state}</Badge>
            )}
            {ejected && <Badge tone="paused">ejected</Badge>}
          </span>
        );
      },
    },
    { name: "Address", cell: (instance) => <span class="mono">{instance.address}</span> },
    {
      name: "Node",
      cell: ({ node }) =>
        node ? <a href={href("nodes", node)}>{node}</a> : <span class="muted">outside</span>,
    },
    {
      name: "Generation",
      minor: true,
      right: true,
      // A process outside runs what it likes.
      cell: ({ node, generation }) => <span class="number">{node ? count(generation) : "–"}</span>,
    },
    {
      name: "Requests/s",
      right: true,
      cell: (instance) => <span class="number">{rate(of(instance)?.rate ?? 0)}</span>,
    },
    {
      name: "In flight",
      right: true,
      cell: (instance) => <span class="number">{count(of(instance)?.inFlight)}</span>,
    },
    {
      name: "Latency",
      right: true,
      cell: (instance) => {
        const latency = of(instance)?.latency;
        return <span class="number">{latency === undefined ? "–" : span(latency)}</span>;
      },
    },
    { name: "Started", right: true, cell: (instance) => <Ago time={instance.startTime} /> },
  ];
}
