import { Live, type SocketLike } from "@ui/api/live";

class Socket implements SocketLike {
  readyState: SocketLike["readyState"] = 0;
  sent: Record<string, unknown>[] = [];
  onopen: SocketLike["onopen"] = null;
  onclose: SocketLike["onclose"] = null;
  onmessage: SocketLike["onmessage"] = null;
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.drop();
  }
  up() {
    this.readyState = 1;
    this.onopen!.call(this as never, {} as Event);
  }
  drop() {
    this.readyState = 3;
    this.onclose?.call(this as never, {} as CloseEvent);
  }
  say(frame: unknown) {
    this.onmessage!.call(this as never, { data: JSON.stringify(frame) } as MessageEvent);
  }
}

let sockets: Socket[] = [];
let live: Live;

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  live = new Live(() => {
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  });
  live.start();
});
afterEach(() => vi.useRealTimers());

test("what was asked for before the connection is asked for when it is up", () => {
  live.subscribe("queues", {}, {});
  expect(sockets[0]!.sent).toEqual([]);
  sockets[0]!.up();
  expect(sockets[0]!.sent).toEqual([
    { op: "subscribe", id: "queues-1", topic: "queues", filter: {} },
  ]);
  expect(live.up.value).toBe(true);
});

test("it connects again by itself and goes on behind the last token", () => {
  const seen: string[] = [];
  live.subscribe("tasks", { limit: 5 }, {
    snapshot: () => seen.push("snapshot"),
    delta: (changed, removed) => seen.push(`delta ${changed.length} ${removed.join()}`),
  });
  sockets[0]!.up();
  sockets[0]!.say({ id: "tasks-1", kind: "snapshot", resume: "a", items: [] });
  sockets[0]!.say({ id: "tasks-1", kind: "delta", resume: "b", changed: [{}], removed: ["x"] });
  sockets[0]!.drop();
  expect(live.up.value).toBe(false);
  vi.advanceTimersByTime(400);
  expect(sockets.length).toBe(2);
  sockets[1]!.up();
  expect(sockets[1]!.sent).toEqual([
    { op: "subscribe", id: "tasks-1", topic: "tasks", filter: { limit: 5 }, resume: "b" },
  ]);
  expect(live.up.value).toBe(true);
  expect(seen).toEqual(["snapshot", "delta 1 x"]);
});

test("pauses grow up to five seconds, and a message makes them small again", () => {
  for (let round = 0; round < 9; round += 1) {
    sockets.at(-1)!.drop();
    vi.advanceTimersByTime(7_000);
    expect(sockets.length).toBe(round + 2);
  }
  sockets.at(-1)!.drop();
  vi.advanceTimersByTime(3_000);
  expect(sockets.length).toBe(10);
  vi.advanceTimersByTime(4_000);
  sockets.at(-1)!.up();
  sockets.at(-1)!.say({ kind: "hello", leader: true });
  sockets.at(-1)!.drop();
  vi.advanceTimersByTime(400);
  expect(sockets.length).toBe(12);
});

test("a connection that says nothing in spite of pings is given up", () => {
  sockets[0]!.up();
  vi.advanceTimersByTime(16_500);
  expect(sockets[0]!.sent).toEqual([{ op: "ping" }, { op: "ping" }]);
  vi.advanceTimersByTime(8_000);
  expect(sockets[0]!.readyState).toBe(3);
  vi.advanceTimersByTime(400);
  expect(sockets.length).toBe(2);
});

test("the leader's state is what the gateway said last", () => {
  sockets[0]!.up();
  sockets[0]!.say({ kind: "hello", leader: true });
  sockets[0]!.say({ id: "", kind: "status", leader: false, message: "no leader" });
  expect(live.leader.value).toBe(false);
  sockets[0]!.say({ id: "", kind: "status", leader: true });
  expect(live.leader.value).toBe(true);
});

test("a refused subscription tells its owner, or begins anew without its token", () => {
  const problems: string[] = [];
  live.subscribe("logs", { id: "x" }, { error: (problem) => problems.push(problem.message) });
  live.subscribe("queues", {}, {});
  sockets[0]!.up();
  sockets[0]!.say({ id: "queues-2", kind: "snapshot", resume: "old", items: [] });
  sockets[0]!.say({ id: "logs-1", kind: "error", problem: { detail: "no such task" } });
  sockets[0]!.say({ id: "queues-2", kind: "error", problem: { detail: "compacted away" } });
  expect(problems).toEqual(["No such task."]);
  sockets[0]!.sent = [];
  vi.advanceTimersByTime(1_100);
  expect(sockets[0]!.sent).toEqual([
    { op: "subscribe", id: "queues-2", topic: "queues", filter: {} },
  ]);
});

test("who left hears nothing more", () => {
  const stop = live.subscribe("nodes", {}, { snapshot: () => expect.unreachable() });
  sockets[0]!.up();
  stop();
  expect(sockets[0]!.sent.at(-1)).toEqual({ op: "unsubscribe", id: "nodes-1" });
  sockets[0]!.say({ id: "nodes-1", kind: "snapshot", items: [] });
});
