import { rateText, readCount, readRate, useText } from "@ui/lib/limits";
import { Unreadable } from "@ui/lib/words";
import { limitOf } from "@ui/views/limits/dialog";
import { limitsText, readWeights, settingsOf } from "@ui/views/queues/settings";

const reads = (fields: Record<string, string>) => (name: string) => fields[name] ?? "";

test.each([
  ["10/s", { count: "10", period: "1s" }],
  ["100/15m", { count: "100", period: "900s" }],
  ["1/2d", { count: "1", period: "172800s" }],
  ["10/s burst 20", { count: "10", period: "1s", burst: "20" }],
])("%s is a rate, and is shown so", (text, rate) => {
  expect(readRate(text, "Starts")).toEqual(rate);
  expect(rateText(rate)).toBe(text);
});

test.each(["10", "ten/s", "10/0s", "10/y", "/s", "-1/s"])("%s is no rate", (text) => {
  expect(() => readRate(text, "Starts")).toThrow(Unreadable);
});

test.each(["0", "-1", "1.5", "many", "12345678901"])("%s is no number of tasks", (text) => {
  expect(() => readCount(text, "Running tasks")).toThrow(Unreadable);
});

test("an empty field is no limit", () => {
  expect(readCount(" ", "Running tasks")).toBeUndefined();
  expect(readRate("", "Starts")).toBeUndefined();
  expect(rateText(undefined)).toBe("");
});

test("what is used is shown with the limit, where there is one", () => {
  expect(useText("3", "5")).toBe("3 of 5");
  expect(useText(undefined, undefined)).toBe("0");
});

test("a limit needs a number or a rate", () => {
  expect(limitOf(reads({ name: "a", maxRunning: "3" }))).toEqual({ name: "a", maxRunning: "3" });
  expect(() => limitOf(reads({ name: "a" }))).toThrow(Unreadable);
});

test("settings of a queue leave out what is not typed", () => {
  expect(settingsOf(reads({ placement: "P", disconnect: "D", maxLength: "5" }))).toEqual({
    placement: "P",
    disconnect: "D",
    maxLength: "5",
  });
  expect(() => settingsOf(reads({ lengthPolicy: "LENGTH_POLICY_DROP_OLDEST" }))).toThrow(Unreadable);
});

test("the share of a queue is a number", () => {
  expect(settingsOf(reads({ placement: "P", disconnect: "D", share: "2.5" })).share).toBe(2.5);
  expect(() => settingsOf(reads({ share: "much" }))).toThrow(Unreadable);
  expect(() => settingsOf(reads({ share: "-1" }))).toThrow(Unreadable);
});

test("weights are pairs of keys and numbers", () => {
  expect(readWeights("gold=3, silver=0.5")).toEqual({ gold: 3, silver: 0.5 });
  expect(readWeights(" ")).toBeUndefined();
  expect(() => readWeights("gold")).toThrow(Unreadable);
  expect(() => readWeights("gold=0")).toThrow(Unreadable);
});

test("the limits of a queue in a line", () => {
  expect(limitsText({ name: "q" })).toBe("");
  expect(limitsText({ name: "q", maxRunning: "3", ratePerKey: { count: "5", period: "60s" } })).toBe(
    "at most 3 at once, 5/m per key",
  );
});
