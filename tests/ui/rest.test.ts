import { call, Problem, sentence } from "@ui/api/rest";

const answer = (status: number, body: unknown) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
const fetched = vi.fn<typeof fetch>();

beforeEach(() => {
  fetched.mockReset();
  vi.stubGlobal("fetch", fetched);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("problems are sentences", () => {
  expect(sentence({ detail: "queue 'x' has 3 tasks" })).toBe("Queue 'x' has 3 tasks.");
  expect(sentence({ violations: [{ field: "spec.name", description: "is too long" }] })).toBe(
    "Spec.name: is too long.",
  );
  expect(sentence({ status: 502 })).toBe("The gateway answered 502.");
});

test("a change is repeated with the same key when its answer is lost, and succeeds once", async () => {
  fetched.mockRejectedValueOnce(new TypeError("connection reset"));
  fetched.mockResolvedValueOnce(answer(503, { detail: "no leader" }));
  fetched.mockResolvedValueOnce(answer(200, { ok: true }));
  const answered = call("POST", "v1/queues", { body: {} });
  await vi.runAllTimersAsync();
  expect(await answered).toEqual({ ok: true });
  const keys = fetched.mock.calls.map(([, init]) => new Headers(init!.headers).get("Idempotency-Key"));
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
});

test("what is refused is not repeated", async () => {
  fetched.mockResolvedValueOnce(
    answer(400, { detail: "the queue is not empty", code: "FAILED_PRECONDITION", reason: "R" }),
  );
  await expect(call("DELETE", "v1/queues/x")).rejects.toThrow("The queue is not empty.");
  expect(fetched).toHaveBeenCalledTimes(1);
});

test("a gateway that is gone is a sentence too", async () => {
  fetched.mockRejectedValue(new TypeError("refused"));
  const answered = call("GET", "v1/cluster").catch((error: unknown) => error);
  await vi.runAllTimersAsync();
  const failure = await answered;
  expect(failure).toBeInstanceOf(Problem);
  expect((failure as Problem).message).toContain("cannot be reached");
});

test("lists in a query are repeated, empty values are left out", async () => {
  fetched.mockResolvedValueOnce(answer(200, {}));
  await call("GET", "v1/tasks", { query: { states: ["A", "B"], queue: "", pageSize: 5 } });
  expect(String(fetched.mock.calls[0]![0])).toBe("http://x/v1/tasks?states=A&states=B&pageSize=5");
});
