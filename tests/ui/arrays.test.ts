import type { TaskSpec } from "@ui/api/types";
import { arrayOf, itemsOf, takesLines } from "@ui/views/jobs/array-spec";
import { readShare } from "@ui/views/jobs/change";

const form = (fields: Record<string, string>) => (name: string) => fields[name] ?? "";
const array = (kind: "command" | "python", source: "count" | "items", fields: Record<string, string>) =>
  arrayOf(kind, source, form(fields), form(fields));

test("a command for each line", () => {
  const spec = array("command", "items", {
    command: "echo {}",
    items: "red\ngreen\n",
    parallel: "5",
    failures: "0",
    name: " colours ",
    labels: "team=mail",
  });
  expect(spec).toEqual({
    template: { command: { argv: ["echo", "{}"] }, name: "colours", labels: { team: "mail" } },
    name: "colours",
    labels: { team: "mail" },
    items: [btoa("red"), btoa("green")],
    maxParallel: "5",
    maxFailures: "0",
  });
});

test("a function so many times, and a reduce", () => {
  const spec = array("python", "count", {
    entrypoint: "builtins:pow",
    arguments: "[2]",
    count: "1,000",
    first: "1",
    reduce: "builtins:sum",
    fanIn: "10",
  });
  expect(spec).toEqual({
    template: { python: { entrypoint: "builtins:pow", json: '{"args":[2],"kwargs":{}}' } },
    count: "1000",
    firstIndex: "1",
    reduce: {
      template: { python: { entrypoint: "builtins:sum", json: '{"args":[],"kwargs":{}}' } },
      fanIn: "10",
    },
  });
});

test("limits and keys", () => {
  const spec = array("command", "count", {
    command: "true",
    count: "5",
    fairnessKey: " acme ",
    limitKey: "k",
    limits: "licence, api",
  });
  expect(spec.template).toEqual({
    command: { argv: ["true"] },
    fairnessKey: "acme",
    limitKey: "k",
    limits: ["licence", "api"],
  });
});

test("an open job needs no items", () => {
  const spec = array("command", "items", { command: "echo {}", open: "on" });
  expect(spec.open).toBe(true);
  expect(spec.items).toBeUndefined();
});

test.each<[Record<string, string>, string]>([
  [{ items: "" }, "Items: type one on each line"],
  [{ items: "a", parallel: "0" }, "At once: “0” is not a whole number of at least 1"],
  [{ items: "a", failures: "few" }, "Failures: “few”"],
  [{ items: "a", reduce: "sum" }, "Reduce: “sum” is not module:name"],
  [{ items: "a", fanIn: "3" }, "Fan-in is of a reduce"],
  [{ items: "a", reduce: "m:f", fanIn: "1" }, "Fan-in: “1” is not a whole number of 2 to 10000000"],
])("%o is refused with a sentence", (fields, message) => {
  expect(() => array("command", "items", { command: "echo {}", ...fields })).toThrow(message);
});

test("so many subtasks must be a number that a job may have", () => {
  const wrong = { command: "echo", count: "10000001" };
  expect(() => array("command", "count", wrong)).toThrow("Subtasks: “10000001” is not a whole number of 0 to");
  expect(() => array("python", "count", { entrypoint: "m:f", arguments: "3", count: "1" })).toThrow("neither a list");
});

test("lines are texts of a program, and JSON of a function", () => {
  const python: TaskSpec = { python: { entrypoint: "m:f", json: "[]" } };
  expect(itemsOf('7\n\n"x"', { command: { argv: ["x"] } }, false)).toEqual([btoa("7"), "", btoa('"x"')]);
  expect(itemsOf("7", python, false)).toEqual([btoa('"7"')]);
  expect(itemsOf(" [7] \r\n", python, true)).toEqual([btoa("[7]")]);
  expect(() => itemsOf("7\nx", python, true)).toThrow("Items: line 2, “x”, is not JSON.");
  expect(itemsOf("", python, true)).toEqual([]);
  expect(takesLines(python)).toBe(true);
  expect(takesLines({ python: { entrypoint: "m:f", pickle: "gASV" } })).toBe(false);
});

test("a share is typed in percent", () => {
  expect([readShare(""), readShare("5 %"), readShare("0.1")]).toEqual([0, 0.05, 0.001]);
  expect(() => readShare("101")).toThrow("not a number from 0 to 100");
});
