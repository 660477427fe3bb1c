import { cancelTask, retryTask, updateTask } from "@ui/api/actions";
import type { TaskSpec } from "@ui/api/types";
import { Redrive } from "@ui/views/task/redrive-calls";
import { canRedrive, readSpec, redriveSpec, redriveTexts, specText } from "@ui/views/task/redrive-spec";

vi.mock("@ui/api/actions", () => ({ cancelTask: vi.fn(), retryTask: vi.fn(), updateTask: vi.fn() }));

const SPEC: TaskSpec = {
  command: { argv: ["sh", "-c", "exit 3"], env: { A: "1" }, stdin: btoa("x\n"), cwd: "/tmp" },
  name: "ship",
  labels: { team: "mail" },
  retry: { maxAttempts: 2, crashLimit: 7 },
  hooks: { setup: { argv: ["make"], timeout: "5s" } },
  resources: { cpu: 0.5 },
  unique: { key: "k", onConflict: "UNIQUE_CONFLICT_REJECT", window: "3600s" },
  limits: ["licence"],
  notBefore: "2026-01-01T00:00:00Z",
};

/** The spec when these fields are typed. */
function typed(spec: TaskSpec, fields: Record<string, string>): TaskSpec {
  const texts = redriveTexts(spec);
  return redriveSpec(spec, texts, (name) => fields[name] ?? texts[name] ?? "");
}

test("what is not changed stays, also what no field shows", () => {
  expect(typed(SPEC, {})).toEqual(SPEC);
  const pickled = { python: { entrypoint: "m:f", pickle: "gASV" }, priority: 3 };
  expect(typed(pickled, {})).toEqual(pickled);
  expect(typed(pickled, { priority: "" })).toEqual({ python: pickled.python });
  const odd = { command: { argv: ["true"], env: { A: "1\n2", B: " b " }, stdin: btoa("\xff") }, labels: { a: " " } };
  expect(typed(odd, { name: "x" })).toEqual({ ...odd, name: "x" });
  expect(Object.keys(redriveTexts(odd))).not.toContain("env");
});

test("each field changes its part", () => {
  const { hooks, ...rest } = SPEC;
  expect(typed(SPEC, { command: "cat 'a b'", env: "B=2", stdin: "" }).command).toEqual({
    ...SPEC.command,
    argv: ["cat", "a b"],
    env: { B: "2" },
    stdin: "",
  });
  expect(typed(SPEC, { attempts: "5" }).retry).toEqual({ maxAttempts: 5, crashLimit: 7 });
  expect(typed(SPEC, { attempts: "" }).retry).toEqual({ maxAttempts: 0, crashLimit: 7 });
  expect(typed(SPEC, { setup: "make it" }).hooks).toEqual({ setup: { argv: ["make", "it"], timeout: "5s" } });
  expect(typed(SPEC, { setup: "" })).toEqual(rest);
  expect(typed(SPEC, { uniqueFor: "" }).unique).toEqual({ key: "k", onConflict: "UNIQUE_CONFLICT_REJECT" });
  expect(typed(SPEC, { uniqueKey: "", uniqueFor: "" }).unique).toBeUndefined();
  expect(typed(SPEC, { limits: "" }).limits).toBeUndefined();
  expect(typed(SPEC, { labels: "" }).labels).toBeUndefined();
  expect(hooks).toBeDefined();
});

test("arguments take the place of large ones", () => {
  const large = { python: { entrypoint: "m:f", json: "" }, payloadBlob: { sha256: "00", size: "9" } };
  expect(typed(large, {})).toEqual(large);
  expect(typed(large, { arguments: "[1]" })).toEqual({ python: { entrypoint: "m:f", json: "[1]" } });
});

test("what is typed wrong is said", () => {
  expect(() => typed(SPEC, { command: "'" })).toThrow("Command line: ");
  expect(() => typed(SPEC, { priority: "1001" })).toThrow("Priority: ");
  expect(() => typed({ python: { entrypoint: "m:f", json: "[]" } }, { arguments: "[" })).toThrow("Arguments (JSON): ");
});

test("a whole spec is read back as it was shown", () => {
  expect(readSpec(specText(SPEC))).toEqual(SPEC);
  for (const text of ["{", "[]", "null", '"x"']) expect(() => readSpec(text)).toThrow("Specification (JSON): ");
});

test("subtasks and replicas keep their specs", () => {
  const task = { id: "a", queue: "q", state: "TASK_STATE_FAILED" as const };
  expect(canRedrive(task)).toBe(true);
  expect(canRedrive({ ...task, id: "a.1" })).toBe(false);
  expect(canRedrive({ ...task, spec: { service: {} } })).toBe(false);
});

describe("a retry in another queue", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  const until = "2026-01-01T01:00:00.000Z";
  beforeEach(() => {
    vi.resetAllMocks();
  });

  test("does not start before it is there", async () => {
    const redrive = new Redrive({ id: "t", queue: "a" });
    await redrive.run({ priority: 1 }, "b", now);
    expect(retryTask).toHaveBeenCalledWith("t", { priority: 1, notBefore: until });
    expect(updateTask).toHaveBeenCalledWith("t", {}, ["spec.notBefore"], "b");
    expect(redrive.heldUntil).toBe("");
  });

  test("starts when its spec says", async () => {
    const notBefore = "2026-01-02T00:00:00.000Z";
    await new Redrive({ id: "t", queue: "a" }).run({ notBefore }, "b", now);
    expect(updateTask).toHaveBeenCalledWith("t", { notBefore }, ["spec.notBefore"], "b");
  });

  test("is begun anew after it was refused there", async () => {
    const redrive = new Redrive({ id: "t", queue: "a" });
    vi.mocked(updateTask).mockRejectedValueOnce(new Error("full"));
    await expect(redrive.run({}, "b", now)).rejects.toThrow("full");
    expect([redrive.heldUntil, vi.mocked(cancelTask).mock.calls.length]).toEqual([until, 0]);
    await redrive.run({ priority: 2 }, "a", now);
    expect(cancelTask).toHaveBeenCalledWith("t");
    expect(retryTask).toHaveBeenLastCalledWith("t", { priority: 2 });
    expect(redrive.heldUntil).toBe("");
  });
});
