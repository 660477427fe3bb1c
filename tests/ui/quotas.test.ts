import type { Quota } from "@ui/api/types";
import { sizeInBytes, Unreadable } from "@ui/lib/words";
import {
  fieldText,
  isSet,
  keyOf,
  LIMITS,
  limitText,
  maySet,
  quotaOf,
  readLimit,
  shareOf,
  subject,
} from "@ui/views/quotas/limits";

const of = (name: string) => LIMITS.find((one) => one.name === name)!;

test.each([
  ["1048576", 1_048_576],
  ["512M", 512 * 2 ** 20],
  ["2 GiB", 2 ** 31],
  ["1kb", 1024],
  ["3T", 3 * 2 ** 40],
])("%s is a size", (text, value) => {
  expect(sizeInBytes(text, "Bytes")).toBe(value);
});

test.each(["", "M", "1.5G", "-1", "1P", "12 apples", "999999999999999T"])("%s is no size", (text) => {
  expect(() => sizeInBytes(text, "Bytes")).toThrow(Unreadable);
});

test.each<[string, string, string | undefined]>([
  ["liveTasks", "", undefined],
  ["liveTasks", " Default ", undefined],
  ["liveTasks", "unlimited", "-1"],
  ["liveTasks", "0", "0"],
  ["liveTasks", "10,000", "10000"],
  ["storedBytes", "256M", String(256 * 2 ** 20)],
  ["storedBytes", "Unlimited", "-1"],
])("%s %s is read as a limit", (name, text, value) => {
  expect(readLimit(of(name), text)).toBe(value);
});

test.each(["-5", "1.5", "many", "1e3", "1 2"])("%s is no limit", (text) => {
  expect(() => readLimit(of("openWaits"), text)).toThrow("Calls that wait for a task");
});

test.each(["-1", "0", "5", "1000", "1024", "1536", String(2 ** 31)])(
  "what a field shows of %s is read back as that",
  (value) => {
    for (const limit of LIMITS) expect(readLimit(limit, fieldText(limit.name, value))).toBe(value);
  },
);

test("a form is a quota: what is empty is the default, a queue has two limits", () => {
  const typed: Record<string, string> = { liveTasks: "7", storedBytes: "", openWaits: "3" };
  const read = (name: string) => typed[name] ?? "";
  expect(quotaOf("caller", "submitter:ci", read)).toEqual({
    caller: "submitter:ci",
    limits: { liveTasks: "7", openWaits: "3" },
  });
  expect(quotaOf("queue", "mail", read)).toEqual({ queue: "mail", limits: { liveTasks: "7" } });
});

test("how full a limit is", () => {
  const quota: Quota = {
    caller: "a:b",
    inForce: { liveTasks: "10", storedBytes: "-1", openWaits: "0" },
    usage: { liveTasks: "5", storedBytes: "900", openWaits: "0" },
  };
  expect(shareOf(quota, "liveTasks")).toBe(0.5);
  expect(shareOf(quota, "storedBytes")).toBeUndefined();
  // It refuses everything.
  expect(shareOf(quota, "openWaits")).toBe(1);
  expect(shareOf({ ...quota, usage: undefined }, "liveTasks")).toBeUndefined();
  expect(limitText("storedBytes", "-1")).toBe("unlimited");
  expect(limitText("storedBytes", "1024")).toBe("1 KiB");
});

test("what is set, and whose it is", () => {
  expect(isSet({ queue: "q", limits: {} })).toBe(false);
  expect(isSet({ queue: "q", limits: { liveTasks: "0" } })).toBe(true);
  expect(keyOf({ queue: "q" })).toBe("queue/q");
  expect(subject("caller", "*")).toBe("every other caller");
  expect(subject("queue", "mail")).toBe("the queue mail");
});

test("who may set quotas: whoever holds the permission and is bound to nothing", () => {
  expect(maySet({ name: "admin:a", permissions: ["quotas.read", "quotas.write"] })).toBe(true);
  expect(maySet({ name: "viewer:v", permissions: ["quotas.read"] })).toBe(false);
  expect(maySet({ name: "admin:b", permissions: ["quotas.write"], patterns: ["mail*"] })).toBe(false);
  // A cluster of an earlier version does not say.
  expect(maySet(undefined)).toBe(true);
});
