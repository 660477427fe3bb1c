import type { Task } from "@ui/api/types";
import { isSnoozed, shownState } from "@ui/lib/format";
import { hookOf, hookText } from "@ui/lib/hooks";
import { Unreadable } from "@ui/lib/words";
import { expiresIn, hooksText, snoozeText } from "@ui/views/task/names";
import { spans } from "@ui/views/task/spans";
import { specOf } from "@ui/views/tasks/spec";

const snoozed: Task = {
  id: "a",
  queue: "q",
  state: "TASK_STATE_SCHEDULED",
  createTime: "2026-01-31T12:00:00Z",
  snoozes: 3,
  attempts: [
    {
      number: 4,
      node: "n",
      startTime: "2026-01-31T12:00:01Z",
      finishTime: "2026-01-31T12:00:02Z",
      error: { type: "SNOOZED", message: "not packed yet" },
    },
  ],
};

test("a task that put itself off says so, how often and why", () => {
  expect(isSnoozed(snoozed)).toBe(true);
  expect(shownState(snoozed)).toBe("snoozed");
  expect(snoozeText(snoozed)).toBe("3 times; not packed yet");
  expect(spans(snoozed, Date.parse("2026-01-31T12:00:10Z")).rows[1]?.stretches[0]?.tone).toBe("scheduled");
});

test("once it runs again only the number is left", () => {
  const ended: Task = { ...snoozed, state: "TASK_STATE_SUCCEEDED", snoozes: 1 };
  expect(shownState(ended)).toBe("succeeded");
  expect(snoozeText(ended)).toBe("1 time");
  expect(snoozeText({ ...ended, snoozes: 0 })).toBe("");
});

test("a list says a start deadline that is about to pass", () => {
  const now = Date.parse("2026-01-31T12:00:00Z");
  const task: Task = { id: "a", queue: "q", state: "TASK_STATE_PENDING", expireTime: "2026-01-31T12:01:00Z" };
  expect(expiresIn(task, now)).toBe(60_000);
  expect(expiresIn(task, now + 90_000)).toBe(0);
  expect(expiresIn({ ...task, expireTime: "2026-01-31T13:00:00Z" }, now)).toBeNaN();
  expect(expiresIn({ ...task, expireTime: undefined }, now)).toBeNaN();
});

test("how the hooks of an attempt ended", () => {
  const hooks = { setup: { duration: "0.250s" }, cleanup: { error: "the clean-up exited with code 9" } };
  expect(hooksText({ hooks })).toBe("set-up ok in 250 ms, clean-up failed: the clean-up exited with code 9");
  expect(hooksText({})).toBe("");
  const row = spans({ ...snoozed, attempts: [{ ...snoozed.attempts![0], hooks }] }, Number.NaN).rows[1];
  expect(row?.error).toBe("SNOOZED: not packed yet; clean-up failed: the clean-up exited with code 9");
});

test("a hook of the form is a function or a command line", () => {
  expect(hookOf(" m.sub:f ", "Set-up")).toEqual({ entrypoint: "m.sub:f" });
  expect(hookOf("mkdir -p 'a b'", "Set-up")).toEqual({ argv: ["mkdir", "-p", "a b"] });
  expect(hookOf(" ", "Set-up")).toBeUndefined();
  expect(() => hookOf("echo 'a", "Set-up")).toThrow(Unreadable);
  expect(hookText({ argv: ["mkdir", "a b"] })).toBe("mkdir 'a b'");
  const form: Record<string, string> = { command: "true", setup: "make", startDeadline: "5m" };
  const spec = specOf("command", (name) => form[name] ?? "");
  expect(spec.hooks).toEqual({ setup: { argv: ["make"] } });
  expect(spec.startDeadline).toBe("300s");
});
