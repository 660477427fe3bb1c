// Services: programs kept running behind one name, their instances, and the requests they get.

import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { deleteService } from "@ui/api/actions";
import { useMay } from "@ui/api/caller";
import { BASE } from "@ui/api/rest";
import { useServices } from "@ui/api/store";
import type { Service } from "@ui/api/types";
import { count, num, plain, plural, rate, span } from "@ui/lib/format";
import { ruleRows } from "@ui/lib/placing";
import { joinWords } from "@ui/lib/words";
import { Badge, Button, Empty, Labels, Loading, Panel } from "@ui/parts/basics";
import { confirm } from "@ui/parts/dialog";
import { Icon } from "@ui/parts/icons";
import { tell } from "@ui/parts/toasts";
import { CreateServiceDialog, ScaleDialog } from "@ui/views/services/dialogs";
import { Instances } from "@ui/views/services/instances";
import { readyOf, useTraffic, type Traffic } from "@ui/views/services/traffic";
import { Waiting } from "@ui/views/services/waiting";

export function ServicesView() {
  const services = useServices().value;
  const traffic = useTraffic();
  const [creating, setCreating] = useState(false);
  const [scaling, setScaling] = useState<Service>();
  const rows = [...(services?.values() ?? [])].sort((a, b) => a.name.localeCompare(b.name));
  const write = useMay()("services.write");
  const create = write && (
    <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
      Create service
    </Button>
  );
  return (
    <div class="view">
      <div class="title">
        <h1>Services</h1>
        {services && <span class="muted">{count(services.size)}</span>}
        <span class="push" data-create>
          {create}
        </span>
      </div>
      {!services && <Loading />}
      {services && !rows.length && (
        <Empty icon="services" title="No services">
          <p>
            A service is a program kept running on the nodes, or processes of yours elsewhere, behind
            one address: <code>NAME.localhost</code>, or <code>NAME</code> below the gateway's service domain
          </p>
          {create}
        </Empty>
      )}
      {rows.map((service) => (
        <ServicePanel
          key={service.name}
          service={service}
          traffic={traffic.get(service.name)}
          write={write}
          onScale={() => setScaling(service)}
        />
      ))}
      {creating && <CreateServiceDialog onClose={() => setCreating(false)} />}
      {scaling && <ScaleDialog service={scaling} onClose={() => setScaling(undefined)} />}
    </div>
  );
}

interface PanelProps {
  service: Service;
  traffic: Traffic | undefined;
  /** The caller may change it. */
  write: boolean;
  onScale: () => void;
}

function ServicePanel({ service, traffic, write, onScale }: PanelProps) {
  const { name, spec, instances = [] } = service;
  const ready = readyOf(service, traffic);
  const replicas = spec?.replicas ?? 0;
  const rules = ruleRows(spec?.placement);
  const wanted = replicas || instances.length;
  const remove = () =>
    confirm({
      title: `Delete the service ${name}?`,
      text: instances.length
        ? `Its ${plural(instances.length, "instance")} end after the requests they have.`
        : "It has no instances.",
      submit: "Delete service",
      act: async () => {
        await deleteService(name);
        tell(`The service ${name} was deleted.`);
      },
    });
  return (
    <Panel
      class="flush service"
      title={
        <>
          {name} <Badge tone={toneOf(ready, wanted)}>{`${ready} of ${wanted} ready`}</Badge>
        </>
      }
      aside={
        <span class="actions">
          <a class="button quiet" href={new URL(`services/${name}/`, BASE).href} target="_blank" rel="noreferrer">
            <Icon name="open" />
            Open
          </a>
          {write && spec?.command && (
            <Button kind="quiet" icon="scale" onClick={onScale}>
              Scale
            </Button>
          )}
          {write && (
            <Button kind="quiet" icon="trash" title={`Delete ${name}`} onClick={remove} />
          )}
        </span>
      }
    >
      <div class="strip">
        <Figure name="Requests" value={traffic ? `${rate(traffic.rate)}/s` : "–"} />
        <Figure name="In flight" value={traffic ? count(traffic.inFlight) : "–"} />
        <Figure name="Errors" value={traffic ? `${rate(traffic.errors)}/s` : "–"} tone={traffic?.errors ? "failed" : ""} />
        <Figure name="Median" value={ms(traffic?.p50)} />
        <Figure name="p99" value={ms(traffic?.p99)} />
        <Figure name="Balancing" value={balancing(service)} />
        <Figure
          name="Generation"
          value={`${num(service.generation)}${
            replicas && (service.updated ?? 0) < replicas ? ` · ${service.updated ?? 0} updated` : ""
          }`}
        />
      </div>
      {spec?.command?.argv && (
        <div class="command">
          <code title={joinWords(spec.command.argv)}>{joinWords(spec.command.argv)}</code>
          <Labels labels={spec.labels} />
        </div>
      )}
      {rules.length > 0 && (
        <dl class="facts">
          {rules.map(([rule, text]) => (
            <Fragment key={rule}>
              <dt>{rule}</dt>
              <dd>{text}</dd>
            </Fragment>
          ))}
        </dl>
      )}
      <Instances service={service} traffic={traffic} />
      {replicas > 0 && <Waiting service={service} />}
    </Panel>
  );
}

function toneOf(ready: number, wanted: number): string {
  if (!wanted) return "cancelled";
  if (ready >= wanted) return "succeeded";
  return ready ? "pending" : "failed";
}

const ms = (value: number | undefined) => (value === undefined ? "–" : span(value));

function balancing({ spec }: Service): string {
  const name = plain(spec?.proxy?.balancing, "BALANCING_");
  return name === "" || name === "unspecified" ? "least request" : name;
}

function Figure({ name, value, tone }: { name: string; value: string; tone?: string }) {
  return (
    <div class="figure">
      <span>{name}</span>
      <b class={tone}>{value}</b>
    </div>
  );
}
