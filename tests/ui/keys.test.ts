import { keysOf, keyTexts } from "@ui/lib/keys";
import { escaped, visible } from "@ui/lib/visible";
import { duration, durationText, textOf, Unreadable, whole } from "@ui/lib/words";
import { specOf } from "@ui/views/tasks/spec";

const reader =
  (fields: Record<string, string>) =>
  (name: string): string =>
    fields[name] ?? "";

test("keys of a form are those of the task, and back", () => {
  const fields = {
    uniqueKey: "report-7",
    onConflict: "UNIQUE_CONFLICT_REJECT",
    uniqueFor: "1 h",
    orderingKey: "account-7",
    fairnessKey: "acme",
    limitKey: "customer-7",
    limits: "licence, seats",
  };
  const keys = keysOf(reader(fields));
  expect(keys).toEqual({
    unique: { key: "report-7", onConflict: "UNIQUE_CONFLICT_REJECT", window: "3600s" },
    orderingKey: "account-7",
    fairnessKey: "acme",
    limitKey: "customer-7",
    limits: ["licence", "seats"],
  });
  expect(keyTexts(keys)).toEqual(fields);
  expect(keysOf(reader({}))).toEqual({});
  // A form sends the choice also without a key.
  expect(keysOf(reader({ onConflict: "UNIQUE_CONFLICT_REJECT" }))).toEqual({});
});

test.each<[Record<string, string>, string]>([
  [{ uniqueFor: "1h" }, "Unique key: “Unique for” needs a key."],
  [{ uniqueKey: "k", uniqueFor: "0.5s" }, "Unique for: “0.5s” is less than 1 s."],
  [{ uniqueKey: "k", uniqueFor: "32d" }, "Unique for: “32d” is more than 31 d."],
  [{ limits: "a b" + Array.from({ length: 15 }, (_, n) => ` l${n}`).join("") }, "17 are named"],
  [{ limits: "A" }, "“A” is not the name of a limit"],
])("%j is refused", (fields, words) => {
  expect(() => keysOf(reader(fields))).toThrow(words);
  expect(() => specOf("command", reader({ command: "true", ...fields }))).toThrow(Unreadable);
});

test("a limit that is named twice counts once", () => {
  expect(keysOf(reader({ limits: "a,a  b,," })).limits).toEqual(["a", "b"]);
});

test("bounds of numbers and durations are said", () => {
  expect(whole("", "Priority", -1000, 1000)).toBeUndefined();
  expect(whole(" -7 ", "Priority", -1000, 1000)).toBe(-7);
  for (const text of ["1001", "1.5", "x"]) {
    expect(() => whole(text, "Priority", -1000, 1000)).toThrow("is not a whole number from -1000 to 1000");
  }
  expect(() => specOf("command", reader({ command: "true", timeout: "31d" }))).toThrow("more than 30 d");
});

test.each([
  ["3600s", "1 h"],
  ["90s", "1 min 30 s"],
  ["0.0015s", "0.0015s"],
  ["90061.5s", "90061.5s"],
  [undefined, ""],
])("the duration %s is typed as %s", (json, text) => {
  expect(durationText(json)).toBe(text);
  if (json) expect(duration(text, "x")).toBe(json);
});

test("bytes are text where a form keeps them", () => {
  expect(textOf(btoa("a\nb"))).toBe("a\nb");
  expect(textOf("")).toBe("");
  for (const bytes of ["\xff", "a\0", "a\r\n"]) expect(textOf(btoa(bytes))).toBeUndefined();
});

test("deceptive characters of JSON are escaped, and its value is the same", () => {
  const value = { "a\u202eb": "x\ufeff\u{e0001}y" };
  const text = escaped(JSON.stringify(value));
  expect(text).toBe(visible(text));
  expect(JSON.parse(text)).toEqual(value);
});
