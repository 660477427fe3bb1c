import { limitChange, limitTexts } from "@ui/lib/limit-change";

const reader = (fields: Record<string, string>) => (name: string) => fields[name] ?? "";

test("a change names what differs from the task, and nothing else", () => {
  const task = { limits: ["licence", "seats"], limitKey: "a, b", orderingKey: "o", unique: { key: "u" } };
  const form = limitTexts(task);
  expect(limitChange(task, reader(form))).toEqual({ spec: {}, paths: [] });
  expect(limitChange(task, reader({ ...form, limits: "seats,seats", limitKey: "a b", orderingKey: " " }))).toEqual({
    spec: { limits: ["seats"], limitKey: "a b" },
    paths: ["spec.orderingKey", "spec.limitKey", "spec.limits"],
  });
  // A field of one line shows it without the line end.
  expect(limitChange({ limitKey: "a\nb" }, reader({ limitKey: "ab" })).paths).toEqual([]);
});

test("many tasks keep what is left empty, and lose what a box names", () => {
  expect(limitChange({}, reader({}))).toEqual({ spec: {}, paths: [] });
  expect(limitChange({}, reader({ fairnessKey: "acme", "remove-limits": "on" }))).toEqual({
    spec: { fairnessKey: "acme" },
    paths: ["spec.fairnessKey", "spec.limits"],
  });
});

test.each<[Record<string, string>, string]>([
  [{ limits: "seats", "remove-limits": "on" }, "Shared limits: leave the field empty"],
  [{ limits: "No" }, "Shared limits: “No” is not the name of a limit."],
  [{ limits: Array.from({ length: 17 }, (_, n) => `l${n}`).join(" ") }, "17 are named; a task has at most 16"],
])("%j is refused", (fields, words) => {
  expect(() => limitChange({}, reader(fields))).toThrow(words);
});
