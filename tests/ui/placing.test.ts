import { placingChange, placingForm, readRule, readTaint, ruleRows, taintText } from "@ui/lib/placing";
import { Unreadable } from "@ui/lib/words";
import { pauseOf } from "@ui/views/queues/pauses";

test.each([
  ["gpu", { key: "gpu" }],
  ["dedicated=ml", { key: "dedicated", value: "ml" }],
  [" a = b=c ", { key: "a", value: "b=c" }],
])("%s is a taint", (text, taint) => {
  expect(readTaint(text)).toEqual(taint);
});

test.each(["", "=", "*", "a b", "a,b"])("“%s” is no taint", (text) => {
  expect(() => readTaint(text)).toThrow(Unreadable);
});

test("rules are shown as the command line takes them", () => {
  const rows = ruleRows({
    nodes: [
      { label: "disk", operator: "LABEL_OPERATOR_IN", values: ["ssd", "nvme"] },
      { label: "gpu", operator: "LABEL_OPERATOR_NOT_EXISTS" },
      { label: "zone", operator: "LABEL_OPERATOR_IN", values: ["a"], preferred: true },
    ],
    tolerations: [{ key: "dedicated", value: "ml" }, { key: "*" }],
    apart: [{ label: "app", value: "batch" }],
    distinct: ["app"],
    strategy: "PLACEMENT_STRATEGY_SPREAD",
    spread: "zone",
  });
  expect(rows).toEqual([
    ["Nodes with", "disk in ssd,nvme, !gpu"],
    ["Prefers nodes with", "zone = a"],
    ["Tolerates", "dedicated=ml, *"],
    ["Apart from tasks with", "app=batch"],
    ["On a node each, by", "app"],
    ["Placement", "spread"],
    ["Spread over", "zone"],
  ]);
  expect(ruleRows(undefined)).toEqual([]);
  expect(taintText({ key: "gpu" })).toBe("gpu");
});

test("the form of a pause says what matches, and until when", () => {
  const fields: Record<string, string> = {
    name: "outage",
    scope: "BOTH",
    labels: "app=mail, region=eu",
    for: "30m",
  };
  expect(pauseOf((name) => fields[name] ?? "", 0)).toEqual({
    name: "outage",
    scope: "PAUSE_SCOPE_BOTH",
    labels: { app: "mail", region: "eu" },
    until: "1970-01-01T00:30:00.000Z",
  });
});

test.each([
  ["disk in ssd, nvme", { label: "disk", operator: "LABEL_OPERATOR_IN", values: ["ssd", "nvme"] }],
  ["disk not in hdd", { label: "disk", operator: "LABEL_OPERATOR_NOT_IN", values: ["hdd"] }],
  ["zone = a", { label: "zone", operator: "LABEL_OPERATOR_IN", values: ["a"] }],
  ["zone!=a", { label: "zone", operator: "LABEL_OPERATOR_NOT_IN", values: ["a"] }],
  ["gpu", { label: "gpu", operator: "LABEL_OPERATOR_EXISTS" }],
  ["!gpu", { label: "gpu", operator: "LABEL_OPERATOR_NOT_EXISTS" }],
])("%s is a rule", (text, rule) => {
  expect(readRule(text, false)).toEqual(rule);
  expect(readRule(text, true)).toEqual({ ...rule, preferred: true });
});

test.each(["", "disk in ", "a b", "=a", "!"])("“%s” is no rule", (text) => {
  expect(() => readRule(text, false)).toThrow(Unreadable);
});

test("of a form only what was changed is sent, and rules of nodes together", () => {
  const rules = {
    nodes: [
      { label: "disk", operator: "LABEL_OPERATOR_IN", values: ["ssd", "nvme"] },
      { label: "zone", operator: "LABEL_OPERATOR_IN", values: ["a"], preferred: true },
    ],
    tolerations: [{ key: "gpu" }],
    near: [{ label: "app", value: "cache" }],
  };
  const form = placingForm(rules);
  expect(form).toEqual({ where: "disk in ssd,nvme", prefer: "zone = a", tolerate: "gpu", near: "app=cache", apart: "" });
  expect(placingChange(form, { ...form })).toEqual({ rules: {}, paths: [] });
  const changed = placingChange(form, { ...form, where: "!gpu", tolerate: "*\n", near: "" });
  expect(changed.paths).toEqual(["placement.nodes", "placement.tolerations", "placement.near"]);
  expect(changed.rules).toEqual({
    nodes: [{ label: "gpu", operator: "LABEL_OPERATOR_NOT_EXISTS" }, rules.nodes[1]],
    tolerations: [{ key: "*" }],
    near: [],
  });
});
