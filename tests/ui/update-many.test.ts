import { changeOf, preview, requestsOf, updateMany } from "@ui/views/tasks/update-many";

const form = (fields: Record<string, string>) => (name: string) => fields[name] ?? "";
const NOW = Date.parse("2026-01-01T00:00:00Z");

afterEach(() => vi.unstubAllGlobals());

test("what is left empty stays as it is", () => {
  expect(changeOf(form({ priority: "5", queue: "slow" }))).toEqual({
    task: { spec: { priority: 5 }, queue: "slow" },
    updateMask: "spec.priority,queue",
  });
  expect(changeOf(form({ labels: "team=web", delay: "1h", timeout: "5m" }), NOW)).toEqual({
    task: { spec: { labels: { team: "web" }, notBefore: "2026-01-01T01:00:00.000Z", timeout: "300s" } },
    updateMask: "spec.labels,spec.notBefore,spec.timeout",
  });
  expect(changeOf(form({ now: "on", clear: "on" }))).toEqual({
    task: { spec: { labels: {} } },
    updateMask: "spec.labels,spec.notBefore",
  });
  expect(() => changeOf(form({}))).toThrow("Nothing is to be changed");
  expect(changeOf(form({ startDeadline: "5m", where: "!gpu", tolerate: "ml" }))).toEqual({
    task: {
      spec: {
        startDeadline: "300s",
        placement: {
          nodes: [{ label: "gpu", operator: "LABEL_OPERATOR_NOT_EXISTS" }],
          tolerations: [{ key: "ml" }],
        },
      },
    },
    updateMask: "spec.startDeadline,spec.placement.nodes,spec.placement.tolerations",
  });
  expect(changeOf(form({ anyNode: "on" }))).toEqual({ task: { spec: {} }, updateMask: "spec.placement" });
  expect(() => changeOf(form({ anyNode: "on", where: "gpu" }))).toThrow("Placement");
  expect(changeOf(form({ limits: "seats", orderingKey: "o", "remove-limitKey": "on" }))).toEqual({
    task: { spec: { limits: ["seats"], orderingKey: "o" } },
    updateMask: "spec.orderingKey,spec.limitKey,spec.limits",
  });
});

test("only states of waiting tasks are asked for", () => {
  const filter = { queue: "mail", states: [], text: "report" };
  expect(requestsOf(["a", "b"], filter)).toEqual([{ ids: ["a", "b"] }]);
  expect(requestsOf(undefined, { ...filter, states: ["TASK_STATE_PENDING", "TASK_STATE_FAILED"] })).toEqual([
    { queue: "mail", states: ["TASK_STATE_PENDING"], text: "report" },
  ]);
  expect(requestsOf(undefined, { ...filter, states: ["TASK_STATE_FAILED"] })).toEqual([]);
  expect(requestsOf(undefined, filter)[0]!.states).toHaveLength(3);
});

test("all pages are changed, and summed up", async () => {
  const pages = [
    { updated: 3, notWaiting: 1, nextPageToken: "next" },
    { updated: 2, skipped: 1, notFound: 1, refused: 1 },
  ];
  const bodies: Record<string, unknown>[] = [];
  vi.stubGlobal("fetch", async (_: URL, { body }: { body: string }) => {
    bodies.push(JSON.parse(body));
    return new Response(JSON.stringify(pages[bodies.length - 1]));
  });
  const change = changeOf(form({ priority: "5" }));
  const counts = await updateMany([{ queue: "mail" }], change, true, () => {}, new AbortController().signal);
  expect(counts).toEqual({ updated: 5, notWaiting: 1, others: 2, refused: 1 });
  expect(bodies.map(({ pageToken }) => pageToken)).toEqual(["", "next"]);
  expect(bodies[1]).toMatchObject({ queue: "mail", validateOnly: true, updateMask: "spec.priority" });
  expect(preview(counts)).toBe(
    "5 tasks will be changed. 1 does not wait: it stays as it is. 2 cannot be changed in this way. " +
      "1 would be refused by the other queue.",
  );
});
