import type { Instance, Service, Task } from "@ui/api/types";
import { serviceOf } from "@ui/views/services/dialogs";
import { between, failsChecks, readyOf, type Figures, type Traffic } from "@ui/views/services/traffic";
import { replicasOf } from "@ui/views/services/waiting";
import { attemptOf } from "@ui/views/task/names";

const HEALTHY = "INSTANCE_STATE_HEALTHY";

function traffic(passing: Record<string, boolean | null>): Traffic {
  const latency = { bounds: [0.1], buckets: [0, 0] };
  const instances = Object.entries(passing).map(([id, found]) => ({
    id, in_flight: 0, requests: 0, ejected: false, passing: found, latency,
  }));
  const figures: Figures = {
    services: [{ name: "out", in_flight: 0, requests: 0, status_5xx: 0, instances }],
  };
  return between({ at: 0, figures }, { at: 1, figures }).get("out")!;
}

test("what fails this gateway's checks is not ready, whatever it registered as", () => {
  const instances: Instance[] = [
    { id: "good", state: HEALTHY },
    { id: "dead", state: HEALTHY },
    { id: "unchecked", state: HEALTHY },
    { id: "sick", state: "INSTANCE_STATE_UNHEALTHY" },
  ];
  const service: Service = { name: "out", ready: 3, instances };
  const seen = traffic({ good: true, dead: false, unchecked: null, sick: false });
  expect(instances.filter((one) => failsChecks(one, seen)).map((one) => one.id)).toEqual(["dead"]);
  // The one that is not healthy on record is not in the count to begin with.
  expect(readyOf(service, seen)).toBe(2);
  expect(readyOf(service, undefined)).toBe(3);
});

test("a service's replicas that do not run, those that fail most often first", () => {
  const task = (id: string, service: string, failures?: number): [string, Task] => [
    id, { id, queue: "services", state: "TASK_STATE_SCHEDULED", failures, spec: { service: { service } } },
  ];
  const tasks = new Map([task("1", "a"), task("2", "b", 9), task("3", "a", 4), task("4", "a", 5)]);
  expect(replicasOf("a", tasks).map((one) => one.id)).toEqual(["4", "3", "1"]);
  expect(replicasOf("a", undefined)).toEqual([]);
});

test.each<[string, string, Partial<Task>]>([
  ["before the first", "0 of 3", {}],
  ["the second runs", "2 of 3", { attempt: 2, failures: 1, attempts: [{ number: 2 }] }],
  ["all failed", "3 of 3", { attempt: 3, failures: 3, attempts: [{ number: 3, error: { type: "E" } }] }],
  ["retried by hand, waiting", "3 (try 0 of 3)", { attempt: 3 }],
  ["retried by hand, running", "4 (try 1 of 3)", { attempt: 4, attempts: [{ number: 4 }] }],
  ["retried by hand, failed again", "4 (try 1 of 3)", { attempt: 4, failures: 1, attempts: [{ number: 4, error: { type: "E" } }] }],
  ["retried after a final error", "2 (try 1 of 3)", { attempt: 2, attempts: [{ number: 2 }] }],
  ["a node was lost", "2 (try 1 of 3)", { attempt: 2, crashes: 1, attempts: [{ number: 1, error: { type: "NODE_LOST" } }, { number: 2 }] }],
])("the number of an attempt: %s", (_, text, more) => {
  const spec = { retry: { maxAttempts: 3 } };
  expect(attemptOf({ id: "1", queue: "q", state: "TASK_STATE_RUNNING", spec, ...more })).toBe(text);
});

test("one try is meant where nothing is said, and a replica is tried for ever", () => {
  const task: Task = { id: "1", queue: "q", state: "TASK_STATE_FAILED", attempt: 1, failures: 1 };
  expect(attemptOf(task)).toBe("1 of 1");
  expect(attemptOf({ ...task, attempt: 2 })).toBe("2 (try 1 of 1)");
  const replica = { service: { service: "web" }, retry: { maxAttempts: 2_147_483_647 } };
  expect(attemptOf({ ...task, attempt: 7, spec: replica })).toBe("7");
});

test("a service that chooses nodes", () => {
  const fields: Record<string, string> = {
    name: "web",
    command: "serve",
    labels: "app=web",
    where: "disk=ssd",
    tolerate: "dedicated=ml",
    distinct: "app",
  };
  const { spec } = serviceOf((name) => fields[name] ?? "");
  expect(spec?.labels).toEqual({ app: "web" });
  expect(spec?.placement).toEqual({
    nodes: [{ label: "disk", operator: "LABEL_OPERATOR_IN", values: ["ssd"] }],
    tolerations: [{ key: "dedicated", value: "ml" }],
    distinct: ["app"],
  });
  expect(serviceOf((name) => (name === "name" ? "web" : "")).spec).not.toHaveProperty("placement");
});
