import type { Task } from "@ui/api/types";
import { matcher, Pager, type Page } from "@ui/views/tasks/pager";

const id = (number: number) => number.toString(16).padStart(32, "0");
const task = (number: number, more: Partial<Task> = {}): Task => ({
  id: id(number),
  queue: "q",
  state: "TASK_STATE_PENDING",
  spec: { name: `task ${number}` },
  ...more,
});

/**
 * A server with tasks `count` to 1, newest first; says how often each token was asked for. It looks
 * at 20,000 tasks for a page.
 */
function server(count: number, text = "") {
  const matches = matcher(text);
  const asked: string[] = [];
  const fetch = async (token: string, size: number): Promise<Page> => {
    asked.push(token);
    const from = token ? Number(token) : count;
    const tasks = [];
    let number = from;
    for (; number > Math.max(0, from - 20_000) && tasks.length < size; number -= 1) {
      if (!matches || matches(task(number))) tasks.push(task(number));
    }
    return { tasks, nextPageToken: number ? String(number) : "" };
  };
  return { fetch, asked };
}

const pagerOf = (count: number, text = "") => {
  const { fetch, asked } = server(count, text);
  return { asked, pager: new Pager(fetch, matcher(text), () => {}) };
};

test("pages are read as far as they are wanted, and no further", async () => {
  const { pager, asked } = pagerOf(100_000);
  await pager.want(0, 50);
  expect([pager.length, asked.length, pager.done]).toEqual([100, 1, false]);
  await pager.want(90, 400);
  expect([pager.length, asked.length]).toEqual([600, 2]);
  expect(pager.at(0)?.id).toBe(id(100_000));
  expect(pager.at(599)?.id).toBe(id(99_401));
  expect(pager.at(600)).toBeUndefined();
});

test("few rows stay in memory; dropped ones are read again by their own token", async () => {
  const { pager, asked } = pagerOf(60_000);
  for (let end = 100; !pager.done; end += 500) await pager.want(end - 100, end);
  expect(pager.length).toBe(60_000);
  expect(pager.known().length).toBeLessThanOrEqual(20_500);
  expect(pager.at(150)).toBeUndefined();
  const before = asked.length;
  await pager.want(140, 180);
  expect(asked.slice(before)).toEqual(["59900"]);
  expect(pager.at(150)?.id).toBe(id(60_000 - 150));
});

test("pages may be short or empty: it goes on until enough are found", async () => {
  const { pager, asked } = pagerOf(100_000, "task 1234");
  await pager.want(0, 30);
  expect([pager.length, pager.done, asked.length]).toEqual([20, true, 5]);
  expect(pager.at(0)?.spec?.name).toBe("task 91234");
  const nothing = pagerOf(30_000, "no such thing").pager;
  await nothing.want(0, 30);
  expect([nothing.length, nothing.done]).toEqual([0, true]);
});

test("new tasks come on top at the top, and are counted elsewhere", async () => {
  const { pager } = pagerOf(1_000);
  await pager.want(0, 10);
  pager.upsert(task(1_001), true);
  pager.upsert(task(1_002), true);
  expect([pager.length, pager.at(0)?.id, pager.at(2)?.id]).toEqual([102, id(1_002), id(1_000)]);
  pager.upsert(task(1_003), false);
  expect([pager.length, pager.waiting]).toEqual([102, 1]);
  // Older than the list's first and not in it: below, on a page that is not read yet.
  pager.upsert(task(5), true);
  expect(pager.length).toBe(102);
});

test("a change is seen in place and keeps the spec that the event lacks", async () => {
  const { pager } = pagerOf(1_000);
  await pager.want(0, 10);
  pager.upsert(task(998, { spec: undefined, state: "TASK_STATE_RUNNING" }), false);
  expect(pager.at(2)).toMatchObject({ state: "TASK_STATE_RUNNING", spec: { name: "task 998" } });
  pager.remove(id(998));
  expect([pager.length, pager.at(2)?.id]).toEqual([99, id(997)]);
  pager.remove(id(998));
  expect(pager.length).toBe(99);
});

test("a task that was told before its page is not listed twice", async () => {
  const { fetch } = server(50);
  const pager = new Pager(fetch, undefined, () => {});
  await pager.want(0, 10);
  pager.upsert(task(51), true);
  pager.upsert(task(51, { state: "TASK_STATE_RUNNING" }), true);
  expect([pager.length, pager.done]).toEqual([51, true]);
});

test("what is told while a page is read is newer than the page", async () => {
  const { fetch } = server(50);
  let answer = () => {};
  const held = new Promise<void>((resolve) => (answer = resolve));
  let asked = () => {};
  const begun = new Promise<void>((resolve) => (asked = resolve));
  const slow = async (token: string, size: number) => {
    const page = await fetch(token, size);
    asked();
    await held;
    return page;
  };
  const pager = new Pager(slow, undefined, () => {});
  const wanted = pager.want(0, 10);
  await begun;
  // The page was already read by the server: it has no 51, an old 50, and still the 49.
  pager.upsert(task(51), true);
  pager.upsert(task(50, { state: "TASK_STATE_RUNNING" }), true);
  pager.remove(id(49));
  answer();
  await wanted;
  expect([0, 1, 2].map((row) => pager.at(row)?.id)).toEqual([id(51), id(50), id(48)]);
  expect([pager.at(1)?.state, pager.length]).toEqual(["TASK_STATE_RUNNING", 50]);
});

test("an older task that comes to match goes to its place, once", async () => {
  const even = async () => ({ tasks: [task(10), task(8), task(4)], nextPageToken: "next" });
  const pager = new Pager(even, undefined, () => {});
  await pager.want(0, 3);
  pager.upsert(task(6), true);
  pager.upsert(task(6, { state: "TASK_STATE_RUNNING" }), true);
  // On a page that is not read yet.
  pager.upsert(task(2), true);
  expect([0, 1, 2, 3].map((row) => pager.at(row)?.id)).toEqual([10, 8, 6, 4].map(id));
  expect([pager.length, pager.at(2)?.state]).toEqual([4, "TASK_STATE_RUNNING"]);
});

test("a new task is counted once however often it changes", async () => {
  const { pager } = pagerOf(1_000);
  await pager.want(0, 10);
  pager.upsert(task(1_001), false);
  pager.upsert(task(1_001, { state: "TASK_STATE_RUNNING" }), false);
  expect(pager.waiting).toBe(1);
  pager.remove(id(1_001));
  expect(pager.waiting).toBe(0);
});

test("a failure is kept as a sentence, and trying again goes on", async () => {
  const { fetch } = server(500);
  let broken = true;
  const pager = new Pager(
    (token, size) => (broken ? Promise.reject(new Error("No leader.")) : fetch(token, size)),
    undefined,
    () => {},
  );
  await pager.want(0, 10);
  expect([pager.failure, pager.length, pager.loading]).toEqual(["No leader.", 0, false]);
  broken = false;
  await pager.want(0, 10);
  expect([pager.failure, pager.length]).toEqual(["", 100]);
});

test("text is looked for where the API looks", () => {
  const one = task(7, {
    spec: {
      name: "Send Mail",
      labels: { team: "crm" },
      command: { argv: ["/usr/bin/convert", "--quiet"] },
    },
    attempts: [{ node: "n3" }],
    error: { type: "ValueError", message: "bad address" },
  });
  const found = (text: string) => matcher(text)!(one);
  for (const text of ["mail", "SEND", "team=crm", "convert", "valueerror bad", id(7).slice(-6)]) {
    expect(found(text), text).toBe(true);
  }
  for (const text of ["mail n3", "--quiet", id(7).slice(-5)]) expect(found(text), text).toBe(false);
  expect(matcher("   ")).toBeUndefined();
});
