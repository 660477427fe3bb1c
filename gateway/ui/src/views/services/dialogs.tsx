import { createService, scaleService } from "@ui/api/actions";
import { sentence } from "@ui/api/rest";
import type { Service } from "@ui/api/types";
import { placingChange, placingForm } from "@ui/lib/placing";
import { duration, pairs, splitWords } from "@ui/lib/words";
import { plural } from "@ui/lib/format";
import { Field, FormDialog } from "@ui/parts/dialog";
import { tell } from "@ui/parts/toasts";
import { PlacingFields, readPlacing } from "@ui/views/task/placing-fields";

/** Says at once that its replicas cannot start as things are. */
function warn({ pendingReason }: Service): void {
  if (pendingReason) tell(sentence({ detail: pendingReason }), { failed: true });
}

export function CreateServiceDialog({ onClose }: { onClose: () => void }) {
  const submit = async (data: FormData) => {
    const service = serviceOf((name) => String(data.get(name) ?? "").trim());
    const { service: made } = await createService(service);
    tell(`The service ${service.name} was created.`);
    warn(made);
  };
  return (
    <FormDialog title="Create a service" submit="Create service" wide onClose={onClose} onSubmit={submit}>
      <div class="fields">
        <Field label="Name" hint="Also the first part of its host">
          <input
            name="name"
            required
            autofocus
            maxLength={64}
            pattern="[a-z0-9][a-z0-9._\-]*"
            placeholder="web"
            autocapitalize="none"
          />
        </Field>
        <Field label="Replicas">
          <input name="replicas" type="number" min={0} max={1000} defaultValue="2" />
        </Field>
      </div>
      <Field
        label="Command line"
        hint="It listens on the port in its environment variable PORT. Empty: only processes that register themselves."
      >
        <input name="command" class="mono" placeholder="python server.py" />
      </Field>
      <div class="fields">
        <Field label="Health check" hint="A path that answers 200 to 399; empty: a TCP connect.">
          <input name="health" class="mono" placeholder="/healthz" />
        </Field>
        <Field label="Balancing">
          <select name="balancing">
            <option value="BALANCING_LEAST_REQUEST">Least requests</option>
            <option value="BALANCING_ROUND_ROBIN">Round robin</option>
            <option value="BALANCING_WEIGHTED">Weighted</option>
          </select>
        </Field>
      </div>
      <Field label="Grace for requests" hint="That a replica has when it ends.">
        <input name="drain" placeholder="10s" />
      </Field>
      <Field label="Environment" hint="One NAME=value on each line.">
        <textarea name="env" class="mono" rows={2} />
      </Field>
      <details>
        <summary>Placement</summary>
        <Field label="Labels" hint="Of each replica; one key=value on each line.">
          <textarea name="labels" class="mono" rows={2} placeholder="app=web" />
        </Field>
        <PlacingFields />
        <Field label="On a node each, by" hint="Keys of labels, such as app: one replica on each node.">
          <input name="distinct" class="mono" placeholder="none" autocomplete="off" autocapitalize="none" />
        </Field>
      </details>
    </FormDialog>
  );
}

/** The form as a Service. Throws Unreadable with a sentence. */
export function serviceOf(read: (name: string) => string): Partial<Service> & { name: string } {
  const argv = splitWords(read("command"));
  const env = pairs(read("env"), "Environment");
  const path = read("health");
  const drainGrace = duration(read("drain"), "Grace for requests");
  const labels = pairs(read("labels"), "Labels");
  const { rules, paths } = placingChange(placingForm(), readPlacing(read));
  const distinct = read("distinct").split(/[\s,]+/).filter(Boolean);
  const placement = { ...rules, ...(distinct.length ? { distinct } : {}) };
  return {
    name: read("name"),
    spec: {
      ...(argv.length
        ? {
            command: { argv, ...(Object.keys(env).length ? { env } : {}) },
            replicas: Number(read("replicas") || 1),
          }
        : {}),
      ...(path ? { health: { httpPath: path.startsWith("/") ? path : `/${path}` } } : {}),
      ...(drainGrace ? { drainGrace } : {}),
      ...(Object.keys(labels).length ? { labels } : {}),
      ...(paths.length || distinct.length ? { placement } : {}),
      proxy: { balancing: read("balancing") },
    },
  };
}

export function ScaleDialog({ service, onClose }: { service: Service; onClose: () => void }) {
  const submit = async (data: FormData) => {
    const replicas = Number(data.get("replicas"));
    const { service: made } = await scaleService(service.name, replicas);
    tell(`${service.name} is being scaled to ${plural(replicas, "replica")}.`);
    warn(made);
  };
  return (
    <FormDialog title={`Scale ${service.name}`} submit="Scale" onClose={onClose} onSubmit={submit}>
      <Field label="Replicas" hint="Those that are too many finish their requests first.">
        <input
          name="replicas"
          type="number"
          min={0}
          max={1000}
          required
          autofocus
          defaultValue={String(service.spec?.replicas ?? 0)}
        />
      </Field>
    </FormDialog>
  );
}
