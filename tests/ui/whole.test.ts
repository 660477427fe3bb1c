// One action on all tasks that a filter finds: one request, and what it says while it lasts.

import { Problem } from "@ui/api/rest";
import type { Progress } from "@ui/views/tasks/bulk";
import { actOnAll, countAll, requestOf } from "@ui/views/tasks/whole";

interface Asked {
  url: string;
  body: Record<string, unknown>;
  key: string;
}

/** Answers requests one after the other, each with these pieces of text; "break" breaks it off. */
function answering(...answers: string[][]): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", async (url: URL, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    asked.push({
      url: url.pathname,
      body: JSON.parse(init.body as string) as Record<string, unknown>,
      key: headers["Idempotency-Key"]!,
    });
    const pieces = answers[asked.length - 1]!;
    const stream = new ReadableStream<Uint8Array>({
      async start(control) {
        for (const piece of pieces) {
          await new Promise((resolve) => setTimeout(resolve));
          if (piece === "break") {
            control.error(new TypeError("network error"));
            return;
          }
          control.enqueue(new TextEncoder().encode(piece));
        }
        control.close();
      },
    });
    return new Response(stream, { status: 200 });
  });
  return asked;
}

afterEach(() => vi.unstubAllGlobals());
const running = () => new AbortController().signal;

test("only states that the action applies to are asked for", () => {
  const any = { queue: "q", states: [], text: "x" };
  expect(requestOf("cancel", any)!.states).toContain("TASK_STATE_RUNNING");
  expect(requestOf("cancel", any)!.states).not.toContain("TASK_STATE_CANCELLED");
  expect(requestOf("retry", any)).toEqual({
    queue: "q",
    text: "x",
    states: ["TASK_STATE_FAILED", "TASK_STATE_CANCELLED", "TASK_STATE_EXPIRED"],
  });
  expect(requestOf("cancel", { ...any, states: ["TASK_STATE_FAILED"] })).toBeUndefined();
});

test("lines that come in pieces are progress", async () => {
  const asked = answering(['{"cancelled":"10000"}\n{"cancelled":"20000","stop', 'ping":"3"}\n', '{"cancelled":"25000","stopping":"3","skipped":"1","complete":true}\n']);
  const seen: Progress[] = [];
  const end = await actOnAll("cancel", { queue: "q" }, (progress) => seen.push(progress), running());
  expect(seen.map(({ done }) => done)).toEqual([10_000, 20_003, 25_003]);
  expect(end).toEqual({ done: 25_003, skipped: 1, failed: 0, message: "" });
  expect(asked.map(({ url, body }) => [url, body])).toEqual([["/v1/tasks:cancelAll", { queue: "q" }]]);
});

test("a dry run counts", async () => {
  const asked = answering(['{"cancelled":"7","stopping":"1"}\n{"cancelled":"9","stopping":"2","complete":true}\n']);
  expect(await countAll("cancel", { queue: "q" })).toEqual({ tasks: 11, running: 2 });
  expect(asked[0]!.body.validateOnly).toBe(true);
  expect(await countAll("cancel", undefined)).toEqual({ tasks: 0, running: 0 });
});

test("a stream that breaks goes on with the same key", async () => {
  const asked = answering(
    ['{"deleted":"10"}\n', "break"],
    ['{"error":{"code":"UNAVAILABLE","detail":"the leader is gone"}}\n'],
    ['{"deleted":"10"}\n{"deleted":"12","complete":true}\n'],
  );
  expect((await actOnAll("delete", { queue: "q" }, () => {}, running())).done).toBe(12);
  expect(asked.length).toBe(3);
  expect(new Set(asked.map(({ key }) => key)).size).toBe(1);
});

test("a failure under way is said, and a stop is none", async () => {
  answering(['{"retried":"1"}\n{"error":{"code":"RESOURCE_EXHAUSTED","detail":"etcd is full"}}\n']);
  await expect(actOnAll("retry", { queue: "q" }, () => {}, running())).rejects.toThrow(Problem);
  answering(['{"retried":"1"}\n', '{"retried":"2"}\n']);
  const control = new AbortController();
  const seen: number[] = [];
  await actOnAll("retry", { queue: "q" }, ({ done }) => { seen.push(done); control.abort(); }, control.signal);
  expect(seen[0]).toBe(1);
});

test("what a quota refused is said", async () => {
  answering(['{"retried":"1","overQuota":"4","complete":true}\n']);
  const end = await actOnAll("retry", { queue: "q" }, () => {}, running());
  expect(end).toMatchObject({ done: 1, failed: 4 });
  expect(end.message).toContain("quota");
});
