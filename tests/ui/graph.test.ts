import type { GraphNode, Job } from "@ui/api/jobs";
import {
  afterText,
  canDraw,
  cleanups,
  countedAs,
  drawn,
  edgesOf,
  idOf,
  MOST_EDGES,
  MOST_NODES,
  partsText,
  rowsOf,
  stateOf,
  waitsFor,
} from "@ui/views/jobs/graph";
import { canRetry, doneText, finished, isGraph, partOf, ranFor, share } from "@ui/views/jobs/names";

const node = (name: string, state: string, after: number[] = [], more: Partial<GraphNode> = {}) => ({
  name,
  taskId: `id-${name}`,
  state: `TASK_STATE_${state}`,
  // As JSON has it: what is 0 is left out.
  dependsOn: after.map((place) => (place ? { node: place } : {})),
  ...more,
});

test("a graph differs from an array, and what was skipped is done", () => {
  const job: Job = {
    id: "0199aabbccddeeff0011223344556677",
    queue: "default",
    state: "JOB_STATE_FAILED",
    spec: { graph: {} },
    count: "10",
    counts: { succeeded: "5", failed: "1", skipped: "4" },
  };
  expect([isGraph(job), partOf(job), finished(job)]).toEqual([true, "task", 10]);
  expect([doneText(job), share(job), canRetry(job)]).toEqual(["10 of 10", 1, true]);
  expect(isGraph({ ...job, spec: {} })).toBe(false);
  // Its tasks have added others.
  const grown = { ...job, count: "2", counts: { succeeded: "5", running: "1", blocked: "4" } };
  expect([doneText(grown), share(grown)]).toEqual(["5 of 10", 0.5]);
  const times = { createTime: "2026-01-01T00:00:00Z", finishTime: "2026-01-01T00:00:05Z" };
  expect(ranFor({ ...job, ...times }, 0)).toBe(5000);
  expect(ranFor({ ...job, ...times, spec: {} }, 0)).toBeNaN();
});

test("a blocked task names what it waits for, and a skipped one why", () => {
  const failure = { condition: "DEPENDENCY_CONDITION_ON_FAILURE" };
  const always = { condition: "DEPENDENCY_CONDITION_ALWAYS" };
  const nodes: GraphNode[] = [
    node("extract", "SUCCEEDED"),
    node("load", "FAILED", [0]),
    node("run", "RUNNING"),
    node("merge", "BLOCKED", [0, 2]),
    node("late", "BLOCKED", [], { dependsOn: [{ node: 3, ...always }, { node: 2, ...failure }] }),
    node("off", "CANCELLED", [0, 1], { skipped: true }),
    node("alarm", "CANCELLED", [], { skipped: true, dependsOn: [failure] }),
  ];
  expect(nodes.map((one) => waitsFor(one, nodes))).toEqual([
    "",
    "",
    "",
    "waits for run",
    "waits for merge (always), run (on failure)",
    "load is failed",
    "extract is succeeded",
  ]);
  expect(nodes.map(stateOf).slice(-2)).toEqual(["skipped", "skipped"]);
  expect(afterText(nodes[3]!, nodes)).toBe("extract, run");
  expect(afterText(node("x", "BLOCKED", [0, 1, 2, 3, 4]), nodes)).toBe("extract, load, run and 2 more");
});

test("states are counted as a job counts them", () => {
  const states = ["EXPIRED", "SCHEDULED", "PAUSED", "BLOCKED", "RUNNING"];
  expect(states.map((state) => countedAs(node("x", state)))).toEqual([
    "failed",
    "pending",
    "pending",
    "blocked",
    "running",
  ]);
});

test("boxes are drawn in the order of the dependencies, and do not overlap", () => {
  const nodes = [
    node("merge", "BLOCKED", [1, 2]),
    node("left", "RUNNING", [3]),
    node("right", "RUNNING", [3]),
    node("split", "SUCCEEDED"),
    node("a-very-long-name-of-a-task-that-is-cut-off", "BLOCKED", [], {
      dependsOn: [{ node: 1, condition: "DEPENDENCY_CONDITION_ON_FAILURE", cleanup: true }],
    }),
  ];
  const { boxes, lines, width, height } = drawn(nodes, false);
  const [merge, left, right, split, long] = boxes;
  expect(split!.x).toBeLessThan(left!.x);
  expect(left!.x).toBeLessThan(merge!.x);
  expect(Math.abs(left!.y - right!.y)).toBeGreaterThanOrEqual(46);
  expect(long!.width).toBe(220);
  expect(boxes.every(({ x, y, width: wide }) => x >= 0 && y >= 0 && x + wide <= width)).toBe(true);
  expect(boxes.every(({ y }) => y + 46 <= height)).toBe(true);
  expect(lines).toHaveLength(5);
  expect(lines.map(({ label }) => label)).toEqual(["", "", "", "", "on failure"]);
  expect(cleanups(nodes)).toEqual([false, false, false, false, true]);
  expect(lines.every(({ path }) => /^M[\d. ]+([QL][\d. ]+)+$/.test(path))).toBe(true);
  const down = drawn(nodes, true);
  expect(down.boxes[3]!.y).toBeLessThan(down.boxes[1]!.y);
});

test("what is too large to draw is a table of bounded size, failures first", () => {
  const nodes = Array.from({ length: 5000 }, (_, at) =>
    node(`t${at}`, at === 4000 ? "FAILED" : at > 4500 ? "BLOCKED" : "SUCCEEDED", at ? [at - 1] : []),
  );
  expect(canDraw(nodes)).toBe(false);
  expect(edgesOf(nodes)).toBe(4999);
  const { rows, more } = rowsOf(nodes, "", "");
  expect([rows.length, more, rows[0]!.name, rows[1]!.name]).toEqual([200, 4800, "t4000", "t4501"]);
  expect(rowsOf(nodes, "failed", "")).toEqual({ rows: [nodes[4000]], more: 0 });
  expect(rowsOf(nodes, "", " T4444 ").rows).toEqual([nodes[4444]]);
  expect(canDraw(nodes.slice(0, MOST_NODES))).toBe(true);
  const dense = nodes.slice(0, 40).map((one, at) => ({
    ...one,
    dependsOn: Array.from({ length: at }, (_, other) => ({ node: other })),
  }));
  expect(edgesOf(dense)).toBeGreaterThan(MOST_EDGES);
  expect(canDraw(dense)).toBe(false);
});

test("an array says how far it is, and what waits for it index by index is not skipped for a part", () => {
  const each = { condition: "DEPENDENCY_CONDITION_EACH" };
  const counts = { succeeded: "1000", failed: "1" };
  const nodes: GraphNode[] = [
    { name: "all", jobId: "id-all", count: "2000", counts, state: "TASK_STATE_FAILED" },
    node("next", "BLOCKED", [], { dependsOn: [each] }),
    node("off", "CANCELLED", [], { skipped: true, dependsOn: [each, { node: 1 }] }),
  ];
  expect(nodes.map(partsText)).toEqual(["1,001 of 2,000", "", ""]);
  expect(nodes.map(idOf)).toEqual(["id-all", "id-next", "id-off"]);
  expect(afterText(nodes[1]!, nodes)).toBe("all (each)");
  expect(waitsFor(nodes[2]!, nodes)).toBe("");
  const none = [{ ...nodes[0]!, counts: { failed: "2000" } }, ...nodes.slice(1)];
  expect(waitsFor(none[2]!, none)).toBe("all is failed");
  expect(drawn(nodes, false).boxes[0]!.width).toBeGreaterThan(drawn(nodes, false).boxes[1]!.width);
});
