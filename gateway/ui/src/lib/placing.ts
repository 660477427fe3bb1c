// Placement rules and taints as people write and read them. Pure.

import type { PlacementRules, Taint, TaskRule } from "@ui/api/types";
import { plain } from "@ui/lib/format";
import { pairs, Unreadable } from "@ui/lib/words";

export const taintText = ({ key, value }: Taint): string => (value ? `${key}=${value}` : key);

/** "dedicated=ml" or "gpu" as a taint. Throws Unreadable. */
export function readTaint(text: string): Taint {
  const [key = "", ...rest] = text.trim().split("=");
  if (!key.trim() || key.includes("*") || /[\s,]/.test(key.trim())) {
    throw new Unreadable(`“${text.trim()}” is not KEY or KEY=VALUE, such as dedicated=ml.`, "Taint");
  }
  const value = rest.join("=").trim();
  return value ? { key: key.trim(), value } : { key: key.trim() };
}

type NodeRule = NonNullable<PlacementRules["nodes"]>[number];

/** "disk in ssd,nvme", "zone=a", "zone!=a", "gpu" or "!gpu" as a rule. Throws Unreadable. */
export function readRule(text: string, preferred: boolean): NodeRule {
  const line = text.trim();
  const label = "([^\\s=!,()]+)";
  const more = preferred ? { preferred } : {};
  const rule = (name: string, operator: string, values: string[] = []): NodeRule => ({
    label: name,
    operator: `LABEL_OPERATOR_${operator}`,
    ...(values.length ? { values } : {}),
    ...more,
  });
  const list = new RegExp(`^${label}\\s+(not\\s+)?in\\s+\\(?([^()]*)\\)?$`, "i").exec(line);
  if (list) {
    const values = list[3]!.split(",").map((value) => value.trim()).filter(Boolean);
    if (values.length) return rule(list[1]!, list[2] ? "NOT_IN" : "IN", values);
  }
  const away = new RegExp(`^!\\s*${label}$`).exec(line);
  if (away) return rule(away[1]!, "NOT_EXISTS");
  const equal = new RegExp(`^${label}\\s*(!=|==?)\\s*(.*)$`).exec(line);
  if (equal) return rule(equal[1]!, equal[2] === "!=" ? "NOT_IN" : "IN", [equal[3]!]);
  if (new RegExp(`^${label}$`).test(line)) return rule(line, "EXISTS");
  throw new Unreadable(`“${line}” is not a rule such as disk=ssd, zone in a,b or !gpu.`, "Nodes");
}

/** What a task may be changed to: each field as text, a rule on each line. */
export interface PlacingForm {
  where: string;
  prefer: string;
  tolerate: string;
  near: string;
  apart: string;
}

const lines = (text: string) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** The rules of a task as a form has them. */
export function placingForm(rules: PlacementRules = {}): PlacingForm {
  const { nodes = [], tolerations = [], near = [], apart = [] } = rules;
  const joined = (texts: string[]) => texts.join("\n");
  const task = (one: TaskRule) => `${one.label}=${one.value ?? ""}`;
  return {
    where: joined(nodes.filter((rule) => !rule.preferred).map(nodeRule)),
    prefer: joined(nodes.filter((rule) => rule.preferred).map(nodeRule)),
    tolerate: joined(tolerations.map(taintText)),
    near: joined(near.map(task)),
    apart: joined(apart.map(task)),
  };
}

/**
 * What differs from `before`, and the paths below `spec` of what is meant; `near` and `apart` lose
 * that they are only preferred. Throws Unreadable.
 */
export function placingChange(before: PlacingForm, after: PlacingForm): { rules: PlacementRules; paths: string[] } {
  const rules: PlacementRules = {};
  const paths: string[] = [];
  const differs = (name: keyof PlacingForm) => lines(before[name]).join("\n") !== lines(after[name]).join("\n");
  if (differs("where") || differs("prefer")) {
    const wanted = lines(after.where).map((line) => readRule(line, false));
    rules.nodes = [...wanted, ...lines(after.prefer).map((line) => readRule(line, true))];
    paths.push("placement.nodes");
  }
  if (differs("tolerate")) {
    rules.tolerations = lines(after.tolerate).map((line) => (line === "*" ? { key: "*" } : readTaint(line)));
    paths.push("placement.tolerations");
  }
  for (const name of ["near", "apart"] as const) {
    if (!differs(name)) continue;
    const title = name === "near" ? "Near" : "Apart";
    rules[name] = Object.entries(pairs(after[name], title)).map(([label, value]) => ({ label, value }));
    paths.push(`placement.${name}`);
  }
  return { rules, paths };
}

function nodeRule(rule: NodeRule): string {
  const values = (rule.values ?? []).join(",");
  const many = (rule.values ?? []).length > 1;
  switch (plain(rule.operator, "LABEL_OPERATOR_")) {
    case "not in":
      return `${rule.label} ${many ? "not in" : "!="} ${values}`;
    case "exists":
      return rule.label;
    case "not exists":
      return `!${rule.label}`;
    default:
      return `${rule.label} ${many ? "in" : "="} ${values}`;
  }
}

const ruleText = ({ label, value, preferred }: TaskRule): string =>
  `${label}=${value ?? ""}${preferred ? " (preferred)" : ""}`;

/** The rules of a task: what each line is about, and what it says. */
export function ruleRows(rules: PlacementRules | undefined): [string, string][] {
  if (!rules) return [];
  const nodes = rules.nodes ?? [];
  const rows: [string, string][] = [
    ["Nodes with", nodes.filter((rule) => !rule.preferred).map(nodeRule).join(", ")],
    ["Prefers nodes with", nodes.filter((rule) => rule.preferred).map(nodeRule).join(", ")],
    ["Tolerates", (rules.tolerations ?? []).map(taintText).join(", ")],
    ["Near tasks with", (rules.near ?? []).map(ruleText).join(", ")],
    ["Apart from tasks with", (rules.apart ?? []).map(ruleText).join(", ")],
    ["On a node each, by", (rules.distinct ?? []).join(", ")],
    ["Placement", plain(rules.strategy, "PLACEMENT_STRATEGY_")],
    ["Spread over", rules.spread ?? ""],
  ];
  return rows.filter(([, text]) => text && text !== "unspecified");
}
